"""What home says of a pipeline is what the plan says, also where the champion is not the newest version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mlops_tui.adapters.catalogue import Act, build, release, watch
from mlops_tui.errors import Refused
from mlops_tui.flows import cycle
from mlops_tui.flows.queries import lists
from mlops_tui.flows.queries.board import Line, board
from mlops_tui.flows.queries.stations import Station, StationName
from mlops_tui.flows.release import approvals, bentos, models, rollouts
from mlops_tui.flows.workspace import Workspace, open_workspace
from tests.tui import made

NAME = "flight-delay"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.normal(tmp_path_factory.mktemp("board") / "flights").root


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(template, tmp_path / "flights")
    found = open_workspace(tmp_path / "flights")
    found.catalogue.user = "ada"
    return replace(found, user="ada", now=lambda: made.NOW)


def line(workspace: Workspace, name: str = NAME) -> Line:
    return next(one for one in board(workspace) if one.name == name)


def station(workspace: Workspace, name: StationName) -> Station:
    return next(one for one in line(workspace).stations if one.name == name)


def planned(workspace: Workspace, step: str) -> tuple[str, str]:
    found = next(one for one in cycle.plan(workspace, NAME).steps if one.step == step)
    return found.action, found.reason


@contextmanager
def spoiling(workspace: Workspace) -> Iterator[Act]:
    """A change of the catalogue by nobody's command."""
    with workspace.catalogue.write(workspace.now()) as act:
        yield act
        act.record("test", NAME)


def other_content(workspace: Workspace) -> None:
    built = bentos.list_bentos(workspace, NAME)[0]
    with spoiling(workspace) as act:
        release.put_bento(act, replace(built, key="of the code before"))


def no_folder(workspace: Workspace) -> None:
    shutil.rmtree(workspace.home / "bentos" / "bentos" / NAME / "v3")


def none_at_all(workspace: Workspace) -> None:
    with spoiling(workspace) as act:
        act.change("DELETE FROM bentos WHERE version = 3")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(other_content, "out of date"), (no_folder, "gone from the store"), (none_at_all, "no Bento yet")],
)
def test_home_and_plan_say_the_same_of_a_bento_that_does_not_fit(
    workspace: Workspace, spoil: Callable[[Workspace], None], why: str
) -> None:
    assert (station(workspace, "bento").mark, planned(workspace, "bento")[0]) == ("ok", "skip")
    spoil(workspace)
    found = station(workspace, "bento")
    assert planned(workspace, "bento") == ("run", found.text)
    assert (found.mark, why in found.text) == ("due", True)


def test_a_bento_that_was_built_anew_is_not_what_serves(workspace: Workspace) -> None:
    built = bentos.list_bentos(workspace, NAME)[0]
    with spoiling(workspace) as act:
        release.put_bento(act, replace(built, created_at=workspace.now()))
    assert (station(workspace, "live").mark, planned(workspace, "deploy")[0]) == ("due", "run")
    assert "an older build of flight-delay:v3" in station(workspace, "live").text


def test_after_a_rollback_every_station_but_training_is_of_the_champion_and_the_newer_version_is_named(
    workspace: Workspace,
) -> None:
    approvals.approve(workspace, f"{NAME}:5", "better")
    approvals.set_alias(workspace, f"{NAME}:3", "champion", f"rollback of {NAME} from :5: too slow")
    found = line(workspace)
    marks = {one.name: (one.mark, one.ref) for one in found.stations}
    assert [marks[name] for name in ("gates", "approval", "live")] == [
        ("ok", f"{NAME}:3"), ("warn", f"{NAME}:3"), ("ok", NAME),
    ]  # fmt: skip
    text = station(workspace, "approval").text
    assert text.startswith(f"the champion {NAME}:3: approved by ben; :5, which is newer, is not the champion")
    assert text.endswith("too slow")
    assert found.champion.startswith(f"{NAME}:3 since ")
    assert (found.refs["model"], found.refs["champion"]) == (f"{NAME}:3", f"{NAME}:3")
    assert f"of {NAME}:3" in station(workspace, "monitor").text


