"""Model versions → their curves, metrics and slices, on the same rows that none of them has learned from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_tui.errors import InvalidInput, NotFound
from mlops_tui.flows import lookup
from mlops_tui.flows.release import gates
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import (
    METRICS,
    Breakdown,
    Contest,
    MetricDifference,
    ModelVersion,
    Run,
    Task,
    Transform,
    from_json,
)

if TYPE_CHECKING:
    import polars as pl

    from mlops_tui.config import Gate, Target
    from mlops_tui.core.metrics import Answers

MOST_VALUES = 20  # of a categorical feature that slices where no gate says by what


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where models meet: labelled rows of the dataset version that the newest of them was trained on."""

    newest: ModelVersion
    run: Run
    target: Target
    rows: pl.DataFrame
    left_out: int | None


def curves(workspace: Workspace, reference: str, versus: str | None = None) -> Contest:
    """Return the curves, metrics and slices of a model version on its test rows; with another, of both and who leads.

    Two are measured on those test rows of the newer one that the older has not learned from. Raises NotFound where
    these rows are not here or there are none, InvalidInput where the two cannot be compared.
    """
    from mlops_tui.core import curves as core

    first = lookup.model_version(workspace, reference)
    second = lookup.model_version(workspace, versus) if versus is not None else None
    newest, older = first, second
    if second is not None and (second.created_at, second.version) > (first.created_at, first.version):
        newest, older = second, first
    ground = _ground(workspace, newest, older)
    asked = _gates(workspace, newest.model)
    answers, remark = _answers(workspace, ground, older)
    models = [one for one in (first, second) if one is not None]
    both = [answers[one.ref] for one in models]
    edges = core.residual_edges(both)
    return Contest(
        task=newest.task,
        sets=_sets(ground, older),
        rows=ground.rows.height,
        left_out=ground.left_out,
        models=tuple(core.curves(one.ref, answers[one.ref], edges, ground.run.seed) for one in models),
        differences=_differences(both, asked, ground.run.seed) if len(both) == 2 else (),
        breakdowns=_breakdowns(workspace, ground, asked, both),
        remark=remark,
    )


def _ground(workspace: Workspace, newest: ModelVersion, older: ModelVersion | None) -> _Ground:
    from mlops_tui.core.target import labelled

    run = lookup.run(workspace, newest.run)
    target = _target(run)
    dataset, test = lookup.test_rows(workspace, newest)
    known = None
    if older is not None:
        known = lookup.learned(workspace, older, dataset, test)
        if known is not None:
            test = test.filter(~test["row"].is_in(known["row"].implode()))
    if test.is_empty():
        told = f"{older.ref} learned from every test row of {newest.ref}" if older else f"{newest.ref} has no test rows"
        raise NotFound(f"{told}: there is none to measure on", f"mlops models show {newest.ref}")
    rows, _, _ = labelled(lookup.rows_in(lookup.frame(workspace, dataset), test, "test"), target)
    left_out = 0 if older is None else None if known is None else known.height
    return _Ground(newest, run, target, rows, left_out)


def _target(run: Run) -> Target:
    """What a model predicts, as its run had it: the pipeline may say otherwise by now."""
    from mlops_tui.config import Target

    try:
        return Target.model_validate(run.settings["target"])
    except (KeyError, ValueError):
        raise InvalidInput(f"run {run.id} does not say what its model predicts", f"mlops runs show {run.id}") from None


def _answers(workspace: Workspace, ground: _Ground, older: ModelVersion | None) -> tuple[dict[str, Answers], str]:
    """Each model's answers to the rows, by its name, and what is to be told of them."""
    from mlops_tui.core import versus
    from mlops_tui.core.target import answers_for

    newest = ground.newest
    scorer = lookup.scorer(workspace, newest)
    test = answers_for(scorer, ground.rows, ground.target)
    if older is None or older.ref == newest.ref:
        return {newest.ref: test}, ""
    rival = versus.rival(lookup.scorer(workspace, older), scorer, test, ground.rows, ground.target)
    told = rival.remark.partition("; ")[0].replace("the champion", older.ref)  # what follows is for who reads a gate
    told = told.replace("this model", newest.ref)
    if rival.answers is None:
        raise InvalidInput(f"{older.ref} and {newest.ref} cannot be compared: {told}", "mlops models diff OLD NEW")
    return {newest.ref: test, older.ref: rival.answers}, told


def _sets(ground: _Ground, older: ModelVersion | None) -> str:
    """Which rows these are, in words."""
    newest = ground.newest
    test = f"the labelled test rows of {newest.ref} in {newest.dataset}:{newest.dataset_version}"
    if older is None or older.ref == newest.ref:
        return test
    if ground.left_out is None:
        return f"{test}; whether {older.ref} learned from them is not known, as its data is not here"
    return f"{test} that {older.ref} has not learned from"


def _differences(both: list[Answers], asked: Sequence[Gate], seed: int) -> tuple[MetricDifference, ...]:
    """How much better the first is by every metric that is defined for both: as a gate versus the champion judges it.

    By row, with the gate's confidence and the run's seed, so that the gate report has the same figures.
    """
    from mlops_tui.core import metrics
    from mlops_tui.core.curves import CONFIDENCE

    first, second = both
    wanted = {gate.metric: gate.confidence for gate in asked if gate.versus}
    found = []
    for name in METRICS[first.task]:
        confidence = wanted.get(name, CONFIDENCE)
        one = metrics.compare(name, second, first, confidence, seed)
        if math.isfinite(one.difference):
            found.append(MetricDifference(name, one.difference + 0.0, one.low, one.high, one.method, confidence))
    return tuple(found)


def _breakdowns(
    workspace: Workspace, ground: _Ground, asked: Sequence[Gate], both: list[Answers]
) -> tuple[Breakdown, ...]:
    from mlops_tui.core import curves as core

    sliced = _slice_gates(asked, ground.newest.task) or _largest_categorical(workspace, ground)
    return tuple(
        core.breakdown(both, column, gates.slices_of(ground.rows, column), metric)
        for column, metric in sliced
        if column in ground.rows.columns
    )


def _gates(workspace: Workspace, model: str) -> list[Gate]:
    """The gates of a model's pipeline; none where it is not in this workspace."""
    try:
        return lookup.pipeline(workspace, model)[0].gates
    except NotFound:
        return []


def _slice_gates(asked: Sequence[Gate], task: Task) -> list[tuple[str, str]]:
    """The column and metric of each gate by slice."""
    pairs = [(gate.slice, gate.metric) for gate in asked if gate.slice and gate.metric in METRICS[task]]
    return list(dict.fromkeys((column, metric) for column, metric in pairs if metric))


def _largest_categorical(workspace: Workspace, ground: _Ground) -> list[tuple[str, str]]:
    """The categorical column of few values that the newest model looks at most, and its task's first metric."""
    transform = from_json(workspace.objects.get(ground.newest.transform), Transform)
    columns = {one.name: one.column for one in transform.features if one.kind == "categorical"}
    for name, _ in lookup.run_details(workspace, ground.run).importance:
        column = columns.get(name)
        if column in ground.rows.columns and ground.rows[column].n_unique() <= MOST_VALUES:
            return [(column, METRICS[ground.newest.task][0])]
    return []
