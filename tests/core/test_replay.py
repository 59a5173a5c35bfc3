"""The replay: what was known when, what models and rules would have done, that nothing leaks, and what is advised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.config import PipelineFile, RuleSet
from mlops_tui.core import metrics, rehearsal, replay, scoring
from mlops_tui.core.history import History, edges, history, parse_step
from mlops_tui.core.rehearsal import Model, Stage
from mlops_tui.core.replay import Replayed, advise, results
from mlops_tui.core.training import Trained, train
from mlops_tui.errors import InvalidInput
from mlops_tui.records import METRICS, PolicyResult, StepResult
from tests.core.made import TARGETS, pipeline

DAY0 = datetime(2024, 1, 1, tzinfo=UTC)
DAYS, PER_DAY = 40, 60
START, STEP = DAY0 + timedelta(days=16), "4d"
Trainer = Callable[[pl.DataFrame], Trained]


def day(number: float) -> datetime:
    return DAY0 + timedelta(days=number)


def stream(days: int = DAYS, turn: float = 22, seed: int = 0) -> pl.DataFrame:
    """A stream in which the distance, which meant nothing, makes flights late from the day `turn` on."""
    rng = np.random.default_rng(seed)
    rows = days * PER_DAY
    at = np.arange(rows) / PER_DAY
    wind, rain, distance = rng.normal(size=rows), rng.random(rows) < 0.3, rng.integers(100, 3000, rows)
    carrier = np.array(["AA", "B6", "DL", "UA"])[rng.integers(0, 4, rows)]
    signal = wind + (carrier == "B6") + np.where(at < turn, 0, np.where(distance > 1500, 2.5, -2.5))
    when = pl.Series("when", (at * 86_400e6).astype(np.int64)).cast(pl.Datetime("us")) + timedelta(days=19723)
    return pl.DataFrame(
        {
            "id": np.arange(rows),
            "when": when,
            "wind": wind,
            "distance": distance,
            "carrier": carrier,
            "rain": rain,
            "late": pl.Series(rng.random(rows) < 1 / (1 + np.exp(-2 * signal))).set(
                pl.Series(rng.random(rows) < 0.02), None
            ),
            "delay": signal * 10 + rng.normal(size=rows),
            "grade": np.array(["a", "b", "c"])[np.clip(np.round(signal + 1), 0, 2).astype(int)],
            "relevance": np.clip(np.round(signal + 1), 0, 3).astype(int),
            "search": np.arange(rows) // 15,
        }
    )


def settings_of(task: str = "binary", **sections: Any) -> PipelineFile:
    given = {
        "data": {"dataset": "flights", "source": "x.parquet", "time": "when", "key": ["id"]},
        "train": {"rounds": 12, "early_stopping": 4, "seed": 7, "params": {"min_data_in_leaf": 20}},
        "gates": [{"metric": METRICS[task][0], "versus": "champion", "margin": 0.05}],
        "monitor": {"min_rows": 100},
    }
    return pipeline(task, **(given | sections))


SETTINGS = settings_of()


def rule_set(*found: dict[str, Any], **policy: Any) -> RuleSet:
    return RuleSet.model_validate({"rules": list(found), "policy": policy})


NEVER = rule_set()
ALWAYS = rule_set({"when": "new_data", "name": "always", "rows": 1}, cooldown="0s", on_fault="ignore")
GAIN = rule_set({"when": "gain"})
WATCHFUL = rule_set(
    {"when": "drift"}, {"when": "decay", "drop": 0.03}, {"when": "estimated_decay"}, {"when": "age", "days": 9}
)


def stage_of(
    frame: pl.DataFrame, settings: PipelineFile = SETTINGS, *, end: datetime | None = None,
    delay: timedelta = timedelta(), trainer: Trainer | None = None,
) -> Stage:  # fmt: skip
    """A stage as the flow makes it; models are trained when they are asked for."""
    past = history(frame, "when", settings.target.column, delay)
    learn = partial(rehearsal.learn, train=trainer or partial(train, settings=settings, threads=1))
    moments = edges(START, end or day(DAYS), parse_step(STEP))
    first = learn(past, moments[0], settings=settings.target, cpu=lambda: 0.0)
    assert isinstance(first, Model), first
    faults = rehearsal.faults(past, moments, first, settings)
    sound = past.without([span for span, broken in zip(pairwise(moments), faults, strict=True) if broken])

    @cache
    def model(number: int) -> Model | str:
        return learn(sound, moments[number], settings=settings.target, cpu=lambda: 0.0) if number else first

    return Stage(settings, sound, moments, tuple(faults), model, lambda: 0.0)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return stage_of(stream())


# ── steps ────────────────────────────────────────────────────────────────────────────────────────


def test_months_are_the_calendars() -> None:
    found = edges(datetime(2023, 12, 31, tzinfo=UTC), datetime(2024, 4, 30, tzinfo=UTC), parse_step("1mo"))
    assert [f"{one:%m-%d}" for one in found] == ["12-31", "01-31", "02-29", "03-31", "04-30"]


@pytest.mark.parametrize(
    ("step", "at", "expected"),
    [
        ("1mo", "2024-02-10", "2024-03-01"),
        ("1mo", "2024-12-31", "2025-01-01"),
        ("3mo", "2024-02-10", "2024-04-01"),
        ("7d", "2024-01-01", "2024-01-08"),
        ("7d", "2024-01-03", "2024-01-08"),
        ("1d", "2024-01-03", "2024-01-04"),
    ],
)
def test_a_replay_begins_where_a_step_of_the_calendar_does(step: str, at: str, expected: str) -> None:
    found = parse_step(step).next(datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert f"{found:%Y-%m-%d}" == expected


@given(st.integers(0, 3000), st.integers(0, 3000), st.sampled_from(["1mo", "5mo", "7d", "36h"]))
def test_the_next_edge_is_the_first_one_after(origin: int, later: int, step: str) -> None:
    parsed, start = parse_step(step), day(origin / 7)
    at = start + timedelta(days=later / 5)
    found = parsed.next(at, start)
    every = [parsed.after(start, count) for count in range(1, 2 + later // 5)]
    assert found == next(edge for edge in every if edge > at)


def test_the_last_window_ends_where_the_replay_does() -> None:
    assert edges(day(0), day(10), parse_step("4d")) == (day(0), day(4), day(8), day(10))


@pytest.mark.parametrize("step", ["0d", "mo", "0mo", "1y", "0.5s", "9999999d", ""])
def test_a_step_that_is_none_is_refused(step: str) -> None:
    with pytest.raises(InvalidInput, match="step"):
        parse_step(step)


def test_no_window_and_too_many_windows_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no window"):
        edges(day(3), day(3), parse_step("1d"))
    with pytest.raises(InvalidInput, match=r"more than 1,000 windows"):
        edges(day(0), day(300), parse_step("1h"))
    assert len(edges(day(0), day(1000), parse_step("1d"))) == 1001


# ── what was known ───────────────────────────────────────────────────────────────────────────────


def past_of(delay: float = 0.0, frame: pl.DataFrame | None = None) -> History:
    return history(stream() if frame is None else frame, "when", "late", timedelta(days=delay))


def test_labels_are_known_after_their_delay_and_rows_at_once() -> None:
    past, frame = past_of(2.5), stream()
    before = frame.filter(pl.col("when") < day(10 - 2.5).replace(tzinfo=None))
    assert past.known(day(10)).tolist() == before.filter(pl.col("late").is_not_null())["id"].to_list()
    assert past.arrived(day(10)) == 10 * PER_DAY


def test_rows_are_put_in_order_and_those_without_a_time_left_out() -> None:
    frame = stream().with_columns(pl.when(pl.col("id") != 7).then(pl.col("when")).alias("when"))
    past = past_of(frame=frame.reverse())
    assert past.frame["when"].is_sorted()
    assert past.frame.height == frame.height - 1


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", None])
def test_times_are_moments_in_any_zone(zone: str | None) -> None:
    moments = stream().with_columns(pl.col("when").dt.replace_time_zone("UTC"))
    frame = moments.with_columns(pl.col("when").dt.convert_time_zone(zone)) if zone else stream()
    assert past_of(frame=frame).before(day(10)) == 10 * PER_DAY


def test_a_number_is_no_time_to_replay() -> None:
    with pytest.raises(InvalidInput, match="'id' has type Int64; a replay needs a time"):
        history(stream(), "id", "late", timedelta())


def test_a_history_gives_no_row_of_the_future() -> None:
    past = past_of()
    with pytest.raises(RuntimeError, match="a leak"):
        past.rows(past.window(day(9), day(11)), day(10))


def test_the_calendar_begins_before_the_oldest_label_was_known() -> None:
    assert len(past_of(3650).known(datetime.min.replace(tzinfo=UTC))) == 0


def test_every_label_that_a_replay_learns_from_had_come_by_then() -> None:
    delay, taught = timedelta(days=3), list[datetime]()

    def trainer(known: pl.DataFrame) -> Trained:
        taught.append(known["when"].max().replace(tzinfo=UTC))  # type: ignore[union-attr]
        return train(known, SETTINGS, threads=1)

    stage = stage_of(stream(), delay=delay, trainer=trainer)
    for one in (ALWAYS, GAIN, WATCHFUL):
        replay.replay(stage, one)
    early = [edge - delay - newest for edge, newest in zip(stage.edges[:-1], taught, strict=True)]
    assert all(timedelta() < one < timedelta(hours=2) for one in early)  # all that had come, and no more


def test_a_window_has_no_label_that_was_not_known_yet() -> None:
    stage = stage_of(stream(), delay=timedelta(days=1))
    champion = rehearsal.model(stage, {}, 0)
    assert isinstance(champion, Model)
    labels = [rehearsal.report(stage, {}, champion, 0, day(at)).labelled for at in (20, 20.5, 21, 24)]
    every = stream().filter(pl.col("when").is_between(START.replace(tzinfo=None), day(20).replace(tzinfo=None), "left"))
    assert labels[0] < labels[1] < labels[2] == labels[3] == every["late"].count()
    early = every.filter(pl.col("when") < day(19).replace(tzinfo=None))
    assert labels[0] == early["late"].count()


# ── what would have been ─────────────────────────────────────────────────────────────────────────


def test_never_is_what_a_plain_loop_gives(stage: Stage) -> None:
    frame = stream()
    known = frame.filter((pl.col("when") < START.replace(tzinfo=None)) & pl.col("late").is_not_null())
    made = train(known, SETTINGS, threads=1)
    scorer = scoring.load(made.booster, made.transform, made.signature, made.calibration)
    expected = []
    for start, end in pairwise(stage.edges):
        inside = pl.col("when").is_between(start.replace(tzinfo=None), end.replace(tzinfo=None), "left")
        rows = frame.filter(inside & pl.col("late").is_not_null())
        truth = rows["late"].cast(pl.Float64).to_numpy()
        expected.append(metrics.value(metrics.Answers("binary", truth, scoring.score(scorer, rows)), "auc"))
    found = replay.replay(stage, NEVER)
    assert [one.value for one in found.steps] == expected
    assert not any(one.fires or one.passed or one.model for one in found.steps)


def test_always_retrains_after_every_window_and_is_better_after_a_turn(stage: Stage) -> None:
    found, never = replay.replay(stage, ALWAYS), replay.replay(stage, NEVER)
    assert all(one.fires for one in found.steps[:-1])
    assert found.steps[0].value == never.steps[0].value
    assert found.steps[-1].value > never.steps[-1].value + 0.1
    assert len(found.bought) == sum(one.passed for one in found.steps)


def test_gain_asks_when_a_turn_shows_and_says_why(stage: Stage) -> None:
    found = replay.replay(stage, GAIN)
    cycles = [one for one in found.steps if one.passed]
    assert [one.end for one in cycles] == [day(32), day(36)]
    assert "the challenger passed the gates" in cycles[0].reason
    assert found.bought[0] > 0.1
    assert found.steps[-1].model == len(cycles)


def test_a_challenger_that_fails_a_gate_leaves_the_champion_and_counts_for_the_cooldown() -> None:
    gates = [{"metric": "auc", "min": 0.99}, {"check": "latency_p99_ms", "max": 0.001}, {"check": "leak"}]
    stage = stage_of(stream(turn=99), settings_of(gates=gates))
    found = replay.replay(stage, rule_set({"when": "new_data", "rows": 1}, cooldown="8d"))
    assert [one.fires for one in found.steps] == [False, True, False, True, False, False]
    (counted,) = results({"never": found}, True)
    assert (counted.cycles, counted.refused) == (2, 2)
    assert "the challenger was refused: auc ≥ 0.99" in found.steps[1].reason
    assert "cooldown is 8d" in found.steps[2].reason
    assert [one.value for one in found.steps] == [one.value for one in replay.replay(stage, NEVER).steps]


def test_weeks_are_counted_in_the_time_of_the_replay(stage: Stage) -> None:
    found = replay.replay(stage, rule_set({"when": "new_data", "rows": 1}, cooldown="0s", max_cycles_per_week=1))
    fired = [one.end for one in found.steps if one.fires]
    assert [fired[0] - START, *(later - earlier for earlier, later in pairwise(fired))] == [timedelta(days=8)] * len(
        fired
    )


def test_a_schedule_fires_at_the_end_of_the_window_in_which_it_is_due(stage: Stage) -> None:
    found = replay.replay(stage, rule_set({"when": "schedule", "cron": "0 12 22 * *"}))
    assert [one.end for one in found.steps if one.fires] == [day(24)]


def test_growth_counts_from_the_rows_that_the_champion_was_given(stage: Stage) -> None:
    found = replay.replay(stage, rule_set({"when": "new_data", "growth": 0.5}, cooldown="0s"))
    assert found.steps[1].fires
    assert not found.steps[0].fires
    assert "50 %" in found.steps[1].reason


def test_nothing_but_the_data_changes_in_a_replay(stage: Stage) -> None:
    assert not any(one.fires for one in replay.replay(stage, rule_set({"when": "change"})).steps)


def test_what_a_rule_set_costs_does_not_depend_on_who_asked_before() -> None:
    ticks = iter(range(10**9))
    stage = replace(stage_of(stream()), cpu=lambda: float(next(ticks)))
    alone = replay.replay(replace(stage, memo={}), WATCHFUL).seconds
    for one in (ALWAYS, GAIN):
        replay.replay(stage, one)
    assert replay.replay(stage, WATCHFUL).seconds == alone


@pytest.mark.parametrize("task", [task for task in TARGETS if task != "binary"])
def test_every_task_can_be_replayed(task: str) -> None:
    stage = stage_of(stream(28), settings_of(task), end=day(28))
    for one in (ALWAYS, GAIN, WATCHFUL):
        found = replay.replay(stage, one)
        assert all(step.value is not None for step in found.steps)
        assert len(found.steps) == 3


def test_a_class_that_comes_later_counts_against_models_that_do_not_know_it() -> None:
    late = pl.when((pl.col("when") >= day(20).replace(tzinfo=None)) & (pl.col("distance") < 600)).then(pl.lit("d"))
    frame = stream(turn=99).with_columns(late.otherwise(pl.col("grade")).alias("grade"))
    monitor = {"min_rows": 100, "metric": "accuracy"}
    stage = stage_of(frame, settings_of("multiclass", monitor=monitor, gates=[]))
    never, always = (replay.replay(stage, one).steps for one in (NEVER, ALWAYS))
    assert never[0].value > never[1].value + 0.05
    assert always[-1].value > never[-1].value + 0.05
    assert replay.replay(stage, WATCHFUL).steps[-1].value is not None


def test_a_window_with_one_class_or_few_rows_has_no_value() -> None:
    inside = pl.col("when").is_between(day(20).replace(tzinfo=None), day(24).replace(tzinfo=None), "left")
    one_class = stream().with_columns(pl.when(inside).then(False).otherwise(pl.col("late")).alias("late"))
    few = stream().filter(~inside | (pl.col("id") % 9 == 0))
    for frame in (one_class, few):
        found = replay.replay(stage_of(frame), WATCHFUL)
        assert [number for number, one in enumerate(found.steps) if one.value is None] == [1]


def test_where_no_challenger_can_be_trained_the_champion_stays_and_it_is_said() -> None:
    def trainer(known: pl.DataFrame) -> Trained:
        if known.height > 25 * PER_DAY:
            raise InvalidInput("the disk is an ash tray")
        return train(known, SETTINGS, threads=1)

    stage = stage_of(stream(), trainer=trainer)
    always, gain = replay.replay(stage, ALWAYS), replay.replay(stage, GAIN)
    assert "no challenger could be trained: the disk is an ash tray" in always.steps[3].reason
    assert not always.steps[3].passed
    assert "no trial challenger could be trained" in gain.steps[3].reason


# ── nothing leaks ────────────────────────────────────────────────────────────────────────────────


def prefix_holds(
    make: Callable[[pl.DataFrame], pl.DataFrame], one: RuleSet, cut: float,
    trainer: Callable[[pl.DataFrame], Trainer] | None = None,
) -> bool:  # fmt: skip
    """Whether a replay up to a moment is the same with the data as they were then, and with those of today."""
    raw = stream()
    frames = make(raw), make(raw.filter(pl.col("when") < day(cut).replace(tzinfo=None)))
    today, then = (
        replay.replay(stage_of(frame, end=day(cut), trainer=trainer(frame) if trainer else None), one).steps
        for frame in frames
    )
    return today == then


RULE_SETS = pytest.mark.parametrize("one", [ALWAYS, GAIN, WATCHFUL], ids=["always", "gain", "watchful"])


@RULE_SETS
@pytest.mark.parametrize("cut", [24, 33, 37.5])
def test_what_comes_later_changes_nothing_before(one: RuleSet, cut: float) -> None:
    assert prefix_holds(lambda frame: frame, one, cut)


@RULE_SETS
def test_a_replay_that_ends_earlier_is_the_beginning_of_one_that_goes_on(one: RuleSet, stage: Stage) -> None:
    *shorter, last = replay.replay(stage_of(stream(), end=day(32)), one).steps
    longer = replay.replay(stage, one).steps
    assert shorter == list(longer[: len(shorter)])
    same = longer[len(shorter)]
    assert (last.value, last.model, last.rows) == (same.value, same.model, same.rows)


def beyond(frame: pl.DataFrame, known: pl.DataFrame) -> Trained:
    """A training on four more days than were known."""
    return train(frame.filter(pl.col("when") < known["when"].max() + timedelta(days=4)), SETTINGS, threads=1)  # type: ignore[operator]


def test_a_trainer_that_looks_beyond_its_cut_off_is_stopped() -> None:
    with pytest.raises(RuntimeError, match=r"a leak: as of 2024-01-17 .* 940 rows were known, and 1177 trained"):
        rehearsal.learn(past_of(), START, partial(beyond, stream()), SETTINGS.target, lambda: 0.0)


def test_a_trainer_that_hides_what_it_looked_at_is_seen() -> None:
    def peeking(frame: pl.DataFrame) -> Trainer:
        def trainer(known: pl.DataFrame) -> Trained:
            honest = train(known, SETTINGS, threads=1)
            return replace(beyond(frame, known), rows=honest.rows, test=honest.test)

        return trainer

    assert not prefix_holds(lambda frame: frame, ALWAYS, 22, peeking)


def test_a_trainer_that_asks_the_history_for_the_future_is_stopped() -> None:
    past = past_of()

    def trainer(known: pl.DataFrame) -> Trained:
        return train(past.rows(past.known(day(20)), START), SETTINGS, threads=1)

    with pytest.raises(RuntimeError, match=r"a leak: a row of 2024-01-20 .* was asked for as of 2024-01-17"):
        rehearsal.learn(past, START, trainer, SETTINGS.target, lambda: 0.0)


def test_a_column_that_holds_the_target_of_the_future_is_seen() -> None:
    def mean_of(frame: pl.DataFrame, *steps: int) -> pl.DataFrame:
        late = pl.col("late").cast(pl.Float64).fill_null(0)
        return frame.with_columns(
            pl.mean_horizontal(*(late.shift(step) for step in steps), ignore_nulls=False).alias("wind")
        )

    def leaking(frame: pl.DataFrame) -> pl.DataFrame:
        return mean_of(frame, 0, -1, -20)

    def sound(frame: pl.DataFrame) -> pl.DataFrame:
        return mean_of(frame, 1, 2, 20)

    assert prefix_holds(sound, ALWAYS, 32)
    assert not prefix_holds(leaking, ALWAYS, 32)


# ── a bad batch ──────────────────────────────────────────────────────────────────────────────────


def broken(frame: pl.DataFrame) -> pl.DataFrame:
    inside = pl.col("when").is_between(day(24).replace(tzinfo=None), day(28).replace(tzinfo=None), "left")
    return frame.with_columns(pl.when(inside).then(None).otherwise(pl.col("wind")).alias("wind"))


def test_a_broken_window_is_named_holds_rules_and_teaches_nothing() -> None:
    stage = stage_of(broken(stream(turn=20)))
    greedy = rule_set({"when": "new_data", "rows": 1}, cooldown="0s")
    for one in (greedy, GAIN):
        found = replay.replay(stage, one)
        assert [bool(step.faults) for step in found.steps] == [False, False, True, False, False, False]
        assert found.steps[2].faults[0].startswith("wind: missing in all")
        assert not found.steps[2].fires
    window = stage.history.window(day(24), day(28))
    for number in range(len(stage.edges) - 1):
        model = rehearsal.model(stage, {}, number)
        assert isinstance(model, Model)
        assert not any(np.isin(window, rows).any() for rows in model.sets.values())


def test_models_after_a_broken_window_are_those_of_the_data_without_it() -> None:
    frame = stream()
    inside = pl.col("when").is_between(day(24).replace(tzinfo=None), day(28).replace(tzinfo=None), "left")
    stages = stage_of(broken(frame)), stage_of(frame.filter(~inside))
    for number in (0, 2, 3, 4, 5):
        one, other = (rehearsal.model(stage, {}, number) for stage in stages)
        assert isinstance(one, Model)
        assert isinstance(other, Model)
        assert one.trained.booster == other.trained.booster
    ends = [[step.value for step in replay.replay(stage, ALWAYS).steps[3:]] for stage in stages]
    assert ends[0] == ends[1]


# ── what is advised ──────────────────────────────────────────────────────────────────────────────


def played(values: list[float], cycles: int = 0, refused: int = 0) -> Replayed:
    """A replay in which so many cycles ran, of which the first were refused."""
    steps = [
        StepResult(day(number), day(number + 1), 100, value, 0, number < cycles, refused <= number < cycles, "")
        for number, value in enumerate(values)
    ]
    return Replayed(tuple(steps), (), 1.0)


NONE = played([0.60, 0.61, 0.60, 0.62, 0.60, 0.61])


def taken(higher: bool = True, **others: Replayed) -> tuple[str, str, dict[str, PolicyResult]]:
    found = results({"never": NONE, **others}, higher)
    return *advise(found, "auc", higher), {one.policy: one for one in found}


def test_the_one_is_advised_that_gains_most_for_each_cycle_among_those_that_gain_nearly_the_best() -> None:
    name, why, found = taken(always=played([0.70] * 6, 6, 1), own=played([0.69] * 6, 2), small=played([0.63] * 6, 1))
    assert name == "own"
    assert why == (
        "own gains 0.0833 auc over never retraining, 89 % of what always gains with 6 cycles (1 refused), with "
        "2 cycles: 0.0417 for each, the most of those that gain at least 80 % of the best"
    )
    assert (found["always"].cycles, found["always"].refused) == (6, 1)
    assert found["always"].gain_per_cycle == pytest.approx(found["always"].gain / 6)
    assert found["never"].gain_per_cycle is None
    assert (found["own"].metric, found["own"].worst, found["own"].cycles) == (pytest.approx(0.69), 0.69, 2)


def test_never_is_advised_where_nothing_beats_it_by_more_than_noise() -> None:
    name, why, _ = taken(own=played([0.55, 0.68, 0.55, 0.68, 0.59, 0.62], 2), worse=played([0.5] * 6, 5))
    assert name == "never"
    assert why == (
        "no rule set surely beats never retraining: the best, own, gains 0.0050 auc a window, and its noise is 0.0425"
    )


def test_two_windows_say_nothing() -> None:
    short = results({"never": played([0.5, 0.5]), "own": played([0.9, 0.9], 1)}, True)
    assert advise(short, "auc", True) == (
        "never",
        "no rule set surely beats never retraining: the best, own, gains 0.4000 auc a window, and of fewer than 3 "
        "windows nobody knows the noise",
    )


def test_lower_is_better_where_it_is() -> None:
    name, _, found = taken(False, own=played([0.5] * 6, 1), always=played([0.7] * 6, 5))
    assert name == "own"
    assert found["own"].gain > 0 > found["always"].gain
    assert found["never"].worst == 0.62
