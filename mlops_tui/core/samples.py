"""The rows that a model version keeps: a reference sample of its training rows, and golden rows to answer again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core.kinds import canonical
from mlops_tui.core.requests import rows_to_frame, to_json_rows
from mlops_tui.core.scoring import Scorer, answers
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Golden, Signature

Ints = NDArray[np.int64]
REFERENCE_ROWS = 5000
GOLDEN_ROWS = 32
SCORE = "__score"
RESERVED = frozenset((SCORE, "__request", "__row", "__at", "__time", "__prediction", "__label", "__order"))


def sample(rows: Ints, query: NDArray[np.int64] | None, seed: int) -> Ints:
    """Return up to 5,000 of the row numbers, sorted; with queries (one for each row) whole queries only."""
    if len(rows) <= REFERENCE_ROWS:
        return np.sort(rows)
    rng = np.random.default_rng(seed)
    if query is None:
        return np.sort(rng.choice(rows, REFERENCE_ROWS, replace=False))
    order = rng.permutation(np.unique(query))
    sizes = np.bincount(query)[order]
    wanted = order[: max(1, int(np.searchsorted(np.cumsum(sizes), REFERENCE_ROWS, side="right")))]
    return np.sort(rows[np.isin(query, wanted)])


def check_names(names: Iterable[str]) -> None:
    """Raise InvalidInput for a column of the model that is named as samples and predictions name what is ours."""
    taken = next((name for name in names if name in RESERVED or name.startswith(f"{SCORE}_")), None)
    if taken is not None:
        hint = "rename it, or add it to features.exclude"
        raise InvalidInput(f"a column that the model reads is named '{taken}', as ours are", hint)


def reference(frame: pl.DataFrame, scores: NDArray[np.float64], scorer: Scorer) -> pl.DataFrame:
    """Return raw inputs and extras of the rows with the model's scores: `__score`, or `__score_CLASS` each."""
    signature = scorer.signature
    names = [*(one.name for one in signature.inputs), *signature.extras]
    return canonical(frame.select(names)).hstack(score_columns(signature, scores))


def score_columns(signature: Signature, scores: NDArray[np.float64]) -> list[pl.Series]:
    """Return scores as columns: `__score`, or `__score_CLASS` each."""
    if scores.ndim == 1:
        return [pl.Series(SCORE, scores)]
    return [pl.Series(f"{SCORE}_{label}", scores[:, at]) for at, label in enumerate(signature.classes)]


def golden(frame: pl.DataFrame, scorer: Scorer, seed: int) -> Golden:
    """Return up to 32 raw rows, as a client would send them, and their answers; a quarter hold nulls if any do."""
    inputs = canonical(frame.select([one.name for one in scorer.signature.inputs]))
    rng = np.random.default_rng(seed)
    holed = np.flatnonzero(inputs.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy())
    some = rng.choice(holed, min(len(holed), GOLDEN_ROWS // 4), replace=False)
    rest = np.setdiff1d(np.arange(inputs.height), some)
    others = rng.permutation(rest)[: GOLDEN_ROWS - len(some)]
    rows = to_json_rows(inputs[np.sort(np.concatenate([some, others])).astype(np.int64)])
    return Golden(tuple(rows), tuple(answers(scorer, rows_to_frame(scorer.signature, rows))))