def answered(workspace: Workspace, champion: str, run: str | None = None) -> None:
    """Make the newest decision one on a champion that fired, and that a run has answered."""
    with spoiling(workspace) as act:
        newest = watch.decisions(act, NAME, limit=1)[0]
        told = replace(newest, champion=champion, run=run, outcome="done", answered_at=act.now)
        watch.put_decision(act, told)


def test_a_decision_on_another_champion_says_nothing_of_this_one(workspace: Workspace) -> None:
    approvals.approve(workspace, f"{NAME}:5", "better")
    asked = station(workspace, "rules")
    assert (asked.mark, asked.text.partition(": ")[0]) == ("due", "fired")  # a run has still to answer it
    assert asked.text.endswith(f"; decided on {NAME}:3, and the champion is {NAME}:5 now")
    answered(workspace, f"{NAME}:5")
    assert station(workspace, "rules").mark == "ok"
    approvals.set_alias(workspace, f"{NAME}:3", "champion", "rollback")
    old = station(workspace, "rules")
    why = f"not asked: {NAME}:3 became champion after the last decision, on {NAME}:5: fired: "
    assert (old.mark, old.text.startswith(why)) == ("off", True)


def test_a_decision_whose_run_made_the_champion_is_told_as_it_ended(workspace: Workspace) -> None:
    approvals.approve(workspace, f"{NAME}:5", "better")
    with workspace.catalogue.read() as act:
        champion = build.model_version(act, NAME, 5)
    assert champion is not None
    answered(workspace, f"{NAME}:3", champion.run)
    assert station(workspace, "rules").mark == "ok"


def test_newer_data_is_what_is_due_and_not_the_model_that_has_not_seen_it(workspace: Workspace) -> None:
    with workspace.catalogue.read() as act:
        data = build.dataset_version(act, "flights")
    assert data is not None
    with spoiling(workspace) as act:
        build.add_dataset_version(act, replace(data, version=data.version + 1, state="ok"), ())
    found = station(workspace, "train")
    assert found.text.startswith(f"flights:5 is newer than :4, the data of {NAME}:5, test auc 0.")
    assert found.mark == "due"


def test_a_rollback_goes_to_the_champion_before_or_names_the_one_that_was_left(workspace: Workspace) -> None:
    approvals.approve(workspace, f"{NAME}:5", "better")
    assert line(workspace).refs["former"] == f"{NAME}:3"
    approvals.reject(workspace, f"{NAME}:3", "slow")
    assert line(workspace).refs["former"] == f"{NAME}:1"
    approvals.set_alias(workspace, f"{NAME}:1", "champion", f"rollback of {NAME} from :5")
    assert "former" not in line(workspace).refs
    with pytest.raises(Refused) as refused:
        rollouts.rollback(workspace, NAME)
    assert refused.value.message == f"no champion before {NAME}:1 is still approved; {NAME}:5, which came after it, is"
    assert refused.value.hint == f"mlops deployments rollback {NAME} --to {NAME}:5"
    approvals.reject(workspace, f"{NAME}:5", "slow")
    with pytest.raises(Refused, match=f"no champion before {NAME}:1 is still approved$"):
        rollouts.rollback(workspace, NAME)


def test_a_champion_that_was_rejected_is_named_where_another_took_its_place(workspace: Workspace) -> None:
    approvals.reject(workspace, f"{NAME}:3", "slow")
    assert line(workspace).champion.endswith("(:3 was rejected by ada)")


def test_the_monitor_station_and_the_live_metric_leave_out_windows_of_what_does_not_serve(workspace: Workspace) -> None:
    assert line(workspace).series
    with spoiling(workspace) as act:
        serving = release.deployment(act, NAME)
        assert serving is not None
        release.put_deployment(act, replace(serving, version=1, bento=f"{NAME}:v1"))
    found = station(workspace, "monitor")
    assert (found.mark, line(workspace).series) == ("off", ())
    assert found.text == f"the last report has no window of {NAME}:1, which serves: mlops monitor run {NAME}"


