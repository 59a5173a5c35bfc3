"""The column that is predicted, as numbers: learned once for a run, then read the same for any other rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core.kinds import canonical, parse_type
from mlops_tui.core.metrics import Answers
from mlops_tui.core.requests import frame_for
from mlops_tui.core.scoring import Scorer, score
from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import Signature, Task

if TYPE_CHECKING:
    from mlops_tui.config import Target

Floats = NDArray[np.float64]
MOST_CLASSES = 1000
MOST_VALUE = 1e15  # the gain of a split is a sum of squares in 32 bits, and 1e38 is the most that they hold
MOST_RELEVANCE = 30  # LightGBM's gains, 2^relevance - 1, are defined up to here


def labelled(frame: pl.DataFrame, settings: Target) -> tuple[pl.DataFrame, NDArray[np.int64], tuple[str, ...]]:
    """Return the rows that have a target (and weight), their row numbers, and what was left out, in words."""
    for key in ("column", "query", "weight"):
        name = getattr(settings, key)
        if name is not None and name not in frame.columns:
            raise InvalidInput(f"target.{key}: no column '{name}'{near_miss(name, frame.columns)}")
    if settings.query is not None and frame[settings.query].null_count():
        raise InvalidInput(f"target.query: '{settings.query}' is null in {frame[settings.query].null_count()} rows")
    messages = []
    whole = np.ones(frame.height, dtype=bool)
    for name in (settings.column, settings.weight):
        if name is not None and frame[name].null_count():
            messages.append(f"left out {frame[name].null_count()} rows where '{name}' is null")
            whole &= frame[name].is_not_null().to_numpy()
    kept = np.flatnonzero(whole).astype(np.int64)
    if len(kept) == 0:
        raise InvalidInput(f"target: no row has a value of '{settings.column}'")
    return (frame if len(kept) == frame.height else frame.filter(whole)), kept, tuple(messages)


def weights(frame: pl.DataFrame, settings: Target) -> Floats | None:
    """Return the rows' weights; raises InvalidInput for negative, infinite or all-zero ones."""
    if settings.weight is None:
        return None
    column = canonical(frame.select(settings.weight)).to_series()
    if not column.dtype.is_numeric():
        raise InvalidInput(f"target.weight: '{column.name}' has type {column.dtype}; weights are numbers")
    values = column.cast(pl.Float64).to_numpy()
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InvalidInput(
            f"target.weight: '{column.name}' holds a weight that is negative or not finite, or only zeros"
        )
    return values


def learn_classes(column: pl.Series, settings: Target) -> tuple[tuple[str, ...], str]:
    """Return the classes as text, in score order (none for a number), and the target's type, as text."""
    column = canonical(column.to_frame()).to_series()
    kind, name = column.dtype, column.name
    if settings.task in ("binary", "multiclass"):
        if kind not in (pl.Boolean, pl.String, pl.Int64, pl.Float64):
            raise InvalidInput(f"target '{name}' has type {kind}; classes are texts, numbers or booleans")
        values = column.unique().sort()
        labels = tuple(values.cast(pl.String).to_list())
        _check_count(name, labels, settings.task)
        return (_binary(values, labels, settings) if settings.task == "binary" else labels), str(kind)
    if not kind.is_numeric():
        raise InvalidInput(f"target '{name}' has type {kind}; task {settings.task} predicts a number")
    return (), str(kind)


def _check_count(name: str, labels: tuple[str, ...], task: Task) -> None:
    if len(labels) < 2:
        raise InvalidInput(f"target '{name}' has the one class '{labels[0]}'; there is nothing to learn")
    if task == "binary" and len(labels) > 2:
        hint = 'task = "multiclass", or a column with two labels'
        raise InvalidInput(f"target '{name}' has {len(labels)} classes; task binary takes two", hint)
    if len(labels) > MOST_CLASSES:
        raise InvalidInput(f"target '{name}' has {len(labels)} classes; {MOST_CLASSES} are allowed")


def _binary(values: pl.Series, labels: tuple[str, ...], settings: Target) -> tuple[str, ...]:
    if settings.positive is None:
        if values.dtype == pl.Boolean or (values.dtype.is_numeric() and values.to_list() == [0, 1]):
            return labels
        hint = f'say which counts as 1: positive = "{labels[1]}"'
        raise InvalidInput(f"target '{values.name}' has the labels {', '.join(labels)}", hint)
    known = dict(zip(values.to_list(), labels, strict=True))
    text = str(settings.positive).lower() if isinstance(settings.positive, bool) else str(settings.positive)
    positive = known.get(settings.positive) or (text if text in labels else None)
    if positive is None:
        raise InvalidInput(f"target.positive: '{values.name}' has no label '{text}'{near_miss(text, labels)}")
    return tuple(sorted(labels, key=lambda label: label == positive))


def codes(column: pl.Series, signature: Signature) -> Floats:
    """Return the target as numbers, shape (n,): class positions, values or relevances.

    Raises InvalidInput for a label that the signature does not know, and for a number that LightGBM cannot hold.
    """
    column = canonical(column.to_frame()).to_series()
    if signature.task in ("binary", "multiclass"):
        kind = parse_type(signature.target_dtype)
        text = (column.cast(kind) if column.dtype.is_numeric() and kind.is_numeric() else column).cast(pl.String)
        found = text.cast(pl.Enum(signature.classes), strict=False)
        unknown = text.filter(found.is_null())
        if not unknown.is_empty():
            known = ", ".join(signature.classes[:8])
            raise InvalidInput(
                f"target '{column.name}' holds the label '{unknown[0]}', which the model does not know: {known}"
            )
        return found.to_physical().cast(pl.Float64).to_numpy()
    if not column.dtype.is_numeric():
        raise InvalidInput(f"target '{column.name}' has type {column.dtype}; the model predicts a number")
    values = column.cast(pl.Float64).to_numpy()
    if not np.isfinite(values).all():
        raise InvalidInput(f"target '{column.name}' holds NaN or infinity in {int((~np.isfinite(values)).sum())} rows")
    if np.abs(values).max(initial=0.0) > MOST_VALUE:
        largest = values[np.abs(values).argmax()]
        hint = f"divide '{column.name}', or take its logarithm, before it is read"
        raise InvalidInput(f"target '{column.name}' holds {largest:.4g}; LightGBM learns up to ±{MOST_VALUE:g}", hint)
    if signature.task == "ranking" and not (values == np.clip(np.round(values), 0, MOST_RELEVANCE)).all():
        raise InvalidInput(f"target '{column.name}': a relevance is a whole number from 0 to {MOST_RELEVANCE}")
    return values


def queries(frame: pl.DataFrame, settings: Target) -> NDArray[np.int64] | None:
    """Return the number of each row's query, from 0; None where the task has no queries."""
    if settings.query is None:
        return None
    return frame[settings.query].rank("dense").cast(pl.Int64).to_numpy() - 1


def answers_for(scorer: Scorer, frame: pl.DataFrame, settings: Target) -> Answers:
    """Return truth and scores of the rows that have a target: a model judged on any version's raw rows.

    The rows are read by the model's signature, as a service reads them; raises InvalidInput where they do not fit it.
    """
    rows, _, _ = labelled(frame, settings)
    signature = scorer.signature
    truth = codes(rows[signature.target], signature)
    scores = score(scorer, frame_for(signature, rows))
    return Answers(signature.task, truth, scores, queries(rows, settings), signature.quantile, signature.threshold)
