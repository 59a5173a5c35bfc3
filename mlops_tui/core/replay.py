"""What a rule set would have decided, window by window of a history, and what its models would have answered.

history → learn (once for a cut-off) → replay (once for a rule set) → results → advise
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from mlops_tui.core import contest, metrics, rehearsal, rules
from mlops_tui.core.rehearsal import Model, Spent, Stage
from mlops_tui.records import Gain, PolicyResult, StepResult

if TYPE_CHECKING:  # core carries no pydantic
    from mlops_tui.config import RuleSet

WATCHED = frozenset(("windows", "performance", "estimate"))
NEARLY = 0.8  # of the best gain: from there on, what counts is what a cycle brings
NOISE = 2.0  # standard errors that a gain over never must exceed
FEWEST_WINDOWS = 3  # from which the noise of a mean is known
END = "the replay ends here, and nothing more is decided"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A rule set's steps; by challenger that passed, its mean gain over the model before it; and what it all cost."""

    steps: tuple[StepResult, ...]
    bought: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class State:
    """How far a rule set has come: the edge that its champion is of, and the moments that its policy counts."""

    champion: int
    made: int
    cycles: tuple[datetime, ...]  # refused ones too
    checked_at: datetime
    replaced: tuple[tuple[int, int], ...] = ()  # by new champion: the edge of the one before it, and its own


def replay(stage: Stage, rule_set: RuleSet) -> Replayed:
    """Return what a rule set would have done, from the model of the first edge on."""
    begun = stage.edges[0]
    state, spent = State(0, 0, (begun,), begun), Spent()
    _model(stage, spent, 0)
    steps: list[StepResult] = []
    for window in range(len(stage.edges) - 1):
        step, state = _step(stage, rule_set, spent, state, window)
        steps.append(step)
    return Replayed(tuple(steps), _bought(stage, state), math.fsum(spent.values()))


def _model(stage: Stage, spent: Spent, number: int) -> Model:
    """The model of an edge that is known to have one."""
    found = rehearsal.model(stage, spent, number)
    assert isinstance(found, Model), found
    return found


def _step(stage: Stage, rule_set: RuleSet, spent: Spent, state: State, window: int) -> tuple[StepResult, State]:
    """One window: the champion answers, then the rules decide and a cycle may replace it."""
    start, end = stage.edges[window : window + 2]
    champion = _model(stage, spent, state.champion)
    value = rehearsal.value(stage, champion, window)
    rows, faults = len(stage.history.window(start, end)), stage.faults[window]
    if window + 2 == len(stage.edges):
        return StepResult(start, end, rows, value, state.made, False, False, END, faults), state
    judged = rules.evaluate(rule_set, _facts(stage, rule_set, spent, state, window + 1))
    reason, passed = judged.reason, False
    if judged.fires:
        refused = _refused(stage, spent, champion, window + 1)
        reason, passed = f"{reason}; {refused or 'the challenger passed the gates'}", not refused
    step = StepResult(start, end, rows, value, state.made, judged.fires, passed, reason, faults)
    checked = state.checked_at if judged.held else end
    cycles = (*state.cycles, end) if judged.fires else state.cycles
    if passed:
        replaced = (*state.replaced, (state.champion, window + 1))
        return step, State(window + 1, state.made + 1, cycles, checked, replaced)
    return step, State(state.champion, state.made, cycles, checked, state.replaced)


def _refused(stage: Stage, spent: Spent, champion: Model, edge: int) -> str:
    """Why the challenger of an edge is refused; "" if it is not."""
    challenger = rehearsal.model(stage, spent, edge)
    if isinstance(challenger, str):
        return f"no challenger could be trained: {challenger}"
    failed = contest.failed(stage, spent, champion, challenger)
    return f"the challenger was refused: {'; '.join(f'{one.gate}: {one.sentence}' for one in failed)}" if failed else ""


def _facts(stage: Stage, rule_set: RuleSet, spent: Spent, state: State, edge: int) -> rules.Facts:
    """All that the rules could look at when a window had ended: nothing of what came later."""
    now, needed = stage.edges[edge], rules.needs(rule_set)
    champion = _model(stage, spent, state.champion)
    windows = range(state.champion, edge) if needed & WATCHED else ()
    found = _gain(stage, rule_set, spent, champion, edge) if "gain" in needed else None
    return rules.Facts(
        now=now,
        trained_at=champion.at,
        champion=f"{stage.settings.name}:{state.made + 1}",
        checked_at=state.checked_at,
        cycles=state.cycles,
        rows=stage.history.arrived(now),
        trained_rows=stage.history.arrived(champion.at),
        windows=tuple(rehearsal.report(stage, spent, champion, window, now) for window in windows),
        gain=found if isinstance(found, Gain) else None,
        faults=stage.faults[edge - 1],
        why_not={"gain": found} if isinstance(found, str) else {},
    )


