"""The models of a replay, and all that is measured with them: each once, whichever rule set asks for it first.

A model is determined by its cut-off alone, so one training serves every rule set: as the model of a cycle, and as the
trial challenger that the gain rule looks at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl

from mlops_tui.core import drift, metrics, monitor, samples, scoring, target
from mlops_tui.core.history import History, Ints
from mlops_tui.core.kinds import canonical, parse_type
from mlops_tui.core.requests import frame_for
from mlops_tui.core.scoring import Scorer
from mlops_tui.core.training import Trained
from mlops_tui.errors import MlopsError
from mlops_tui.records import Signature, WindowReport

if TYPE_CHECKING:  # core carries no pydantic
    from mlops_tui.config import PipelineFile, Target

T = TypeVar("T")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Model:
    """The model that a cycle at a moment makes; `sets` are the numbers of the rows that train, validate and test it."""

    at: datetime
    scorer: Scorer
    trained: Trained
    sets: dict[str, Ints]
    seconds: float  # of CPU, to train

    def is_new(self, numbers: Ints) -> Any:
        """Return for each row whether the model learned nothing from it, neither to train nor to stop or calibrate."""
        return ~np.isin(numbers, np.concatenate([self.sets["train"], self.sets["validation"]]))


@dataclass(frozen=True, slots=True)
class Stage:
    """What all rule sets share: n windows between n + 1 `edges`, their data faults, and the models of n cut-offs.

    `models` gives the model that a cycle at an edge makes, or why none can be made. `memo` holds all that has been
    measured, with the CPU seconds that it took.
    """

    settings: PipelineFile
    history: History
    edges: tuple[datetime, ...]
    faults: tuple[tuple[str, ...], ...]
    models: Callable[[int], Model | str]
    cpu: Clock
    memo: dict[Hashable, tuple[Any, float]] = field(default_factory=dict)


Spent = dict[Hashable, float]
"""The CPU seconds of all that a rule set asked for, by what it was."""


def learn(
    history: History, at: datetime, train: Callable[[pl.DataFrame], Trained], settings: Target, cpu: Clock
) -> Model | str:
    """Return the model that is trained on what was known at a moment, or why none can be."""
    numbers, begun = history.known(at), cpu()
    frame = history.rows(numbers, at)
    try:
        trained = train(frame)
    except MlopsError as error:
        return error.message
    if trained.rows.height > frame.height:
        raise RuntimeError(f"a leak: as of {at} {frame.height} rows were known, and {trained.rows.height} trained")
    scorer = scoring.load(trained.booster, trained.transform, trained.signature, trained.calibration)
    parts = trained.rows.partition_by("set", as_dict=True, include_key=False)
    sets = {str(name): part["row"].to_numpy() for (name,), part in parts.items()}
    query = target.queries(frame, settings)
    if query is not None:  # as the answers that a training keeps, in which rows of a query stand together
        sets["test"] = sets["test"][np.argsort(query[sets["test"]], kind="stable")]
    found = {name: numbers[rows] for name, rows in sets.items()}
    return Model(at, scorer, replace(trained, rows=trained.rows.clear()), found, cpu() - begun)


def faults(history: History, edges: Sequence[datetime], first: Model, settings: PipelineFile) -> list[tuple[str, ...]]:
    """Return the data faults of every window against the first model's reference sample, the same for all rule sets.

    A window of fewer rows than are judged has none.
    """
    basis = drift.basis(first.scorer.signature, first.trained.reference, settings.data.time)
    found = []
    for start, end in pairwise(edges):
        rows = history.rows(history.window(start, end), end)
        judged = rows.height >= settings.monitor.min_rows
        served = _served(first.scorer.signature, rows)
        seen = drift.features(basis, served, settings.monitor.false_alarms) if judged else ()
        found.append(tuple(f"{one.feature}: {one.fault}" for one in seen if one.fault))
    return found


def once(stage: Stage, spent: Spent, key: Hashable, measure: Callable[[], T]) -> T:
    """Return what was measured under a key, measuring it the first time; whoever asks has spent what it took."""
    if key not in stage.memo:
        begun = stage.cpu()
        found = measure()
        stage.memo[key] = found, stage.cpu() - begun
    kept: T
    kept, spent[key] = stage.memo[key]
    return kept


def model(stage: Stage, spent: Spent, number: int) -> Model | str:
    """Return the model of a cut-off, or why there is none."""
    found = stage.models(number)
    spent["model", number] = found.seconds if isinstance(found, Model) else 0.0
    return found


# ── how a champion does ──────────────────────────────────────────────────────────────────────────


def value(stage: Stage, champion: Model, window: int) -> float | None:
    """Return the watched metric on a window with all its labels, however late they came.

    None if it is undefined, and if the window has fewer labels than are judged.
    """

    def measure() -> float | None:
        start, end = stage.edges[window : window + 2]
        rows = stage.history.rows(stage.history.window(start, end), end)
        rows = rows.drop_nulls([name for name in (settings.column, settings.weight) if name])
        if rows.height < stage.settings.monitor.min_rows:
            return None
        found = metrics.value(_answers(champion.scorer, rows, settings), metric)
        return found if math.isfinite(found) else None

    settings, metric = stage.settings.target, stage.settings.watched_metric
    return once(stage, {}, ("value", champion.at, window), measure)


def _answers(scorer: Scorer, rows: pl.DataFrame, settings: Target) -> metrics.Answers:
    """Truth and scores of labelled rows; a class that the model does not know has the probability 0."""
    signature = scorer.signature
    strange = _strange(rows[settings.column], signature) if signature.task == "multiclass" else []
    wider = replace(signature, classes=(*signature.classes, *strange))
    scores = scoring.score(scorer, frame_for(signature, rows))
    if strange:
        scores = np.hstack([scores, np.zeros((rows.height, len(strange)))])
    truth, query = target.codes(rows[settings.column], wider), target.queries(rows, settings)
    return metrics.Answers(signature.task, truth, scores, query, signature.quantile, signature.threshold)


def _strange(column: pl.Series, signature: Signature) -> list[str]:
    """The labels that a model does not know, as text."""
    column, kind = canonical(column.to_frame()).to_series(), parse_type(signature.target_dtype)
    text = (column.cast(kind) if column.dtype.is_numeric() and kind.is_numeric() else column).cast(pl.String)
    return sorted(set(text.drop_nulls()) - set(signature.classes))


def report(stage: Stage, spent: Spent, champion: Model, window: int, now: datetime) -> WindowReport:
    """Return what a window of the champion's answers showed at a moment, when not all its labels were known."""
    start, end = stage.edges[window : window + 2]
    known = max(start, min(end, now - stage.history.delay))
    stick = once(stage, spent, ("yardstick", champion.at), lambda: _yardstick(stage, champion))

    def look() -> WindowReport:
        rows = stage.history.rows(stage.history.window(start, end), now)
        unknown = stage.history.before(end) - stage.history.before(known)
        return monitor.look(
            stick, _scored(champion.scorer, rows, unknown), (start, end, stage.edges.index(champion.at)), options
        )

    options = stage.settings.monitor.model_copy(update={"multivariate": False})
    return once(stage, spent, ("window", champion.at, window, known), look)


def _yardstick(stage: Stage, champion: Model) -> monitor.Yardstick:
    trained, settings = champion.trained, stage.settings
    rows = stage.history.rows(champion.sets["test"], champion.at)
    return monitor.yardstick(
        champion.scorer, trained.reference, (trained.test, rows), settings.watched_metric, settings.data.time
    )


def _served(signature: Signature, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as a service reads them, with what they carry for others to read."""
    inputs = frame_for(signature, rows)
    return inputs.hstack([rows[one] for one in signature.extras if one in rows.columns and one not in inputs.columns])


def _scored(scorer: Scorer, rows: pl.DataFrame, unknown: int) -> pl.DataFrame:
    """Rows as they were answered, and their labels; without those of so many newest rows, and of unknown classes."""
    signature, served = scorer.signature, _served(scorer.signature, rows)
    label = rows[signature.target]
    known = pl.Series([True]).new_from_index(0, rows.height - unknown).extend_constant(False, unknown)
    if signature.task == "multiclass":
        known &= ~label.cast(pl.String).is_in(_strange(label, signature))
    labels = label.set(~known, None)
    return served.hstack([labels, *samples.score_columns(signature, scoring.score(scorer, served))])
