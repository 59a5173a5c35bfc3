"""Every command has help, takes --json, and prints one JSON object and nothing else; a new one must be added below."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from mlops_tui.core import requests
from tests import workspaces
from tests.cli.called import Answer, call

ROWS = "data/flights/2013-01.parquet"
LISTS = {
    "datasets list": {"dataset", "version", "rows", "hash"},
    "runs list": {"id", "pipeline", "status", "metrics"},
    "models list": {"model", "version", "aliases", "state", "metrics"},
    "bentos list": {"tag", "model", "version"},
    "deployments list": {"name", "model", "version", "url", "state"},
    "pipelines list": {"name"},
    "monitor list": {"id", "deployment", "model", "windows", "rows"},
    "rules list": {"pipeline", "rules", "default"},
    "rules history": {"id", "pipeline", "fires", "rules", "reason"},
    "audit list": {"number", "at", "user", "action", "subject"},
    "status": {"name", "dataset", "model", "champion", "next"},
}
"""The commands that answer {"items": […]}, and the keys that scripts rely on."""

WALK: dict[str, list[str]] = {
    "init": ["."],
    "doctor": [],
    "datasets add": ["extra", ROWS, "--key", "flight_id", "--time", "time_hour"],
    "datasets refresh": ["flights"],
    "datasets list": [],
    "datasets show": ["flights"],
    "datasets diff": ["flights:1"],
    "datasets check": ["flights"],
    "datasets export": ["flights", "flights.csv"],
    "pipelines new": ["guess", ROWS, "--target", "late"],
    "pipelines list": [],
    "pipelines show": ["flight-delay"],
    "pipelines check": ["flight-delay"],
    "plan": ["flight-delay"],
    "run": ["flight-delay"],
    "runs list": [],
    "runs show": ["RUN"],
    "runs compare": ["RUN", "RUN"],
    "runs logs": ["RUN"],
    "runs reproduce": ["RUN"],
    "runs stop": ["RUN"],
    "models list": [],
    "models show": ["flight-delay"],
    "models diff": ["flight-delay:1", "flight-delay:1"],
    "models curves": ["flight-delay:1"],
    "models approve": ["flight-delay", "--comment", "looks right"],
    "models alias": ["flight-delay:1", "tested"],
    "models card": ["flight-delay"],
    "models explain": ["flight-delay", ROWS, "--limit", "2"],
    "models export": ["flight-delay", "model.zip"],
    "models import": ["model.zip"],
    "models predict": ["flight-delay", ROWS, "scored.parquet"],
    "status": [],
    "bentos build": ["flight-delay:1"],
    "bentos list": [],
    "bentos export": ["flight-delay:1", "model.bento"],
    "bentos containerize": ["flight-delay:1", "--wheels", "nothing"],
    "deployments start": ["flight-delay:1", "--port", "PORT"],
    "deployments list": [],
    "deployments show": ["flight-delay"],
    "deployments call": ["flight-delay", "--rows", "rows.json"],
    "deployments bench": ["flight-delay", "--requests", "50"],
    "deployments keys": ["flight-delay"],
    "deployments promote": ["flight-delay"],
    "deployments logs": ["flight-delay", "--lines", "5"],
    "labels add": ["flight-delay", "labels.csv"],
    "monitor run": ["flight-delay", "--window", "14d"],
    "monitor list": [],
    "monitor show": ["flight-delay"],
    "monitor feature": ["flight-delay", "distance"],
    "rules check": ["flight-delay"],
    "rules list": [],
    "rules history": [],
    "rules show": ["DECISION"],
    "rules backtest": ["flight-delay", "--step", "14d", "--out", "backtest.parquet"],
    "agent run": ["--once"],
    "agent status": [],
    "agent install": ["--print"],
    "deployments rollback": ["flight-delay"],
    "deployments stop": ["flight-delay"],
    "models reject": ["flight-delay:2", "--comment", "comes from elsewhere"],
    "audit list": [],
    "audit verify": [],
    "backup": ["backup.tar"],
    "restore": ["backup.tar", "--yes"],
    "gc": ["--yes"],
    "spec": [],
    "tui": [],
    "web": ["--host", ""],
    "demo": [],
}
"""Arguments that make sense, in the order of a life."""
NOT_DONE = {
    "deployments promote": ("refused", 1),  # no challenger stands beside it
    "bentos containerize": ("invalid_input", 2),  # no wheels there; tests/adapters/test_container.py makes images
    "deployments rollback": ("refused", 1),  # there is no former champion
    "runs stop": ("refused", 1),  # the run is over
    "tui": ("invalid_input", 2),  # there is no terminal
    "web": ("invalid_input", 2),  # it would not end
}
"""What cannot be done in this life: the kind of error, and the exit code."""


@cache
def spec() -> dict[str, dict[str, Any]]:
    """Every command by its name, as `mlops spec --json` tells."""
    return {item["command"].removeprefix("mlops "): item for item in call(None, "spec", "--json").json["items"]}


def test_the_walk_knows_every_command() -> None:
    assert set(WALK) == set(spec())


@pytest.mark.parametrize("name", WALK)
def test_help_says_what_a_command_and_every_option_does(name: str) -> None:
    item = spec()[name]
    assert item["help"].endswith((".", "!")), "one sentence"
    assert "--json" in [flag for one in item["parameters"] for flag in one["flags"]]
    silent = [one["name"] for one in item["parameters"] if not one["help"]]
    assert not silent, "without a help text"
    shown = call(None, *name.split(), "--help")
    assert shown.code == 0
    assert "Usage: mlops" in shown.out
    assert "--json" in shown.out


@pytest.fixture(scope="module")
def life(
    trained_template: Path, demonstrated: tuple[Path, Answer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Answer]]:
    """The answer of every command under --json, called one after the other on one workspace."""
    root = tmp_path_factory.mktemp("life") / "workspace"
    workspaces.copy(trained_template, root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    run = call(root, "runs", "list", "--json").json["items"][0]["id"]
    said = {"RUN": run, "PORT": port}
    answers = {}
    try:
        for name, arguments in WALK.items():
            words = [said.get(word, word) for word in arguments]
            answers[name] = demonstrated[1] if name == "demo" else call(root, *name.split(), *words, "--json")
            if name == "deployments start":
                ask(answers[name].json["url"], root)
            elif name == "rules check":
                said["DECISION"] = answers[name].json["id"]
        yield answers
    finally:
        call(root, "deployments", "stop", "flight-delay")
        shutil.rmtree(root)


def ask(url: str, root: Path) -> None:
    """Send a deployment rows of January, and write a file of labels for some of them."""
    rows = pl.read_parquet(root / ROWS).filter(pl.col("late").is_not_null()).head(400)
    with httpx.Client(base_url=url) as client:
        columns = [one["name"] for one in client.get("/metadata").json()["signature"]["inputs"]]
        sent = requests.to_json_rows(rows.select(*columns, "flight_id", "time_hour"))
        assert client.post("/predict", json=sent).status_code == 200
        workspaces.until_written(client)
    (root / "rows.json").write_text(json.dumps(sent), encoding="utf-8")
    rows.select("flight_id", "late").head(300).write_csv(root / "labels.csv")


@pytest.mark.parametrize("name", WALK)
def test_one_json_object_and_nothing_else(name: str, life: dict[str, Answer]) -> None:
    answer = life[name]
    assert answer.err == ""
    if name in NOT_DONE:
        assert (answer.json["error"]["kind"], answer.code) == NOT_DONE[name]
    else:
        assert set(answer.json) != {"error"}, answer.out
        assert answer.code == 0, answer.out


@pytest.mark.parametrize("name", LISTS)
def test_keys_that_scripts_rely_on(name: str, life: dict[str, Answer]) -> None:
    items = life[name].json["items"]
    assert items
    for item in items:
        assert LISTS[name] <= set(item)


@pytest.mark.parametrize("name", ["datasets list", "runs list", "models list", "bentos list"])
def test_newest_first(name: str, life: dict[str, Answer]) -> None:
    times = [item.get("created_at") or item["started_at"] for item in life[name].json["items"]]
    assert times == sorted(times, reverse=True)
    assert all(moment.endswith("Z") for moment in times), "UTC, ISO 8601"


def test_audit_events_newest_first(life: dict[str, Answer]) -> None:
    numbers = [item["number"] for item in life["audit list"].json["items"]]
    assert numbers == sorted(numbers, reverse=True)


def test_no_number_is_told_as_text(life: dict[str, Answer]) -> None:
    shown = life["models list"].json["items"][0]
    assert isinstance(shown["version"], int)
    assert all(isinstance(value, float) for value in shown["metrics"].values())


WRONG: list[tuple[list[str], str, int]] = [
    (["models", "show", "nothing"], "not_found", 2),
    (["datasets", "add", "../up", ROWS], "invalid_input", 2),
    (["models", "alias", "flight-delay:1", "champion"], "refused", 1),
    (["bentos", "build", "flight-delay:1"], "refused", 1),
    (["models", "predict", "flight-delay", ROWS, "/dev/null/scored.csv"], "external", 3),
    (["models", "list", "--nothing"], "usage", 2),
    (["nothing"], "usage", 2),
]


@pytest.mark.parametrize(("arguments", "kind", "code"), WRONG, ids=lambda value: str(value)[:40])
def test_an_error_is_one_json_object(arguments: list[str], kind: str, code: int, trained_template: Path) -> None:
    answer = call(trained_template, *arguments, "--json")
    assert answer.code == code
    assert answer.err == ""
    assert set(answer.json) == {"error"}
    assert set(answer.json["error"]) == {"kind", "message", "hint"}
    assert answer.json["error"]["kind"] == kind
    assert json.loads(answer.out) == answer.json


def test_without_a_terminal_nobody_is_asked(trained_template: Path) -> None:
    answer = call(trained_template, "gc", "--json")
    assert answer.code == 2
    assert "--yes" in answer.json["error"]["hint"]
