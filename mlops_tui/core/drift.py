"""How far each column of a window of predictions is from the model's reference sample, and whether that is too far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mlops_tui.core.columns import Column, compare, learn
from mlops_tui.core.samples import SCORE
from mlops_tui.core.variation import Blocks, Variation, cut, scale_of
from mlops_tui.dtypes import as_float
from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import Drift, Input, Signature

PREDICTION = "prediction"


@dataclass(frozen=True, slots=True)
class Basis:
    """All that is learned once from a reference sample; every window is compared with it."""

    columns: tuple[Column, ...]
    prediction: Column
    classes: tuple[str, ...]
    blocks: Blocks | None
    time: str | None


def basis(signature: Signature, reference: pl.DataFrame, time: str | None) -> Basis:
    """Return what windows are compared with: each input, and the scores, of a model's reference sample.

    `time` names the column of event times, from which natural variation is learned; without it, or if the sample
    does not hold it, only sampling noise is allowed for. Raises InvalidInput for a column that is not there.
    """
    timed = time if time in reference.columns else None
    blocks = cut(reference[timed]) if timed else None
    columns = tuple(learn(one, _taken(reference, one.name), blocks) for one in signature.inputs)
    scores = predictions(reference, signature.classes)
    said = Input(PREDICTION, str(scores.dtype), False, categories=signature.classes)
    return Basis(columns, learn(said, scores, blocks), signature.classes, blocks, timed)


def features(basis: Basis, window: pl.DataFrame, false_alarms: float) -> tuple[Drift, ...]:
    """Return how far each input of a window is from the reference, the worst first: by distance over threshold.

    `false_alarms` is the chance that a window without drift has any of them called drifted (Bonferroni). Raises
    InvalidInput for a column that is not there.
    """
    level = false_alarms / max(1, sum(column.tests for column in basis.columns))
    natural = _natural(basis, window)
    found = [
        compare(column, _taken(window, column.input.name), variation, level)
        for column, variation in zip(basis.columns, natural, strict=False)
    ]
    return tuple(sorted(found, key=lambda one: (-one.distance / one.threshold, one.feature)))


def prediction(basis: Basis, window: pl.DataFrame, false_alarms: float) -> Drift:
    """Return how far a window's scores are from the reference's; multiclass: its predicted classes, as categories."""
    level = false_alarms / basis.prediction.tests
    return compare(basis.prediction, predictions(window, basis.classes), _natural(basis, window)[-1], level)


def _taken(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        raise InvalidInput(f"no column '{name}', which the model reads{near_miss(name, frame.columns)}")
    return frame[name]


def predictions(frame: pl.DataFrame, classes: tuple[str, ...]) -> pl.Series:
    """Return what a frame's rows were answered: their scores, or for several classes the label of the likeliest."""
    if SCORE in frame.columns:
        return frame[SCORE].rename(PREDICTION)
    each = np.column_stack([_taken(frame, f"{SCORE}_{label}").to_numpy() for label in classes])
    return pl.Series(PREDICTION, classes, pl.String).gather(each.argmax(axis=1))


def _natural(basis: Basis, window: pl.DataFrame) -> list[Variation]:
    """What each column, and last the prediction, does in windows of this length when nothing is wrong.

    Whether a column holds one value in a window is not known of windows without times, and may well be of those much
    shorter than the shortest block.
    """
    columns = (*basis.columns, basis.prediction)
    if basis.blocks is None or not basis.blocks.scales:
        return [Variation()] * len(columns)
    times = as_float(window[basis.time]).to_numpy() if basis.time in window.columns else np.array([])
    seconds = float(np.ptp(times)) if len(times) else None
    brief = seconds is not None and seconds < basis.blocks.scales[0].seconds / 2
    scale = scale_of(basis.blocks, seconds)
    found = [column.variation[scale] for column in columns]
    steady = True if brief else None
    return [replace(one, steady=steady) for one in found] if brief or seconds is None else found
