"""plan and run: every step says why it is due, runs once, and only what changed runs again."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_tui.errors import Busy, InvalidInput, NotFound, Refused
from mlops_tui.flows import cycle, keep, lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.release import approvals
from mlops_tui.flows.workspace import Workspace
from tests import workspaces

NAME = "flight-delay"
STEPS = ["data", "train", "gates", "approval", "bento", "deploy"]


def steps(workspace: Workspace) -> dict[str, tuple[str, str]]:
    made = cycle.plan(workspace, NAME)
    assert [step.step for step in made.steps] == STEPS
    return {step.step: (step.action, step.reason) for step in made.steps}


def due(workspace: Workspace) -> list[str]:
    return [name for name, (action, _) in steps(workspace).items() if action == "run"]


def change(workspace: Workspace, old: str, new: str) -> None:
    path = workspace.root / "pipelines" / f"{NAME}.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# ── what a plan says ─────────────────────────────────────────────────────────────────────────────


def test_before_the_first_run_everything_is_due(empty: Workspace) -> None:
    workspaces.arrive(empty, 1)
    found = steps(empty)
    assert found["data"] == ("run", "the dataset 'flights' has no version yet")
    assert (found["train"][0], found["gates"][0], found["approval"][0]) == ("run", "run", "wait")
    assert found["bento"] == ("skip", "the pipeline has no [serve] section")
    assert not keep.events(empty, None, 10)  # a plan writes nothing


def test_without_data_the_plan_says_so(empty: Workspace) -> None:
    with pytest.raises(NotFound, match="no file matches"):
        cycle.plan(empty, NAME)


def test_after_a_run_nothing_is_due(trained: Workspace) -> None:
    found = steps(trained)
    assert due(trained) == []
    assert found["data"][1] == "flights:1, nothing new: 2 files unchanged"
    assert found["train"] == ("skip", "flight-delay:1 was trained on exactly this")
    assert found["gates"] == ("skip", "flight-delay:1 passed")
    assert found["approval"] == ("wait", "flight-delay:1 waits for 1 more approval by anyone")


def test_new_data_is_the_reason(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    found = steps(trained)
    assert due(trained) == ["data", "train", "gates"]
    assert found["data"][1] == "1 new file"
    done = cycle.apply(trained, NAME)
    told = {step.step: step.reason for step in done.steps}
    assert told["data"].startswith("1 new file → flights:2")
    assert "2 of 3 parts shared" in told["data"]
    assert "new data: flights:2, trained last on :1" in told["train"]
    assert (done.dataset, done.model, done.champion) == ("flights:2", "flight-delay:2", None)


def test_a_changed_file_is_the_reason(trained: Workspace) -> None:
    path = trained.root / "data" / "flights" / "2013-02.parquet"
    path.write_bytes((workspaces.SAMPLE / "flights" / "2013-03.parquet").read_bytes())
    assert steps(trained)["data"] == ("run", "1 changed file")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("rounds = 30", "rounds = 31", "train.rounds"),
        ("seed = 7", "seed = 8", "train.seed"),
        ('"tailnum", ', "", "features.exclude"),
        ('method = "time"', 'method = "random"', "split.method"),
        ("num_leaves = 15", "num_leaves = 14", "train.params.num_leaves"),
    ],
)
def test_a_changed_setting_is_named_by_its_key(trained: Workspace, old: str, new: str, key: str) -> None:
    change(trained, old, new)
    assert due(trained) == ["train", "gates"]
    assert steps(trained)["train"] == ("run", f"changed settings: {key}")


def test_changed_gates_only_judge_again(trained: Workspace) -> None:
    workspaces.write_pipeline(trained, auc=0.51)
    assert due(trained) == ["gates"]
    assert steps(trained)["gates"] == ("run", "the gates or the approval rules changed")
    done = cycle.apply(trained, NAME)
    assert [step.step for step in done.steps if step.action == "run"] == ["gates"]
    assert done.model == "flight-delay:1"
    assert due(trained) == []


def test_a_changed_contract_makes_a_version_but_no_training(trained: Workspace) -> None:
    change(trained, "min_rows = 100", "min_rows = 101")
    assert steps(trained)["data"] == ("run", "the [data] section changed")
    done = cycle.apply(trained, NAME)
    assert (done.dataset, done.model) == ("flights:1", "flight-delay:1")
    assert due(trained) == []


def test_a_comment_and_another_order_change_nothing(trained: Workspace) -> None:
    path = trained.root / "pipelines" / f"{NAME}.toml"
    before = cycle.plan(trained, NAME).id
    path.write_text("# a comment\n" + path.read_text() + "\n")
    os.utime(path, (1, 1))
    assert cycle.plan(trained, NAME).id == before


def test_what_was_trained_once_is_found_again(trained: Workspace) -> None:
    change(trained, "seed = 7", "seed = 8")
    assert cycle.apply(trained, NAME).model == "flight-delay:2"
    change(trained, "seed = 8", "seed = 7")
    assert "train" not in due(trained)


# ── what a run does ──────────────────────────────────────────────────────────────────────────────


def test_a_second_run_does_nothing(trained: Workspace) -> None:
    before = trained.catalogue.stamp()
    done = cycle.apply(trained, NAME)
    assert (done.changed, done.model, done.dataset) == (False, "flight-delay:1", "flights:1")
    assert trained.catalogue.stamp() == before


def test_a_run_after_approval_makes_a_challenger(trained: Workspace) -> None:
    approvals.approve(trained, NAME, "")
    assert cycle.apply(trained, NAME).champion == "flight-delay:1"
    workspaces.arrive(trained, 3)
    done = cycle.apply(trained, NAME)
    assert (done.model, done.champion) == ("flight-delay:2", "flight-delay:1")
    approvals.approve(trained, "flight-delay:2", "better")
    again = cycle.apply(trained, NAME)
    assert (again.changed, again.champion) == (False, "flight-delay:2")


def test_a_stale_plan_is_refused(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    stale = cycle.plan(trained, NAME)
    workspaces.arrive(trained, 4)
    before = trained.catalogue.stamp()
    with pytest.raises(Refused, match="is stale"):
        cycle.apply(trained, NAME, stale.id)
    assert trained.catalogue.stamp() == before
    done = cycle.apply(trained, NAME, cycle.plan(trained, NAME).id)
    assert done.dataset == "flights:2"
    with pytest.raises(Refused, match="is stale"):
        cycle.apply(trained, NAME, stale.id)


def test_broken_data_blocks_training_until_it_is_healed(trained: Workspace) -> None:
    change(trained, "min = 50", "min = 5000")
    done = cycle.apply(trained, NAME)
    told = {step.step: (step.action, step.reason) for step in done.steps}
    assert done.dataset == "flights:2"
    assert told["train"][0] == "blocked"
    assert [run.dataset_version for run in runs.list_runs(trained, NAME, None, 10)] == [1]
    found = steps(trained)
    assert found["data"][0] == "blocked"
    assert "flights:2 breaks its contract: column 'distance'" in found["data"][1]
    assert [step.step for step in cycle.plan(trained, NAME).blocked] == ["data", "train"]
    assert not cycle.apply(trained, NAME).changed
    change(trained, "min = 5000", "min = 50")
    healed = cycle.apply(trained, NAME)
    assert (healed.dataset, healed.model) == ("flights:3", "flight-delay:1")  # the same rows: the model is there


def test_a_failed_gate_blocks_and_leaves_the_champion(trained: Workspace) -> None:
    approvals.approve(trained, NAME, "")
    workspaces.arrive(trained, 3)
    workspaces.write_pipeline(trained, auc=0.99)
    done = cycle.apply(trained, NAME)
    told = {step.step: (step.action, step.reason) for step in done.steps}
    assert "auc" in told["gates"][1]
    assert (told["approval"][0], done.champion) == ("skip", "flight-delay:1")
    assert steps(trained)["gates"] == ("blocked", "flight-delay:2: a gate failed")
    assert due(trained) == []


def test_auto_approves_by_itself(empty: Workspace) -> None:
    workspaces.arrive(empty, 1, 2)
    workspaces.write_pipeline(empty, mode="auto")
    done = cycle.apply(empty, NAME)
    assert (done.model, done.champion) == ("flight-delay:1", "flight-delay:1")
    workspaces.arrive(empty, 3)
    assert cycle.apply(empty, NAME).champion == "flight-delay:2"
    assert not cycle.apply(empty, NAME).changed


def test_a_pipeline_that_does_not_exist_or_has_mistakes(trained: Workspace) -> None:
    with pytest.raises(NotFound, match="did you mean 'flight-delay'"):
        cycle.plan(trained, "fligth-delay")
    change(trained, "rounds = 30", "rownds = 30")
    with pytest.raises(InvalidInput, match="did you mean 'rounds'"):
        cycle.plan(trained, NAME)


HOLD = """
import sys
from pathlib import Path
from mlops_tui.flows.workspace import open_workspace
workspace = open_workspace(Path(sys.argv[1]))
with workspace.exclusive("run-flight-delay", "the pipeline"):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_a_pipeline_that_runs_elsewhere_is_busy(trained: Workspace) -> None:
    impatient = replace(trained, catalogue=replace(trained.catalogue, timeout=0.2))
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(trained.root)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        with pytest.raises(Busy, match=rf"the pipeline 'flight-delay' is in use by process {process.pid} of "):
            cycle.apply(impatient, NAME)
        assert cycle.plan(impatient, NAME).steps  # looking is not running
        process.kill()
    assert not cycle.apply(impatient, NAME).changed


def test_two_runs_at_the_same_time_train_once(empty: Workspace) -> None:
    workspaces.arrive(empty, 1)
    pipe = subprocess.PIPE
    script = HOLD.split("with workspace", maxsplit=1)[0] + (
        "from mlops_tui.flows import cycle\nsys.stdin.read()\nprint(cycle.apply(workspace, 'flight-delay').model)\n"
    )
    command = [sys.executable, "-c", script, str(empty.root)]
    both = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[2]) for _ in range(2)
    ]
    for process in both:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert [process.communicate()[0].strip() for process in both] == ["flight-delay:1"] * 2
    assert len(runs.list_runs(empty, None, None, 10)) == 1
    assert lookup.model_version(empty, NAME).version == 1
