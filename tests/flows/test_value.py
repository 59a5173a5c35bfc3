"""What the default rule is worth on the sample data, against every schedule and growth rule, noise and bad batches."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_tui.flows import backtest, lookup
from mlops_tui.flows.build import datasets
from mlops_tui.flows.workspace import Workspace, init
from mlops_tui.records import Backtest, PolicyResult
from tests import workspaces

APRIL = datetime(2013, 4, 1, tzinfo=UTC)
NO_DELAY = ('label_delay = "1d"', 'label_delay = "0s"')
DEFAULT = '[[rules]]\nwhen = "gain"\n'
SEVERAL = '[[rules]]\nwhen = "drift"\nshare = 0.3\n[[rules]]\nwhen = "decay"\n[[rules]]\nwhen = "age"\ndays = 30\n'


def year() -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((workspaces.SAMPLE / "flights").glob("*.parquet"))])


def make(root: Path, frame: pl.DataFrame, *changes: tuple[str, str]) -> Workspace:
    """A workspace with the sample pipeline, some texts of it changed, and a dataset of these rows."""
    workspace, _ = init(root)
    (root / "data" / "flights").mkdir(parents=True)
    frame.write_parquet(root / "data" / "flights" / "rows.parquet")
    text = (workspaces.SAMPLE / "flight-delay.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (root / "pipelines" / "flight-delay.toml").write_text(text, encoding="utf-8")
    settings, _ = lookup.pipeline(workspace, "flight-delay")
    assert datasets.refresh(workspace, settings.data).version.state == "ok"
    return workspace


def files(root: Path, **texts: str) -> dict[str, Path]:
    """Policy files by name."""
    root.mkdir(exist_ok=True)
    found = {name: root / f"{name}.toml" for name in texts}
    for name, path in found.items():
        path.write_text(texts[name], encoding="utf-8")
    return found


def named(one: Backtest) -> dict[str, PolicyResult]:
    return {policy.policy: policy for policy in one.policies}


def months(one: PolicyResult) -> list[int]:
    """The months after which it retrained."""
    return [window.start.month for window in one.windows if window.passed]


def table(one: Backtest) -> str:
    lines = [
        f"{policy.policy:14} {policy.metric:.4f}  worst {policy.worst:.3f}  gain {policy.gain:+.4f}  cycles "
        f"{policy.cycles:2}, {policy.refused:2} refused  cpu {policy.cpu_seconds:5.1f} s  "
        + " ".join("  .  " if window.value is None else f"{window.value:.3f}" for window in policy.windows[:12])
        for policy in sorted(one.policies, key=lambda policy: -policy.metric)
    ]
    return "\n".join([*lines, f"recommended: {one.recommended}: {one.why}", *one.remarks])


def schedule(every: int, first: int) -> str:
    """Retrain after every so many months, the first time after a month by its number."""
    after = ",".join(str(month + 1) for month in range(first, 12, every))
    return f'[[rules]]\nwhen = "schedule"\ncron = "0 0 1 {after} *"\n'


@pytest.mark.slow
def test_the_default_rule_gains_four_fifths_of_always_with_three_cycles_and_beats_fixed_rules(tmp_path: Path) -> None:
    schedules = {f"every_{k}_from_{at}": schedule(k, at) for k in range(1, 9) for at in range(4, min(4 + k, 12))}
    growths = {f"growth_{g}": f'[[rules]]\nwhen = "new_data"\ngrowth = 0.{g}\n' for g in (20, 30, 50)}
    rivals = files(tmp_path / "policies", gain=DEFAULT, **schedules, **growths)
    workspace = make(tmp_path / "workspace", year(), NO_DELAY)
    done = backtest.run(workspace, "flight-delay", rivals, APRIL, None, "1mo")
    print("\n" + table(done))
    found = named(done)
    default, always = found["gain"], found["always"]
    assert len(default.windows) == 9
    assert not any(window.faults for window in default.windows)
    assert default.gain >= 0.8 * always.gain > 0.01
    assert default.cycles <= 3
    for name in (*schedules, *growths):
        if found[name].cycles <= default.cycles:
            assert default.metric >= found[name].metric, name
            assert default.metric > found[name].metric or months(default) == months(found[name]), name
    assert found[done.recommended].gain >= 0.8 * max(one.gain for one in done.policies)


# ── a bad batch ──────────────────────────────────────────────────────────────────────────────────

FAULTS = {
    "stuck": ("wind_speed", pl.lit(11.5)),
    "nulled": ("temp", pl.lit(None, pl.Float64)),
    "unit": ("pressure", pl.col("pressure") / 33.86389),  # inches of mercury
}
QUICK = (
    NO_DELAY, ("rounds = 400", "rounds = 40"), ("early_stopping = 50", "early_stopping = 10"),
    ('metric = "auc"\nmin = 0.62', 'metric = "auc"\nmin = 0.5'),
)  # fmt: skip
IN_JUNE = pl.col("time_hour").is_between(pl.datetime(2013, 6, 1, time_zone="UTC"),
                                         pl.datetime(2013, 7, 1, time_zone="UTC"), closed="left")  # fmt: skip


@pytest.fixture(scope="module")
def without_june(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PolicyResult]:
    root = tmp_path_factory.mktemp("without")
    workspace = make(root / "workspace", to_august().filter(~IN_JUNE), *QUICK)
    eager = files(root / "policies", eager='[[rules]]\nwhen = "new_data"\nrows = 1\n', gain=DEFAULT)
    return named(backtest.run(workspace, "flight-delay", eager, APRIL, None, "1mo"))


def to_august() -> pl.DataFrame:
    return year().filter(pl.col("time_hour") < pl.datetime(2013, 9, 1, time_zone="UTC"))


@pytest.mark.parametrize("kind", FAULTS)
def test_a_bad_month_is_named_starts_no_cycle_and_spoils_no_later_model(
    kind: str, tmp_path: Path, without_june: dict[str, PolicyResult]
) -> None:
    column, value = FAULTS[kind]
    frame = to_august().with_columns(pl.when(IN_JUNE).then(value).otherwise(pl.col(column)).alias(column))
    workspace = make(tmp_path / "workspace", frame, *QUICK)
    eager = files(tmp_path / "policies", eager='[[rules]]\nwhen = "new_data"\nrows = 1\n', gain=DEFAULT)
    done = backtest.run(workspace, "flight-delay", eager, APRIL, None, "1mo")
    for name, one in named(done).items():
        assert [bool(window.faults) for window in one.windows] == [False, False, True, False, False]
        june = one.windows[2]
        assert june.faults[0].startswith(f"{column}: ")
        assert not june.passed
        assert [window.value for window in one.windows[3:]] == [
            window.value for window in without_june[name].windows[3:]
        ]
    eager_june = named(done)["eager"].windows[2]
    assert not eager_june.fires
    assert any("1 window with a data fault: 2013-06-01" in remark for remark in done.remarks)
    print(kind, eager_june.faults, eager_june.reason)


# ── measured by `make bench` ─────────────────────────────────────────────────────────────────────


@pytest.mark.bench
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_distribution_starts_at_most_one_cycle(seed: int, tmp_path: Path) -> None:
    """Twenty batches of more than ten days, drawn at random from the year."""
    first = pl.datetime(2013, 1, 1, time_zone="UTC")
    mixed = year().sample(fraction=1.0, shuffle=True, seed=seed)
    moments = first + pl.duration(seconds=pl.int_range(pl.len()) * int(360 * 86400 / mixed.height))
    workspace = make(
        tmp_path / "workspace", mixed.with_columns(moments.cast(mixed.schema["time_hour"]).alias("time_hour"))
    )
    start = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=90)
    policies = files(tmp_path / "policies", gain=DEFAULT)
    done = backtest.run(workspace, "flight-delay", policies, start, None, "18d")
    print("\n" + table(done))
    assert len(done.policies[0].windows) == 15
    assert named(done)["gain"].cycles <= 1


@pytest.mark.bench
def test_forty_steps_and_four_rule_sets_take_less_than_ninety_seconds(tmp_path: Path) -> None:
    workspace = make(tmp_path / "workspace", year(), ("[serve]", SEVERAL + "[serve]"))
    wall, cpu = time.perf_counter(), time.process_time()
    done = backtest.run(workspace, "flight-delay", {}, datetime(2013, 3, 25, tzinfo=UTC), None, "7d")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"\n{len(done.policies[0].windows)} steps, 4 rule sets: {wall:.1f} s, {cpu:.1f} s of CPU\n{table(done)}")
    assert len(done.policies[0].windows) >= 40
    assert [one.policy for one in done.policies] == ["never", "always", "own", "default"]
    assert wall < 90
    again = backtest.run(workspace, "flight-delay", {}, datetime(2013, 3, 25, tzinfo=UTC), None, "7d")
    for one, other in zip(done.policies, again.policies, strict=True):
        assert replace(one, cpu_seconds=0.0) == replace(other, cpu_seconds=0.0)
