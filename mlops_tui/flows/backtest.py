"""dataset version → backtest: history replayed under several rule sets, to see what each would have been worth.

Nothing is written and no lock is held: the same core decides, trains and judges as in a cycle, on what was known then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_tui.adapters.catalogue import build
from mlops_tui.core.verdicts import counted
from mlops_tui.errors import External, InvalidInput, NotFound
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import parse_duration
from mlops_tui.records import LOWER_IS_BETTER, Backtest, DatasetVersion, PolicyResult, Progress, StepResult

if TYPE_CHECKING:
    import polars as pl

    from mlops_tui.config import PipelineFile, RuleSet
    from mlops_tui.core.history import History, Step
    from mlops_tui.core.rehearsal import Model, Stage
    from mlops_tui.core.training import Trained

OURS = ("never", "always", "own", "default")
SHARE = 0.25  # of the labelled rows that are known when a replay starts, where nobody says when
NAMED = 3  # windows named in a remark


def run(
    workspace: Workspace,
    pipeline: str,
    policies: Mapping[str, Path],
    start: datetime | None = None,
    end: datetime | None = None,
    step: str | None = None,
) -> Backtest:
    """Return how the rule sets `never`, `always`, the pipeline's own, the default and those of files would have done.

    From `start` (by default when a quarter of the labelled rows were known) to `end` in steps such as "7d" or "1mo",
    by default `[monitor] window`. Raises InvalidInput where there is nothing to replay.
    """
    from mlops_tui.core import history, replay

    settings, _ = lookup.pipeline(workspace, pipeline)
    step = step or settings.monitor.window
    rule_sets, length = _rule_sets(settings, policies), history.parse_step(step)
    dataset, past = _history(workspace, settings)
    edges = _edges(past, settings, (start, end), length)
    stage = _stage(workspace, settings, past, edges)
    higher = settings.watched_metric not in LOWER_IS_BETTER
    replayed = {}
    for number, (name, rule_set) in enumerate(rule_sets.items()):
        workspace.report(Progress("replay", f"rule set '{name}'", number, len(rule_sets)))
        replayed[name] = replay.replay(stage, rule_set)
    if all(one.value is None for one in replayed["never"].steps):
        raise InvalidInput(f"no window has a value of {settings.watched_metric}", "a longer --step, or another --from")
    found = replay.results(replayed, higher)
    recommended, why = replay.advise(found, settings.watched_metric, higher)
    return Backtest(
        pipeline=settings.name,
        dataset=f"{dataset.dataset}:{dataset.version}",
        metric_name=settings.watched_metric,
        higher=higher,
        start=edges[0],
        end=edges[-1],
        step=step,
        label_delay=settings.data.label_delay,
        policies=found,
        recommended=recommended,
        why=why,
        remarks=tuple(_remarks(stage, rule_sets, found)),
    )


def write(backtest: Backtest, path: Path) -> None:
    """Write a Parquet file with a row for each window of each rule set."""
    import polars as pl

    columns: dict[str, Any] = {
        "policy": pl.String,
        "start": pl.Datetime("us", "UTC"),
        "end": pl.Datetime("us", "UTC"),
        "rows": pl.Int64,
        "value": pl.Float64,
        "model": pl.Int64,
        "fires": pl.Boolean,
        "passed": pl.Boolean,
        "reason": pl.String,
        "faults": pl.List(pl.String),
    }
    rows = [
        {name: getattr(window, name, None) for name in columns} | {"policy": one.policy, "faults": list(window.faults)}
        for one in backtest.policies
        for window in one.windows
    ]
    try:
        pl.DataFrame(rows, schema=columns).write_parquet(path)
    except OSError as error:
        raise External(f"cannot write {path}: {error.strerror or error}") from None


# ── what is replayed ─────────────────────────────────────────────────────────────────────────────


def _rule_sets(settings: PipelineFile, policies: Mapping[str, Path]) -> dict[str, RuleSet]:
    """Every rule set by its name; quiet hours, which move a cycle by less than a step, are left out."""
    from mlops_tui.config import Policy, Rule, RuleSet, load_rules

    taken = next((name for name in policies if name in OURS), None)
    if taken is not None:
        raise InvalidInput(f"--policy {taken}: {', '.join(OURS)} are in every backtest; give yours another name")
    default, own = RuleSet(), settings.rule_set
    # whenever rows have come, however soon and whatever is wrong with them
    always = RuleSet(
        rules=[Rule(when="new_data", name="always", rows=1)], policy=Policy(cooldown="0s", on_fault="ignore")
    )
    found = {"never": RuleSet(rules=[]), "always": always, "own": own}
    if (own.chosen, own.policy) != (default.chosen, default.policy):
        found["default"] = default
    found |= {name: load_rules(path) for name, path in policies.items()}
    return {name: _awake(one) for name, one in found.items()}


def _awake(rule_set: RuleSet) -> RuleSet:
    return rule_set.model_copy(update={"policy": rule_set.policy.model_copy(update={"quiet_hours": []})})


def _history(workspace: Workspace, settings: PipelineFile) -> tuple[DatasetVersion, History]:
    """The newest dataset version that keeps its contract, in the order of time."""
    from mlops_tui.core import history

    if settings.data.time is None:
        raise InvalidInput(
            f"'{settings.name}' has no event time, and so no history to replay",
            'name the column of the event\'s time: [data] time = "…"',
        )
    with workspace.catalogue.read() as act:
        found = build.good_dataset_version(act, settings.data.dataset)
    if found is None:
        raise NotFound(
            f"dataset '{settings.data.dataset}' has no version that keeps its contract",
            f"mlops datasets refresh {settings.data.dataset}",
        )
    frame = lookup.frame(workspace, found).collect()
    for name in (settings.data.time, settings.target.column):
        if name not in frame.columns:
            raise InvalidInput(f"{found.dataset}:{found.version} has no column '{name}'")
    delay = timedelta(seconds=parse_duration(settings.data.label_delay))
    return found, history.history(frame, settings.data.time, settings.target.column, delay)


def _edges(
    past: History, settings: PipelineFile, asked: tuple[datetime | None, datetime | None], step: Step
) -> tuple[datetime, ...]:
    """The moments between which the windows lie."""
    from mlops_tui.core import history

    start, end = (one.replace(tzinfo=UTC) if one and one.tzinfo is None else one for one in asked)
    labelled = past.known(datetime.max.replace(tzinfo=UTC))
    fewest = max(math.ceil(SHARE * len(labelled)), settings.data.checks.min_rows, settings.monitor.min_rows)
    if len(labelled) <= fewest:
        rows = counted(len(labelled), "labelled row")
        raise InvalidInput(
            f"{rows}: too few to replay, as {fewest:,} must be known when it starts",
            "more data, or a lower min_rows in [monitor] or [data.checks]",
        )
    start = start or step.next(past.time(labelled[fewest - 1]) + past.delay)
    if len(past.known(start)) < settings.data.checks.min_rows:
        known, least = counted(len(past.known(start)), "labelled row"), settings.data.checks.min_rows
        raise InvalidInput(
            f"{known} known at {start:%Y-%m-%d %H:%M} UTC; [data.checks] min_rows asks for {least}",
            f"a later --from: at {step.next(past.time(labelled[fewest - 1]) + past.delay):%Y-%m-%d} there are enough",
        )
    covering = step.next(past.time(-settings.monitor.min_rows), start)  # what few rows come after it is not judged
    return history.edges(start, min(end or covering, covering), step)


# ── trainings ────────────────────────────────────────────────────────────────────────────────────


def _stage(workspace: Workspace, settings: PipelineFile, past: History, edges: tuple[datetime, ...]) -> Stage:
    """Train the model of every edge but the last: which of them a rule set asks for, only the replay shows.

    The first model finds the data faults, whose rows are in no later training.
    """
    from mlops_tui.core import rehearsal

    first = _learned(settings, past, edges[0])
    if isinstance(first, str):
        raise InvalidInput(f"no model could be trained at {edges[0]:%Y-%m-%d %H:%M} UTC: {first}", "a later --from")
    faults = rehearsal.faults(past, edges, first, settings)
    sound = past.without([span for span, broken in zip(pairwise(edges), faults, strict=True) if broken])
    models = [first, *_ahead(workspace, settings, sound, edges[1:-1])]
    return rehearsal.Stage(settings, sound, edges, tuple(faults), models.__getitem__, time.process_time)


def _ahead(
    workspace: Workspace, settings: PipelineFile, past: History, cuts: tuple[datetime, ...]
) -> Iterator[Model | str]:
    """The models of cut-offs, in their order, trained side by side; one thread each, so that each gives the same."""
    with ThreadPoolExecutor(workspace.threads) as pool:
        try:
            coming = [pool.submit(_learned, settings, past, cut) for cut in cuts]
            for number, (cut, one) in enumerate(zip(cuts, coming, strict=True), 1):
                yield one.result()
                workspace.report(Progress("train", f"as of {cut:%Y-%m-%d}", number, len(cuts)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _learned(settings: PipelineFile, past: History, cut: datetime) -> Model | str:
    """The model of a cut-off; CPU time is that of the thread, as LightGBM with one thread works in its caller's."""
    from mlops_tui.core import rehearsal, training

    # folds are told in a run's report, and decide nothing
    lean = settings.model_copy(update={"split": settings.split.model_copy(update={"folds": 0})})

    def train(frame: pl.DataFrame) -> Trained:
        return training.train(frame, lean, threads=1, cpu=time.thread_time)

    return rehearsal.learn(past, cut, train, settings.target, time.thread_time)