def test_a_version_that_was_rejected_waits_for_nobody(workspace: Workspace) -> None:
    assert (line(workspace).urgency, line(workspace).waits) == (0, "model")
    approvals.reject(workspace, f"{NAME}:5", "no")
    found = line(workspace)
    assert (found.urgency, found.waits) != (0, "model")
    assert station(workspace, "approval").text.endswith(":5, which is newer, was rejected by ada")
    assert (station(workspace, "approval").mark, planned(workspace, "approval")[0]) == ("warn", "skip")


def test_an_older_version_that_nobody_decided_on_is_not_listed_as_waiting(workspace: Workspace) -> None:
    with workspace.catalogue.read() as act:
        waiting = build.model_version(act, NAME, 5)
    assert waiting is not None
    with spoiling(workspace) as act:
        build.add_model_version(act, replace(waiting, version=6, key="another"))
    ids = lists.models(workspace, model=NAME)
    for listed in (models.list_models(workspace, NAME, 9), lists.model_rows(workspace, ids)):
        assert [one.standing.state for one in listed[:3]] == ["waiting", "undecided", "rejected"]
    assert models.show(workspace, f"{NAME}:5").standing.sentence == "not decided on: :6 is newer"


def test_a_version_that_failed_a_gate_waits_for_nobody_once_it_is_rejected(tmp_path: Path) -> None:
    workspace = made.crowded(tmp_path / "crowd", pipelines=5, versions=50, runs=250)
    failed = next(one for one in board(workspace) if one.needs.startswith("look at the gates"))
    approvals.reject(workspace, failed.refs["model"], "no")
    assert line(workspace, failed.name).urgency > 0


def test_a_version_that_was_judged_against_another_champion_is_judged_again_and_waits_for_nobody_until_then(
    workspace: Workspace,
) -> None:
    approvals.set_alias(workspace, f"{NAME}:1", "champion")
    assert planned(workspace, "gates")[0] == "run"
    marks = {one.name: one.mark for one in line(workspace).stations}
    assert (marks["gates"], marks["approval"]) == ("due", "off")
    assert "judged against :3, and the champion is :1 now" in station(workspace, "gates").text


def test_what_a_decision_waited_for_is_told_as_it_stands_now(workspace: Workspace) -> None:
    with spoiling(workspace) as act:
        act.change("DELETE FROM decisions WHERE body LIKE '%\"answered_at\":null%' AND pipeline = ?", NAME)
    before = station(workspace, "rules").text
    approvals.reject(workspace, f"{NAME}:5", "no")
    after = station(workspace, "rules").text
    assert "waits: approval" in before
    assert "waits: approval" not in after
    assert after.endswith("was rejected by ada")


def deployed(workspace: Workspace, **other: object) -> None:
    """Put the deployment into the catalogue as it might be."""
    with spoiling(workspace) as act:
        item = release.deployment(act, NAME)
        assert item is not None
        release.put_deployment(act, replace(item, **other))  # type: ignore[arg-type]


def test_home_and_plan_name_the_bento_that_serves_in_place_of_the_champions(workspace: Workspace) -> None:
    deployed(workspace, bento="flight-delay:v3-unapproved", pid=os.getpid(), born=psutil.Process().create_time())
    live = station(workspace, "live")
    assert live.text.startswith("'flight-delay' serves flight-delay:v3-unapproved at ")
    assert planned(workspace, "deploy")[1] == live.text.partition(" at ")[0]


def test_a_deployment_of_another_model_is_told_from_the_champion_by_its_whole_name(workspace: Workspace) -> None:
    deployed(workspace, model="other", version=3, pid=os.getpid(), born=psutil.Process().create_time())
    assert station(workspace, "live").text.endswith("the champion is flight-delay:3")


def test_what_was_stopped_is_not_said_to_serve(workspace: Workspace) -> None:
    deployed(workspace, version=1, pid=0, born=0.0, wanted="stopped")
    assert "flight-delay:1, which served last" in station(workspace, "monitor").text


def test_a_champion_is_served_again_under_the_name_that_its_pipeline_gives(workspace: Workspace) -> None:
    path = workspace.root / "pipelines" / f"{NAME}.toml"
    text = path.read_text(encoding="utf-8")
    assert "named" not in line(workspace).refs
    path.write_text(text.replace("[serve]", '[serve]\nname = "prod"'), encoding="utf-8")
    assert line(workspace).refs["named"] == "--name=prod"
