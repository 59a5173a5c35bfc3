"""A wake: what is due is done once, what was decided is carried out, what fails stops no other."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import psutil

from mlops_tui.adapters.catalogue import build, release
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.config import load_pipeline
from mlops_tui.errors import External
from mlops_tui.flows import cycle, due, lookup, planning, wake
from mlops_tui.flows.build import datasets, runs
from mlops_tui.flows.release import approvals
from mlops_tui.flows.watch import notices, rules
from mlops_tui.flows.workspace import Workspace, utc_now
from mlops_tui.records import Decision, Deployment, MonitorReport, PredictionPart, Progress, Run, to_json
from tests import workspaces

NAME = "flight-delay"
NEW_DATA = '[[rules]]\nwhen = "new_data"\nrows = 1\n[policy]\ncooldown = "0s"\n'
NEVER = '[[rules]]\nwhen = "age"\ndays = 10000\n'


def woken(workspace: Workspace) -> list[str]:
    """What one wake does, in words; it must not fail."""
    said: list[str] = []
    assert wake.work(workspace, said.append), said
    return said


def decisions(workspace: Workspace) -> list[Decision]:
    with workspace.catalogue.read() as act:
        return rows.decisions(act, NAME)


def told(workspace: Workspace) -> list[tuple[str, str]]:
    return [(notice.kind, notice.subject) for notice in reversed(notices.notices(workspace))]


def champion(workspace: Workspace) -> int | None:
    with workspace.catalogue.read() as act:
        return approvals.champion(act, NAME)


def test_the_first_wake_trains_and_the_next_ones_do_nothing(empty: Workspace) -> None:
    workspaces.write_pipeline(empty, mode="auto", more=NEW_DATA)
    workspaces.arrive(empty, 1)
    said = woken(empty)
    assert said[0].startswith(f"{NAME}: 1 new file → flights:1")
    assert champion(empty) == 1
    (decision,) = decisions(empty)
    assert decision.fires
    assert decision.answered_at is not None
    assert told(empty) == [("fired", NAME)]
    woken(empty)  # the rules see the new champion once
    state = empty.catalogue.stamp()
    assert woken(empty) == []
    assert empty.catalogue.stamp() == state
    assert [one.fires for one in decisions(empty)] == [False, True]


def test_new_data_is_taken_in_and_trained_on_only_if_the_rules_say_so(empty: Workspace) -> None:
    workspaces.write_pipeline(empty, mode="auto", more=NEVER)
    workspaces.arrive(empty, 1)
    cycle.apply(empty, NAME)
    woken(empty)
    workspaces.arrive(empty, 2)
    assert f"{NAME}: 1 new file → flights:2" in woken(empty)[0]
    assert (champion(empty), len(runs.list_runs(empty, NAME, None, 9))) == (1, 1)
    assert decisions(empty)[0].dataset == "flights:2"
    assert woken(empty) == []

    workspaces.write_pipeline(empty, mode="auto", more=NEW_DATA)
    woken(empty)
    assert champion(empty) == 2
    assert decisions(empty)[0].run == lookup.model_version(empty, f"{NAME}:2").run


def test_a_decision_that_nobody_carried_out_is_carried_out_and_not_made_again(empty: Workspace) -> None:
    workspaces.write_pipeline(empty, mode="auto", more=NEW_DATA)
    workspaces.arrive(empty, 1)
    cycle.apply(empty, NAME)
    workspaces.arrive(empty, 2)
    datasets.refresh(empty, load_pipeline(empty.root / "pipelines" / f"{NAME}.toml").data)
    made = rules.check(empty, NAME)
    assert made.fires
    woken(empty)  # the agent had been killed after it decided
    assert champion(empty) == 2
    (answered,) = decisions(empty)
    assert (answered.id, answered.answered_at is None) == (made.id, False)
    assert told(empty)[0] == ("fired", NAME)


def test_a_version_that_waits_is_told_once_and_becomes_champion_when_approved(trained: Workspace) -> None:
    workspaces.write_pipeline(trained, more=NEVER)
    woken(trained)
    woken(trained)
    assert told(trained).count(("waiting", f"{NAME}:1")) == 1
    approvals.approve(trained, f"{NAME}:1", "good")
    woken(trained)
    assert champion(trained) == 1


def test_a_version_that_fails_a_gate_is_told_once(empty: Workspace) -> None:
    workspaces.write_pipeline(empty, auc=0.99, more=NEW_DATA)
    workspaces.arrive(empty, 1)
    woken(empty)
    woken(empty)
    kinds = told(empty)
    assert kinds.count(("gate_failed", f"{NAME}:1")) == 1
    (text,) = [notice.text for notice in notices.notices(empty) if notice.kind == "gate_failed"]
    assert "auc" in text


def test_a_pipeline_that_fails_is_told_once_and_stops_no_other(trained: Workspace) -> None:
    folder = trained.root / "pipelines"
    (folder / "a-broken-one.toml").write_text("[pipeline\n", encoding="utf-8")
    other = (folder / f"{NAME}.toml").read_text(encoding="utf-8").replace(f'"{NAME}"', '"without-data"')
    (folder / "b-without-data.toml").write_text(other.replace("data/flights/*", "nowhere/*").replace(
        '"flights"', '"nothing"'), encoding="utf-8")  # fmt: skip
    approvals.approve(trained, f"{NAME}:1", "good")
    workspaces.write_pipeline(trained, auc=0.51, more=NEVER)  # the gates changed: to be judged again
    for _ in range(2):
        said: list[str] = []
        assert not wake.work(trained, said.append)
        assert any("a-broken-one: failed" in line for line in said)
        assert any("without-data: failed" in line and "no file matches" in line for line in said), said
    failed = [subject for kind, subject in told(trained) if kind == "failed"]
    assert sorted(failed) == ["a-broken-one", "without-data"]
    assert decisions(trained)
    assert not [step for step in cycle.plan(trained, NAME).steps if step.step == "gates" and step.action == "run"]


def test_data_that_break_the_contract_are_told_once_a_version(trained: Workspace) -> None:
    workspaces.write_pipeline(trained, more=NEW_DATA)
    source = trained.root / "data" / "flights"
    shutil.copyfile(source / "2013-01.parquet", source / "2013-01-again.parquet")
    import polars as pl

    frame = pl.read_parquet(source / "2013-01.parquet").with_columns(distance=pl.lit(1, pl.Int64))
    frame.write_parquet(source / "2013-13.parquet")
    (source / "2013-01-again.parquet").unlink()
    wake.work(trained, print)
    wake.work(trained, print)
    texts = [notice.text for notice in notices.notices(trained) if notice.kind == "failed"]
    assert len(texts) == 1
    assert "breaks its contract" in texts[0]
    assert len(runs.list_runs(trained, NAME, None, 9)) == 1


def test_a_pipeline_that_somebody_runs_is_left_alone(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    with trained.exclusive(f"run-{NAME}", "a test"):
        assert woken(trained) == [f"{NAME}: somebody else runs it: left alone until the next wake"]
    assert decisions(trained) == []


def test_a_bug_in_one_pipeline_is_told_with_its_place(trained: Workspace) -> None:
    def report(event: Progress) -> None:
        if event.step == "train":
            raise ZeroDivisionError("while it trains")

    workspaces.arrive(trained, 3)
    workspaces.write_pipeline(trained, more=NEW_DATA)
    said: list[str] = []
    assert not wake.work(replace(trained, report=report), said.append)
    assert any("a bug" in line and "Traceback" in line for line in said)
    assert ("failed", NAME) in told(trained)
    assert runs.list_runs(trained, NAME, None, 1)[0].status == "failed"


def fires(workspace: Workspace) -> Workspace:
    """A workspace whose rules fire at the next wake."""
    workspaces.arrive(workspace, 3)
    workspaces.write_pipeline(workspace, mode="auto", more=NEW_DATA)
    return workspace


def test_a_run_that_somebody_starts_meanwhile_is_no_failure(trained: Workspace) -> None:
    with ExitStack() as theirs:

        def report(event: Progress) -> None:
            if event.text.startswith(f"running '{NAME}'"):
                theirs.enter_context(trained.exclusive(f"run-{NAME}", "a test"))

        trained.catalogue.timeout = 0.3
        said = woken(replace(fires(trained), report=report))
    assert said[-1] == f"{NAME}: somebody else runs it: left alone until the next wake"
    assert ("failed", NAME) not in told(trained)
    assert (decisions(trained)[0].outcome, decisions(trained)[0].answered_at) == ("", None)
    woken(trained)
    assert champion(trained) == 2


def test_what_fails_by_the_world_s_fault_is_tried_again_after_ten_minutes(trained: Workspace) -> None:
    def report(event: Progress) -> None:
        if event.step == "train":
            raise External("no space left on the device")

    said: list[str] = []
    assert not wake.work(replace(fires(trained), report=report), said.append)
    (asked,) = decisions(trained)
    assert asked.outcome == "to be tried again: no space left on the device"
    assert told(trained) == [("fired", NAME), ("failed", NAME)]
    woken(trained)
    state = trained.catalogue.stamp()
    assert woken(trained) == []
    assert trained.catalogue.stamp() == state
    woken(replace(trained, now=lambda: utc_now() + timedelta(minutes=11)))
    (answered,) = decisions(trained)
    assert (answered.id, answered.outcome) == (asked.id, f"{NAME}:2 is the champion")


def left(workspace: Workspace, decision: Decision, number: int, ended: Run | None = None) -> None:
    """Write down a run that was begun for a decision, and whose process was killed, or told to stop."""
    last = ended or runs.list_runs(workspace, NAME, None, 1)[0]
    at = decision.at + timedelta(milliseconds=number)
    run = replace(last, id=f"{number:012x}", started_at=at, ended_at=at if ended else None, status="running")
    (workspace.run_folder(run.id)).mkdir(parents=True)
    with workspace.catalogue.write(workspace.now()) as act:
        build.add_run(act, replace(run, status="interrupted") if ended else run)
        act.record("run.started", run.id)


def test_a_training_that_is_killed_again_and_again_is_given_up(trained: Workspace) -> None:
    datasets.refresh(fires(trained), load_pipeline(trained.root / "pipelines" / f"{NAME}.toml").data)
    decision = rules.check(trained, NAME)
    assert decision.fires
    for number in (1, 2):
        left(trained, decision, number)
    left(trained, decision, 3, ended=runs.list_runs(trained, NAME, None, 9)[-1])  # one that was told to stop
    left(trained, decision, 4)
    said: list[str] = []
    assert not wake.work(trained, said.append)
    assert "its training was cut off 3 times, given up" in said[0]
    (answered,) = decisions(trained)
    assert answered.outcome == "failed: cut off 3 times"
    assert told(trained) == [("failed", NAME)]
    woken(trained)  # the rules ask again, as soon as their policy lets them
    assert [one.outcome for one in decisions(trained)[:1]] == [f"{NAME}:2 is the champion"]


def test_labels_that_come_with_the_dataset_are_worth_a_report(trained: Workspace) -> None:
    settings, start = load_pipeline(trained.root / "pipelines" / f"{NAME}.toml"), utc_now()
    part = PredictionPart(NAME, NAME, 1, "0" * 64, 10, start, start, start)
    report = MonitorReport("1" * 12, NAME, NAME, start, "ada", "7d", "event", 0, ())
    assert not due.is_monitoring(trained, settings)
    with trained.catalogue.write(start) as act:
        rows.add_prediction_part(act, part)
        rows.add_monitor_report(act, report.id, NAME, True, trained.objects.put(to_json(report)))
        act.record("monitor.reported", NAME)
    later = replace(trained, now=lambda: utc_now() + timedelta(hours=2))
    assert not due.is_monitoring(later, settings)
    woken(fires(trained))
    assert lookup.dataset_version(trained, "flights").version == 2
    assert not due.is_monitoring(trained, settings)  # the last report is too young
    assert due.is_monitoring(later, settings)


def serve(workspace: Workspace, version: int, ended: str = "") -> None:
    """Write down that a version begins to serve in this process; what served before was stopped, or fell."""
    me = psutil.Process()
    serving = Deployment(
        NAME, NAME, version, f"{NAME}:v{version}", "127.0.0.1", 3999, me.pid, me.create_time(), "running", "ada",
        workspace.now(),
    )  # fmt: skip
    with workspace.catalogue.write(workspace.now()) as act:
        former = release.deployment(act, NAME)
        if former is not None:
            release.end_deployment(act, replace(former, wanted="stopped" if ended == "by hand" else "running"))
        release.put_deployment(act, serving)
        act.record("deployment.started", NAME)


def test_a_version_that_somebody_serves_by_hand_stays_until_the_next_champion(empty: Workspace) -> None:
    more = f"{NEVER}[serve]\nport = 3999\n"
    workspaces.write_pipeline(empty, mode="auto", more=NEVER)
    for month in (1, 2):
        workspaces.arrive(empty, month)
        cycle.apply(empty, NAME)
        if month == 1:
            serve(empty, 1)
    workspaces.write_pipeline(empty, mode="auto", more=more)
    settings = load_pipeline(empty.root / "pipelines" / f"{NAME}.toml")

    def replaces() -> bool:
        return due.is_releasing(empty, planning.observe(empty, settings, retrain=False))

    assert replaces()  # :2 became champion while :1 served
    serve(empty, 1)
    assert replaces()  # :1 only fell, and the agent started it again
    serve(empty, 1, ended="by hand")
    assert not replaces()
    serve(empty, 1)
    assert not replaces()  # nor after a restart of what somebody chose
    assert {step.step: step.action for step in cycle.plan(empty, NAME).steps}["deploy"] == "run"  # `mlops run` does it
    approvals.set_alias(empty, f"{NAME}:1", "champion")
    approvals.set_alias(empty, f"{NAME}:2", "champion")
    assert replaces()