def _gain(stage: Stage, rule_set: RuleSet, spent: Spent, champion: Model, edge: int) -> Gain | str:
    """What a trial challenger would have gained, or why that is not known."""
    challenger = rehearsal.model(stage, spent, edge)
    if isinstance(challenger, str):
        return f"no trial challenger could be trained: {challenger}"
    rule = next(leaf for one in rule_set.chosen for leaf in one.leaves() if leaf.when == "gain")
    return contest.gain(stage, spent, champion, challenger, rule.confidence)


def _bought(stage: Stage, state: State) -> tuple[float, ...]:
    """By how much each new champion was better than the one before, on average over the windows that it served."""
    sign, last = _sign(stage), len(stage.edges) - 1
    ends = [own for _, own in state.replaced[1:]] + [last]
    found = []
    for (before, own), end in zip(state.replaced, ends, strict=False):
        models = _model(stage, {}, before), _model(stage, {}, own)
        values = [[rehearsal.value(stage, one, window) for one in models] for window in range(own, end)]
        found.append(_mean([sign * (new - old) for old, new in values if old is not None and new is not None]) or 0.0)
    return tuple(found)


def _sign(stage: Stage) -> int:
    return 1 if metrics.higher_is_better(stage.settings.watched_metric) else -1


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


# ── how they compare ─────────────────────────────────────────────────────────────────────────────


def results(replayed: Mapping[str, Replayed], higher: bool) -> tuple[PolicyResult, ...]:
    """Return how each rule set did; one is named `never`, and at least one window has a value."""
    return tuple(_result(name, one, replayed["never"], higher) for name, one in replayed.items())


def _result(name: str, one: Replayed, never: Replayed, higher: bool) -> PolicyResult:
    values = [step.value for step in one.steps if step.value is not None]
    gain = _mean(_differences(one.steps, never.steps, higher)) or 0.0
    cycles = sum(step.fires for step in one.steps)
    return PolicyResult(
        policy=name,
        metric=fmean(values),
        worst=min(values) if higher else max(values),
        cycles=cycles,
        refused=cycles - sum(step.passed for step in one.steps),
        cpu_seconds=one.seconds,
        gain=gain,
        gain_per_cycle=gain / cycles if cycles else None,  # a refused one costs as much
        windows=one.steps,
        bought=one.bought,
    )


def _differences(steps: tuple[StepResult, ...], never: tuple[StepResult, ...], higher: bool) -> list[float]:
    """By window: how much better than never, where both have a value."""
    pairs = zip(steps, never, strict=True)
    return [
        (one.value - other.value) * (1 if higher else -1)
        for one, other in pairs
        if one.value is not None and other.value is not None
    ]


def advise(found: tuple[PolicyResult, ...], metric: str, higher: bool) -> tuple[str, str]:
    """Return the rule set to take, and why in one sentence.

    Of those that surely beat `never` (by two standard errors of the windows' mean) and gain at least 80 % of what the
    best of them does: the one that gains the most for each cycle that it runs. `never` if none beats it.
    """
    never = next(one for one in found if one.policy == "never")
    sure = [one for one in found if one.gain > _noise(one, never, higher)]
    if not sure:
        best = max((one for one in found if one is not never), key=lambda one: one.gain)
        noise = _noise(best, never, higher)
        unknown = f"of fewer than {FEWEST_WINDOWS} windows nobody knows the noise"
        known = f"its noise is {noise:.4f}" if math.isfinite(noise) else unknown
        return "never", (
            f"no rule set surely beats never retraining: the best, {best.policy}, gains {best.gain:.4f} {metric} a "
            f"window, and {known}"
        )
    best = max(sure, key=lambda one: one.gain)
    near = [one for one in sure if one.gain >= NEARLY * best.gain]
    taken = max(near, key=lambda one: (one.gain_per_cycle or 0.0, one.gain, -one.cpu_seconds))
    share = f"{100 * taken.gain / best.gain:.0f} % of what {best.policy} gains with {_run(best)}"
    return taken.policy, (
        f"{taken.policy} gains {taken.gain:.4f} {metric} over never retraining, "
        f"{'the most of all' if taken is best else share}, with {_run(taken)}: {taken.gain_per_cycle or 0.0:.4f} for "
        f"each, the most of those that gain at least {100 * NEARLY:.0f} % of the best"
    )


def _noise(one: PolicyResult, never: PolicyResult, higher: bool) -> float:
    """Two standard errors of the mean gain over never; infinite for fewer than 3 windows."""
    differences = _differences(one.windows, never.windows, higher)
    if len(differences) < FEWEST_WINDOWS:
        return math.inf
    return NOISE * stdev(differences) / math.sqrt(len(differences))


def _run(one: PolicyResult) -> str:
    """How many cycles ran."""
    refused = f" ({one.refused} refused)" if one.refused else ""
    return f"{one.cycles} cycle{'' if one.cycles == 1 else 's'}{refused}"
