"""What a training works on: labelled rows, their targets as numbers, their sets; and one set as matrix or answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core import calibration as calibrations
from mlops_tui.core import metrics, target
from mlops_tui.core.features import encode, input_columns
from mlops_tui.core.fitting import Rows
from mlops_tui.core.scoring import Scorer, score
from mlops_tui.core.split import Columns, Ints, Sets, split
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Signature, Transform

if TYPE_CHECKING:
    from mlops_tui.config import PipelineFile

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Material:
    """The labelled rows, their targets as numbers, and how they are split; row numbers count within `frame`."""

    frame: pl.DataFrame
    settings: PipelineFile
    signature: Signature  # without inputs
    y: Floats
    weight: Floats | None
    query: NDArray[np.int64] | None
    sets: Sets
    threads: int

    def in_queries(self, rows: Ints) -> Ints:
        """Return the row numbers with those of a query one after the other, as LightGBM takes them."""
        return rows if self.query is None else rows[np.argsort(self.query[rows], kind="stable")]


def take(frame: pl.DataFrame, rows: Ints) -> pl.DataFrame:
    """Return some rows of a frame, in the order of their numbers given; rows in one stretch are not copied."""
    if len(rows) and (np.diff(rows) == 1).all():
        return frame.slice(int(rows[0]), len(rows))
    return frame[rows]


def prepare(frame: pl.DataFrame, settings: PipelineFile, threads: int) -> tuple[Material, Ints, tuple[str, ...]]:
    """Return the labelled rows, their numbers in the frame given, and what was left out."""
    rows, kept, messages = target.labelled(frame, settings.target)
    classes, dtype = target.learn_classes(rows[settings.target.column], settings.target)
    task, name = settings.target.task, settings.target.column
    signature = Signature(task, name, dtype, (), classes, quantile=settings.target.quantile)
    y = target.codes(rows[name], signature)
    if not (y != y[0]).any():
        raise InvalidInput(f"target '{name}' is the same in every row; there is nothing to learn")
    weight, query = target.weights(rows, settings.target), target.queries(rows, settings.target)
    sets = split(rows, settings.split, columns(settings, y), settings.train.seed)
    material = Material(rows, settings, signature, y, weight, query, sets, threads)
    sets = Sets(*(material.in_queries(part) for part in (sets.train, sets.validation, sets.test)))
    material = replace(material, sets=sets)
    _check_classes(material)
    return material, kept, messages


def columns(settings: PipelineFile, y: Floats) -> Columns:
    """Return what splitting looks at; `y` are the targets as numbers."""
    classes = settings.target.task in ("binary", "multiclass")
    return Columns(settings.data.time, tuple(settings.data.key), settings.target.query, y if classes else None)


def _check_classes(material: Material) -> None:
    """Every set needs two classes: with one, nothing can be learned, stopped or judged."""
    for name in ("train", "validation", "test"):
        part: Ints = getattr(material.sets, name)
        found = np.unique(material.y[part])
        if len(found) < 2 and material.signature.classes:
            label = material.signature.classes[int(found[0])]
            hint = 'split.method = "stratified" gives every set its share of each class'
            raise InvalidInput(f"all {len(part)} rows of {name} are of class '{label}'", hint)
        if len(found) < 2 and name == "train":
            raise InvalidInput(f"the target is the same in all {len(part)} rows of train; there is nothing to learn")


def skipped(settings: PipelineFile) -> set[str]:
    """Return the columns that are no features unless `include` names them."""
    names = (settings.target.column, settings.data.time, settings.target.weight, settings.target.query)
    return {name for name in (*names, *settings.data.key, settings.split.column) if name is not None}


def encoded(material: Material, transform: Transform, part: Ints, *, balanced: bool = False) -> Rows:
    """Return one set as the matrix that LightGBM reads; `balanced` weighs rows as the settings ask."""
    y = material.y[part]
    weight = None if material.weight is None else material.weight[part]
    if balanced and material.settings.train.imbalance == "balanced":
        counts = np.bincount(y.astype(np.int64))
        share = len(y) / (np.count_nonzero(counts) * counts[y.astype(np.int64)])
        weight = share if weight is None else share * weight
    query = None if material.query is None else material.query[part]
    inputs = material.frame.select(input_columns(transform))
    return Rows(encode(transform, take(inputs, part)), y, weight, query)


def answers_on(material: Material, scorer: Scorer, part: Ints, raw: Floats | None = None) -> metrics.Answers:
    """Return truth and scores of some rows; `raw` are their scores before calibration, where they are known."""
    signature = scorer.signature
    query = None if material.query is None else material.query[part]
    scores = score(scorer, take(material.frame, part)) if raw is None else calibrations.apply(scorer.calibration, raw)
    return metrics.Answers(signature.task, material.y[part], scores, query, signature.quantile, signature.threshold)


def calibrated(material: Material, scorer: Scorer, part: Ints, scores: Floats) -> Scorer:
    """Return a binary model's scorer, calibrated and with its threshold chosen, as the settings ask, on some rows.

    `scores` are those that it gives to these rows.
    """
    settings, y = material.settings.train, material.y[part]
    calibration = None
    if settings.calibration != "none":
        calibration = calibrations.fit(settings.calibration, scores, y)
        scores = calibrations.apply(calibration, scores)
    chosen = settings.threshold
    threshold = metrics.best_f1_threshold(y, scores) if chosen == "best_f1" else float(chosen)
    return replace(scorer, calibration=calibration, signature=replace(scorer.signature, threshold=threshold))