# ── what is to be known of it ────────────────────────────────────────────────────────────────────


def _remarks(stage: Stage, rule_sets: Mapping[str, RuleSet], found: tuple[PolicyResult, ...]) -> Iterator[str]:
    """What a reader has to know of how the replay differs from what would have been."""
    from mlops_tui.core.contest import UNMEASURED

    settings, windows = stage.settings, found[0].windows
    broken = [window for window in windows if window.faults]
    if broken:
        yield (
            f"{counted(len(broken), 'window')} with a data fault: {_days(broken)}; no rule set, never and always "
            f"included, learned from their rows"
        )
    blank = [window for window in windows if window.value is None]
    if blank:
        count, metric = counted(len(blank), "window"), settings.watched_metric
        yield f"{count} without {metric}, for few labels or one class: {_days(blank)}"
    if any(gate.check in UNMEASURED for gate in settings.gates):
        yield f"gates judged all but {', '.join(sorted(UNMEASURED))}, which needs a process of its own"
    kinds = {kind for rule_set in rule_sets.values() for rule in rule_set.chosen for kind in rule.kinds()}
    if "change" in kinds:
        yield "the rule change never fires: a replay changes nothing but the data"
    if kinds & {"schedule", "age"}:
        yield "rules are evaluated when a window ends: a schedule or an age that comes due within it waits until then"
    without = [model for model in map(stage.models, range(len(windows))) if isinstance(model, str)]
    if without:
        yield f"at {len(without)} of {len(windows)} moments no challenger could be trained: {without[-1]}"


def _days(windows: Sequence[StepResult]) -> str:
    """When the first of some windows were, and the first fault of each."""
    named = [f"{one.start:%Y-%m-%d}{f' ({one.faults[0]})' if one.faults else ''}" for one in windows[:NAMED]]
    return ", ".join(named) + (f" and {len(windows) - NAMED} more" if len(windows) > NAMED else "")
