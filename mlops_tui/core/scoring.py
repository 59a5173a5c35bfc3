"""From rows to answers: the code that a workspace and a service both run, with the same bits for any batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core import calibration as calibrations
from mlops_tui.core.features import encode
from mlops_tui.core.kinds import parse_type
from mlops_tui.core.single_row import SingleRow
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Calibration, Signature, Transform

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scorer:
    """A model that is ready to answer; `threads` is how many threads one call may use."""

    booster: lgb.Booster
    transform: Transform
    signature: Signature
    calibration: Calibration | None
    threads: int = 1
    single: SingleRow | None = None


def load(
    text: str, transform: Transform, signature: Signature, calibration: Calibration | None, threads: int = 1
) -> Scorer:
    """Return the scorer of a model in LightGBM's text format; raises InvalidInput if the text is none."""
    try:
        booster = lgb.Booster(model_str=text)
    except lgb.basic.LightGBMError as error:
        raise InvalidInput(f"this is not a LightGBM model: {error}") from None
    if booster.num_feature() != len(transform.features):
        found, wanted = booster.num_feature(), len(transform.features)
        raise InvalidInput(f"the model reads {found} features, its transform makes {wanted}")
    return Scorer(booster, transform, signature, calibration, threads, SingleRow(booster))


def score(scorer: Scorer, frame: pl.DataFrame) -> Floats:
    """Return calibrated scores of raw rows: (n,), or (n, k) probabilities for multiclass."""
    if frame.height == 0:
        classes = len(scorer.signature.classes)
        return np.zeros((0, classes) if scorer.signature.task == "multiclass" else 0)
    return score_matrix(scorer, encode(scorer.transform, frame).to_numpy())


def score_matrix(scorer: Scorer, matrix: Floats) -> Floats:
    """Return calibrated scores of a model's matrix of at least one row: (n,), or (n, k) for multiclass."""
    if len(matrix) == 1 and scorer.single is not None:
        return score_row(scorer, matrix[0])
    raw = np.asarray(scorer.booster.predict(matrix, num_threads=scorer.threads), dtype=np.float64)
    return calibrations.apply(scorer.calibration, raw)


def score_row(scorer: Scorer, row: Sequence[float | None]) -> Floats:
    """Return the calibrated score of one row of the matrix, as `score_matrix` does: shape (1,), or (1, k)."""
    single = scorer.single
    if single is None:
        return score_matrix(scorer, np.array([row], dtype=np.float64))
    raw = single(row)
    return calibrations.apply(scorer.calibration, raw.reshape(1, -1) if scorer.signature.task == "multiclass" else raw)


def label_values(signature: Signature) -> list[Any]:
    """Return the classes in score order, each as the type that the target has.

    >>> label_values(Signature("binary", "late", "Boolean", (), ("false", "true")))
    [False, True]
    """
    return list(_typed(signature.classes, signature.target_dtype))


@lru_cache(maxsize=64)
def _typed(labels: tuple[str, ...], dtype: str) -> tuple[Any, ...]:
    if dtype == "Boolean":
        return tuple(label == "true" for label in labels)
    return tuple(pl.Series(labels, dtype=pl.String).cast(parse_type(dtype)).to_list())


def choices(signature: Signature, scores: Floats) -> NDArray[np.int64]:
    """Return the position of the predicted class of each row: by threshold (binary) or the likeliest."""
    if signature.task == "binary":
        return (scores >= signature.threshold).astype(np.int64)
    likeliest: NDArray[np.int64] = scores.argmax(axis=1).astype(np.int64)
    return likeliest


def predict(scorer: Scorer, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each raw row: `prediction`, typed as the target, and its probabilities.

    binary adds `probability` (of the class that counts as 1), multiclass `probability_CLASS` for each class.
    """
    signature, scores = scorer.signature, score(scorer, frame)
    if signature.task not in ("binary", "multiclass"):
        return pl.DataFrame({"prediction": scores})
    kind = parse_type(signature.target_dtype)
    labels = pl.Series("prediction", label_values(signature), kind)
    predicted = labels.gather(choices(signature, scores))
    if signature.task == "binary":
        return pl.DataFrame([predicted, pl.Series("probability", scores)])
    each = [pl.Series(f"probability_{label}", scores[:, at]) for at, label in enumerate(signature.classes)]
    return pl.DataFrame([predicted, *each])


def answers(scorer: Scorer, frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return what a service answers to each raw row, as plain values.

    binary {"prediction": true, "probability": 0.7}; multiclass {"prediction": "a", "probabilities": {"a": 0.6, …}};
    the other tasks {"prediction": 1.2}.
    """
    return told(scorer.signature, score(scorer, frame))


def told(signature: Signature, scores: Floats) -> list[dict[str, Any]]:
    """Return what a service answers for each row's calibrated score, or scores."""
    if signature.task not in ("binary", "multiclass"):
        return [{"prediction": value} for value in scores.tolist()]
    labels, picked = label_values(signature), choices(signature, scores).tolist()
    if signature.task == "binary":
        pairs = zip(picked, scores.tolist(), strict=True)
        return [{"prediction": labels[at], "probability": value} for at, value in pairs]
    rows = zip(picked, scores.tolist(), strict=True)
    return [
        {"prediction": labels[at], "probabilities": dict(zip(signature.classes, row, strict=True))} for at, row in rows
    ]


def value_of(scorer: Scorer) -> Callable[[Sequence[float | None]], float]:
    """Return what gives the calibrated score of one row of the matrix, as `score_row`, for a task of one output."""
    if scorer.calibration is None and scorer.single is not None:
        return scorer.single.value
    return lambda row: float(score_row(scorer, row)[0])


def explain(scorer: Scorer, frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return how much each feature adds to each row's raw score (before sigmoid, softmax and calibration).

    {"base": b, "contributions": {feature: c, …}} by TreeSHAP (Lundberg et al. 2018): base and contributions add up
    to the raw score. For multiclass, base and contributions are objects by class.
    """
    return explain_matrix(scorer, encode(scorer.transform, frame).to_numpy()) if frame.height else []


def explain_matrix(scorer: Scorer, matrix: Floats) -> list[dict[str, Any]]:
    """Return what `explain` does, of a model's matrix of at least one row."""
    names = [feature.name for feature in scorer.transform.features]
    shares = np.asarray(scorer.booster.predict(matrix, pred_contrib=True, num_threads=scorer.threads))
    classes = scorer.signature.classes if scorer.signature.task == "multiclass" else ("",)
    told = []
    for row in shares.reshape(len(matrix), len(classes), len(names) + 1).tolist():
        parts = {label: dict(zip(names, part[:-1], strict=True)) for label, part in zip(classes, row, strict=True)}
        base = {label: part[-1] for label, part in zip(classes, row, strict=True)}
        single = classes == ("",)
        told.append(
            {"base": base[""], "contributions": parts[""]} if single else {"base": base, "contributions": parts}
        )
    return told
