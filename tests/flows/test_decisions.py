"""Who becomes champion when words cross: late approvals, reports of another champion, rejections, reverted files."""

from __future__ import annotations

import pytest

from mlops_tui.adapters.catalogue import release
from mlops_tui.errors import InvalidInput, Refused
from mlops_tui.flows import cycle, lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.release import approvals
from mlops_tui.flows.workspace import Workspace
from tests import workspaces

NAME = "flight-delay"


def champion(workspace: Workspace) -> int | None:
    with workspace.catalogue.read() as act:
        return release.aliases(act, NAME).get((NAME, "champion"))


def challenger(workspace: Workspace, month: int) -> str:
    workspaces.arrive(workspace, month)
    made = cycle.apply(workspace, NAME).model
    assert made is not None
    return made


def test_a_report_against_another_champion_approves_nothing(trained: Workspace) -> None:
    approvals.approve(trained, f"{NAME}:1", "good")
    second, third = challenger(trained, 3), challenger(trained, 4)
    approvals.approve(trained, third, "better")
    with pytest.raises(Refused, match="was judged against :1, and the champion is :3 now"):
        approvals.approve(trained, second, "late")
    assert champion(trained) == 3


def test_a_challenger_is_judged_again_when_the_champion_changed(trained: Workspace) -> None:
    approvals.approve(trained, f"{NAME}:1", "good")
    second = challenger(trained, 3)
    workspaces.write_pipeline(trained, more="[serve]\nport = 3999\n")
    approvals.set_alias(trained, f"{NAME}:1", "champion")
    assert {step.step: step.action for step in cycle.plan(trained, NAME).steps}["gates"] == "skip"
    approvals.reject(trained, f"{NAME}:1", "no")
    assert champion(trained) is None
    assert {step.step: step.action for step in cycle.plan(trained, NAME).steps}["gates"] == "skip"
    assert second == f"{NAME}:2"


def test_a_late_approval_does_not_move_the_champion_back(trained: Workspace) -> None:
    approvals.approve(trained, f"{NAME}:1", "good")
    second = challenger(trained, 3)
    approvals.approve(trained, second, "better")
    workspaces.write_pipeline(trained)
    with pytest.raises(Refused):  # compared with nothing when it was judged: the champion came later
        approvals.approve(trained, f"{NAME}:1", "late", by="carol")
    assert champion(trained) == 2


def test_only_who_rejected_can_take_it_back(trained: Workspace) -> None:
    approvals.reject(trained, f"{NAME}:1", "not yet", by="carol")
    with pytest.raises(Refused, match="was rejected by carol"):
        approvals.approve(trained, f"{NAME}:1", "I like it", by="dave")
    _, standing = approvals.approve(trained, f"{NAME}:1", "mended", by="carol")
    assert (standing.state, champion(trained)) == ("approved", 1)


def test_the_author_in_other_letters_is_the_author(empty: Workspace) -> None:
    workspaces.write_pipeline(empty, reviewers=1)
    workspaces.arrive(empty, 1)
    cycle.apply(empty, NAME)
    with pytest.raises(Refused, match="started the run"):
        approvals.approve(empty, NAME, "me", by=empty.user.upper())


def test_a_bare_name_is_live_else_champion_else_newest(trained: Workspace) -> None:
    assert lookup.model_version(trained, NAME).version == 1
    approvals.approve(trained, f"{NAME}:1", "good")
    rejected = challenger(trained, 3)
    approvals.reject(trained, rejected, "no")
    assert lookup.model_version(trained, NAME).version == 1


def test_a_pipeline_that_is_put_back_says_who_is_champion(empty: Workspace) -> None:
    workspaces.write_pipeline(empty, mode="auto")
    workspaces.arrive(empty, 1)
    cycle.apply(empty, NAME)
    path = workspaces.write_pipeline(empty, mode="auto")
    text = path.read_text()
    path.write_text(text.replace("seed = 7", "seed = 8"))
    assert cycle.apply(empty, NAME).champion == f"{NAME}:2"
    path.write_text(text)
    plan = {step.step: step for step in cycle.plan(empty, NAME).steps}
    assert plan["approval"].action == "skip"
    assert f"mlops models alias {NAME}:1 champion" in plan["approval"].reason


def test_two_pipelines_that_describe_one_dataset_otherwise(trained: Workspace) -> None:
    other = trained.root / "pipelines" / "other.toml"
    text = (trained.root / "pipelines" / f"{NAME}.toml").read_text().replace(f'"{NAME}"', '"other"')
    other.write_text(text.replace("min_rows = 100", "min_rows = 101"))
    with pytest.raises(InvalidInput, match="describe the dataset 'flights' differently"):
        cycle.plan(trained, "other")
    other.write_text(text)
    assert cycle.plan(trained, "other").due


def test_a_column_that_is_not_there_leaves_no_run_behind(trained: Workspace) -> None:
    path = trained.root / "pipelines" / f"{NAME}.toml"
    path.write_text(path.read_text().replace('"tailnum"', '"tailnumm"'))
    before = len(runs.list_runs(trained, NAME, None, 10))
    with pytest.raises(InvalidInput, match="no column 'tailnumm'; did you mean 'tailnum'"):
        cycle.apply(trained, NAME)
    assert len(runs.list_runs(trained, NAME, None, 10)) == before


def test_runs_are_sorted_best_first_whichever_way_is_better(trained: Workspace) -> None:
    challenger(trained, 3)
    by_auc = [run.metrics["auc"] for run in runs.list_runs(trained, NAME, "auc", 10)]
    by_loss = [run.metrics["log_loss"] for run in runs.list_runs(trained, NAME, "log_loss", 10)]
    assert by_auc == sorted(by_auc, reverse=True)
    assert by_loss == sorted(by_loss)
    with pytest.raises(InvalidInput, match="no run has the metric 'acu'; did you mean 'auc'"):
        runs.list_runs(trained, NAME, "acu", 10)


def test_going_back_twice_leads_two_champions_back(trained: Workspace) -> None:
    approvals.approve(trained, f"{NAME}:1", "good")
    for month in (3, 4):
        approvals.approve(trained, challenger(trained, month), "better")
    assert champion(trained) == 3
    for expected in (2, 1):
        with trained.catalogue.read() as act:
            former = approvals.formers(act, NAME).get(NAME)
        assert former is not None
        approvals.set_alias(trained, former.ref, "champion", "rollback")
        assert champion(trained) == expected
    with trained.catalogue.read() as act:
        assert approvals.formers(act) == {}
