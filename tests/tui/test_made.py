"""What the made workspaces hold is what the product would have written: every command reads it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_tui.adapters.catalogue import release
from mlops_tui.cli.cycle_texts import status_text
from mlops_tui.flows import status
from mlops_tui.flows.keep import named
from mlops_tui.flows.queries.board import board
from mlops_tui.flows.release import approvals
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import hash_of
from tests.cli.called import call
from tests.tui import made

READ = {
    "datasets list": "flights          4  33459",
    "datasets list customers": "customers        2  4514",
    "datasets show flights": "▃▁▂▅▁█▂▇▁▁▃▁",
    "datasets show flights:3": "112 rows are below 50",
    "datasets diff flights:2": "7 of 9 parts shared",
    "datasets check flights": "flights keeps its contract",
    "pipelines list": "multiclass",
    "pipelines show flight-delay": "silent decay",
    "plan flight-delay": "waits for 1 more approval by someone other than ben",
    "runs list": "interrupted",
    "runs list flight-delay --sort auc": "0.7364",
    "runs show fdca8007d499": "95 % interval",
    "runs compare fdca8007d499 8a28cf977b1f": "0.1623",
    "runs logs fdca8007d499": "round 300",
    "models list": "champion, live",
    "models show flight-delay": "approved by ben, 2013-08-02",
    "models show flight-delay:2": "✗ auc ≥ 0.58 by carrier",
    "models show flight-delay:4": "rejected by ada",
    "models show churn": "every gate passed",
    "models diff flight-delay:1 flight-delay:3": "flights:2",
    "models alias flight-delay": "deployment flight-delay",
    "models card flight-delay": "## What it looks at",
    "bentos list": "flight-delay:v3",
    "deployments list": "running",
    "deployments show flight-delay": "flight-delay:1",
    "deployments logs flight-delay": "POST /predict 200",
    "monitor list": "temp, humid, precip, pressure",
    "monitor show flight-delay": "✗ data fault",
    "rules history": "fires",
    "rules list": "75.1 < 90 days ago",
    "agent status": "it answered 503",
    "audit list": "decision.answered",
    "audit verify": "every link holds",
    "doctor": "all have their bytes",
}
"""Commands, and a part of what they print of the normal workspace."""
NEXT = {
    "churn": "nothing to do",
    "flight-delay": "waits: approval: flight-delay:5",
    "fresh": "due: data: the dataset 'fresh' has no version yet",
    "stuck": "blocked: data: meters:2 breaks its contract",
}


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return made.normal(tmp_path_factory.mktemp("normal"))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return made.crowded(tmp_path_factory.mktemp("crowded"), pipelines=40, versions=400, runs=2000)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return made.broken(tmp_path_factory.mktemp("broken"))


def items(workspace: Workspace, line: str) -> list[dict[str, Any]]:
    answer = call(workspace.root, *line.split(), "--json")
    assert answer.code == 0, answer.err
    found: list[dict[str, Any]] = answer.json["items"]
    return found


@pytest.mark.parametrize("line", READ)
def test_every_command_reads_the_normal_workspace(normal: Workspace, line: str) -> None:
    answer = call(normal.root, *line.split())
    assert (answer.code, answer.err.partition("error")[1]) == (0, "")
    assert READ[line] in answer.out


def test_every_decision_can_be_shown(normal: Workspace) -> None:
    found = items(normal, "rules history flight-delay")
    assert [(one["fires"], bool(one["held"]), bool(one["answered_at"])) for one in found] == [
        (True, False, False), (True, False, True), (False, True, False), (False, False, False), (False, False, False),
    ]  # fmt: skip
    for one in found:
        assert call(normal.root, "rules", "show", one["id"]).code == 0


def test_status_says_of_each_pipeline_what_it_waits_for(normal: Workspace) -> None:
    found = {one["name"]: one for one in items(normal, "status")}
    assert found.keys() == NEXT.keys()
    for name, text in NEXT.items():
        assert found[name]["next"].startswith(text)
    assert found["flight-delay"]["deployment_state"] == "running"
    assert found["flight-delay"]["watch"].startswith("5 of 12 features drifted, the worst: temp")


def test_runs_whose_test_rows_differ_are_not_compared_without_a_word(normal: Workspace) -> None:
    for other, warned in (("74ee1b8167e7", True), ("fdca8007d499", False)):
        words = ("runs", "compare", "fdca8007d499", other)
        assert ("each on test rows of its own, so they do not compare alike" in call(normal.root, *words).out) is warned
        assert call(normal.root, *words, "--json").json["same_test_rows"] is not warned


def test_status_says_of_what_serves_what_home_says(normal: Workspace) -> None:
    lines = {line.name: line for line in board(normal)}
    for one in items(normal, "status"):
        line = lines[one["name"]]
        for name, said in (("monitor", "watch"), ("rules", "decided")):
            station = next(found for found in line.stations if found.name == name)
            told = (station.text, station.mark) if station.noun else (None, None)
            assert (one[said], one[f"{said}_state"]) == told
        assert (one["live_metric"], one["live_value"]) == (line.metric or None, line.live)


def test_status_of_a_deployment_that_was_rolled_back_tells_of_the_version_that_serves(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path)
    with workspace.catalogue.write(workspace.now()) as act:
        item = release.deployment(act, "flight-delay")
        assert item is not None
        release.put_deployment(act, replace(item, version=1))
        act.record("test.rollback", item.name)
    found = next(one for one in items(workspace, "status") if one["name"] == "flight-delay")
    assert found["watch"].startswith("the last report has no window of flight-delay:1, which serves")
    assert (found["live_value"], found["watch_state"]) == (None, "off")


def test_status_of_a_champion_that_was_made_by_a_rollback_says_of_which_version(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path)
    approvals.approve(workspace, "flight-delay:5", "better", by="cleo")
    approvals.set_alias(workspace, "flight-delay:3", "champion", "rollback of flight-delay from :5: late answers")
    found = next(one for one in status.status(workspace) if one.name == "flight-delay")
    told = "flight-delay:3 since 2013-10-15 (rollback of flight-delay from :5: late answers)"
    assert found.champion_since == told
    assert f"  champion {told}\n" in status_text([found])


def test_states_of_models_and_runs_are_all_there(normal: Workspace) -> None:
    states = [one["state"] for one in items(normal, "models list flight-delay")]
    assert states == ["waiting", "rejected", "approved", "failed", "approved"]
    runs = [one["status"] for one in items(normal, "runs list flight-delay")]
    assert (len(runs), runs.count("failed"), runs.count("interrupted")) == (12, 1, 1)
    reports = items(normal, "monitor list")
    assert [[len(window["features"]) for window in one["windows"]] for one in reports] == [[12] * 8] * 2


def test_every_object_that_is_named_is_there(normal: Workspace, crowded: Workspace) -> None:
    for workspace in (normal, crowded):
        with workspace.catalogue.read() as act:
            assert not [hash_ for hash_ in named(act) if hash_ and not workspace.objects.path(hash_).exists()]


def test_two_made_workspaces_are_the_same(normal: Workspace, tmp_path: Path) -> None:
    again = made.normal(tmp_path)
    for words in ("datasets list", "models list", "rules history", "audit list --limit 1000"):
        assert hash_of(items(again, words)) == hash_of(items(normal, words))


def test_empty_has_a_fixed_clock_and_user_and_no_pipeline(tmp_path: Path) -> None:
    workspace = made.empty(tmp_path)
    assert (workspace.now(), workspace.user, workspace.catalogue.user) == (made.NOW, "ada", "ada")
    assert items(workspace, "status") == []


def test_broken_tells_its_mistakes_its_missing_object_and_its_dead_server(broken: Workspace) -> None:
    found = {one["name"]: one for one in items(broken, "status")}
    assert found["mistaken"]["error"].count("\n") == 3
    assert found["flight-delay"]["deployment_state"] == "down"
    assert found["flight-delay"]["next"].startswith("due: deploy: 'flight-delay' is down")
    shown = call(broken.root, "models", "show", "flight-delay")
    assert shown.code == 3
    assert "is missing from" in shown.err
    assert call(broken.root, "audit", "verify").code == 0
    assert "given up" in call(broken.root, "agent", "status").out


def test_crowded_holds_as_much_as_was_asked_for(crowded: Workspace) -> None:
    with crowded.catalogue.read() as act:
        counts = {name: act.one(f"SELECT count(*) FROM {name}") for name in ("pipelines", "model_versions", "runs")}
        metrics = act.one("SELECT count(*) FROM run_metrics")
        completed = act.one("SELECT count(DISTINCT id) FROM runs WHERE status = 'completed'")
    assert counts == {"pipelines": (40,), "model_versions": (400,), "runs": (2000,)}
    assert metrics is not None
    assert completed is not None
    assert metrics[0] == 3 * completed[0]


def test_crowded_is_read_as_what_the_product_wrote(crowded: Workspace) -> None:
    found = items(crowded, "status")
    assert not [one for one in found if one["error"]]
    assert {one["model_state"] for one in found} == {"approved", "failed", "waiting"}
    assert {one["deployment_state"] for one in found} == {"running", "down"}
    runs = items(crowded, "runs list --limit 60")
    assert [one["started_at"] for one in runs] == sorted((one["started_at"] for one in runs), reverse=True)
    assert {one["status"] for one in items(crowded, "runs list --limit 500")} == {"completed", "failed", "interrupted"}
    for words in (f"runs show {runs[0]['id']}", "models show churn-000", "rules list", "audit verify"):
        assert call(crowded.root, *words.split()).code == 0
    best = items(crowded, "runs list --sort auc --limit 5")
    assert [one["metrics"]["auc"] for one in best] == sorted((one["metrics"]["auc"] for one in best), reverse=True)


def test_making_loads_no_heavy_library(tmp_path: Path) -> None:
    """So that a test of a screen starts at once, and what the screen loads itself can be told."""
    code = f"""
import sys
from pathlib import Path
from tests.tui import made
made.normal(Path({str(tmp_path)!r}))
print(sorted({{"polars", "numpy", "lightgbm", "bentoml", "textual"}} & set(sys.modules)))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
