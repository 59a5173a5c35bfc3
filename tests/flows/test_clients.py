"""A deployment as its clients meet it: files of rows answered, snippets that work, a load that leaves no trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_tui.adapters import ports
from mlops_tui.core import requests
from mlops_tui.flows import lookup
from mlops_tui.flows.release import bench as benches
from mlops_tui.flows.release import clients, deployments, keys
from mlops_tui.flows.watch import predictions
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Golden, from_json
from tests import workspaces
from tests.cli.called import call, command

NAME = "flight-delay"


@pytest.fixture(scope="module")
def served(built_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace that serves :1, for all tests of this file; what they change they put back."""
    workspace = workspaces.copy(built_template, tmp_path_factory.mktemp("clients") / "workspace")
    deployments.start(workspace, f"{NAME}:1", deployments.Place(port=ports.free_port()))
    yield workspace
    deployments.stop(workspace, NAME)


@pytest.fixture
def key(served: Workspace, tmp_path: Path) -> Iterator[str]:
    """An API key of the deployment, which needs one as long as this lasts."""
    made = keys.add(served, NAME, "shop")
    awaited(served, 401)
    yield made
    keys.open_to_all(served, NAME)
    awaited(served, 200)


def awaited(workspace: Workspace, status: int) -> None:
    """Ask until the server has read its file of keys again, which takes a twentieth of a second."""
    import httpx

    item = deployments.get(workspace, NAME)
    for _ in range(500):
        answer = httpx.post(f"{item.url}/predict", json=golden(workspace)[:1], trust_env=False)
        if answer.status_code == status:
            return
    pytest.fail(f"the server still answers {answer.status_code}")


def golden(workspace: Workspace) -> list[dict[str, Any]]:
    version = lookup.model_version(workspace, f"{NAME}:1")
    return list(from_json(workspace.objects.get(version.golden), Golden).rows)


def month() -> pl.DataFrame:
    return pl.read_parquet(workspaces.SAMPLE / "flights" / "2013-03.parquet").head(2_500)


def expected(workspace: Workspace, frame: pl.DataFrame) -> list[dict[str, Any]]:
    from mlops_tui.core import scoring

    scorer = lookup.scorer(workspace, lookup.model_version(workspace, f"{NAME}:1"))
    return list(scoring.answers(scorer, requests.frame_for(scorer.signature, frame)))


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "json", "arrow"])
def test_rows_of_a_file_are_answered_in_their_order_as_the_model_does(
    served: Workspace, tmp_path: Path, ending: str
) -> None:
    frame, path = month(), tmp_path / f"rows.{ending}"
    rows = requests.to_json_rows(frame)
    match ending:
        case "parquet":
            frame.write_parquet(path)
        case "csv":
            frame.write_csv(path)
        case "jsonl":
            path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        case "json":
            path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
        case _:
            frame.write_ipc(path)
    answer = call(served.root, "deployments", "call", NAME, "--rows", path, "--json")
    assert answer.code == 0, answer.out
    assert answer.json["items"] == expected(served, frame)
    assert (answer.json["model"], answer.json["requests"]) == (f"{NAME}:1", 3)
    assert "left out, as the model does not know them" in answer.err
    assert "arr_delay" in answer.err


def test_the_table_is_whole_where_it_is_piped_and_explanations_come_when_asked_for(
    served: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(golden(served) * 3), encoding="utf-8")
    shown = call(served.root, "deployments", "call", NAME, "--rows", path)
    assert len(shown.out.splitlines()) == 1 + 96
    assert shown.out.split()[:3] == ["row", "prediction", "probability"]
    explained = call(served.root, "deployments", "call", NAME, "--rows", path, "--explain", "--json").json
    assert set(explained["items"][0]) >= {"base", "contributions"}
    assert "adds most" in call(served.root, "deployments", "call", NAME, "--rows", path, "--explain").out


def test_rows_from_stdin(served: Workspace) -> None:
    words = command(served.root, "deployments", "call", NAME, "--rows", "-", "--json")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(words, input=json.dumps(golden(served)[0]), text=True, env=environment,
                          capture_output=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert len(json.loads(done.stdout)["items"]) == 1


def test_what_is_wrong_with_a_row_is_told_by_its_number_in_the_file(served: Workspace, tmp_path: Path) -> None:
    rows = golden(served) * 40
    rows[1_100] = rows[0] | {"distance": "far"}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    answer = call(served.root, "deployments", "call", NAME, "--rows", path)
    assert answer.code == 2
    assert "row 1100, column 'distance': expected" in answer.err
    assert "found the text 'far'" in answer.err


@pytest.mark.parametrize(
    ("content", "what"),
    [("[", "is no JSON"), ("[1]", "no list of rows"), ("[]", "no list of rows"), ('{"rows": 3}', "no list of rows")],
)
def test_what_is_no_list_of_rows(served: Workspace, tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "rows.json").write_text(content, encoding="utf-8")
    answer = call(served.root, "deployments", "call", NAME, "--rows", tmp_path / "rows.json")
    assert (answer.code, what in answer.err) == (2, True), answer.err


def test_a_key_is_asked_for_and_never_printed(
    served: Workspace, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(f"{key}\n", encoding="utf-8")
    (tmp_path / "rows.json").write_text(json.dumps(golden(served)), encoding="utf-8")
    words = ("deployments", "call", NAME, "--rows", tmp_path / "rows.json")
    without = call(served.root, *words)
    assert without.code == 1
    assert "MLOPS_API_KEY" in without.err
    assert call(served.root, *words, "--key-file", tmp_path / "key").code == 0
    assert call(served.root, "deployments", "bench", NAME, "--requests", 1, "--key-file", tmp_path / "key").code == 0
    monkeypatch.setenv("MLOPS_API_KEY", key)
    with_it = call(served.root, *words)
    assert with_it.code == 0
    monkeypatch.setenv("MLOPS_API_KEY", key[:-1])
    wrong = call(served.root, *words)
    assert wrong.code == 1
    assert key[:-1] not in without.err + with_it.out + with_it.err + wrong.err
    monkeypatch.setenv("MLOPS_API_KEY", "a\r\nX-Other: b")
    assert call(served.root, *words).code == 2


@pytest.mark.parametrize("needed", [False, True])
def test_the_snippets_work_as_they_are_printed(
    served: Workspace, request: pytest.FixtureRequest, needed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if needed:
        monkeypatch.setenv("MLOPS_API_KEY", request.getfixturevalue("key"))
    told = call(served.root, "deployments", "show", NAME, "--json").json["clients"]
    shown = call(served.root, "deployments", "show", NAME).out
    assert all(text in shown for text in told.values())
    assert ("MLOPS_API_KEY" in told["curl"], "MLOPS_API_KEY" in told["python"]) == (needed, needed)
    wanted = expected(served, requests.rows_to_frame(signature(served), golden(served)[:1]))
    done = subprocess.run([sys.executable, "-I", "-c", told["python"]], capture_output=True, text=True, timeout=60,
                          check=False)  # fmt: skip
    assert done.stdout == f"{wanted}\n", done.stderr
    if shutil.which("curl"):
        done = subprocess.run(["sh", "-c", told["curl"]], capture_output=True, text=True, timeout=60, check=False)
        assert json.loads(done.stdout)["predictions"] == wanted


def signature(workspace: Workspace) -> Any:
    return lookup.signature(workspace, lookup.model_version(workspace, f"{NAME}:1"))


def test_a_load_is_measured_and_no_monitor_reads_it(served: Workspace) -> None:
    gathered_whole(served)
    found = call(served.root, "deployments", "bench", NAME, "--requests", 300, "--rows", 3, "--json").json
    assert (found["requests"], found["answered"], found["errors"]) == (300, 300, {})
    assert found["rows_per_second"] == pytest.approx(3 * found["requests_per_second"])
    latency = found["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"]
    assert not found["interrupted"]
    shown = call(served.root, "deployments", "bench", NAME, "--requests", 20)
    assert "20 of 20 requests" in shown.out
    call(served.root, "deployments", "call", NAME, "--rows", _one(served), "--json")
    assert gathered_whole(served) == 1


def gathered_whole(workspace: Workspace) -> int:
    """Gather all that was answered so far: a server that stops has written it out. Returns how many requests."""
    deployments.stop(workspace, NAME)
    deployments.start(workspace, f"{NAME}:1")
    return predictions.gather(workspace, NAME).requests


def _one(workspace: Workspace) -> Path:
    path = workspace.root / "one.json"
    path.write_text(json.dumps(golden(workspace)[:1]), encoding="utf-8")
    return path


def test_ctrl_c_ends_a_load_with_what_was_measured(served: Workspace) -> None:
    words = command(
        served.root, "--progress", "json", "deployments", "bench", NAME, "--seconds", 60, "--connections", 2
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stderr.readline()  # the load is on its way
        run.send_signal(signal.SIGINT)
        out = run.stdout.read()
    assert run.returncode == 0
    assert "interrupted" in out
    assert "latency in ms" in out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--seconds", 301], "at most 300"),
        (["--rows", 0], "1 to 10,000"),
        (["--connections", 0], "connections"),
        (["--requests", 2_000_000], "at most 1,000,000"),
    ],
)
def test_a_load_is_bounded(served: Workspace, words: list[object], what: str) -> None:
    answer = call(served.root, "deployments", "bench", NAME, *words)
    assert (answer.code, what in answer.err) == (2, True), answer.err


def test_what_does_not_run_is_told_how_to_start(built: Workspace, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[{}]", encoding="utf-8")
    assert call(built.root, "deployments", "call", NAME, "--rows", tmp_path / "rows.json").code == 2
    deployments.start(built, f"{NAME}:1", deployments.Place(port=ports.free_port()))
    deployments.stop(built, NAME)
    for words in (["call", NAME, "--rows", tmp_path / "rows.json"], ["bench", NAME]):
        answer = call(built.root, "deployments", *words)
        assert answer.code == 3
        assert f"next: mlops deployments start {NAME}:1 --name {NAME}" in answer.err


def test_a_service_without_time_is_told_with_when_to_come_again() -> None:
    from datetime import UTC, datetime

    from mlops_tui.adapters.client import Answer
    from mlops_tui.errors import Busy
    from mlops_tui.records import Deployment

    item = Deployment(NAME, NAME, 1, "", "127.0.0.1", 3000, 1, 1.0, "running", "", datetime.now(UTC))
    for status in (429, 503):
        body = b'{"error":{"kind":"overloaded","message":"many"}}'
        error = clients.refused(item, Answer(status, {"retry-after": "7"}, body))
        assert isinstance(error, Busy)
        assert (error.message, error.hint) == (f"'{NAME}' has no time: many", "try again in 7 s")


def test_bodies_of_a_load_come_from_the_reference_sample(trained: Workspace) -> None:
    version = lookup.model_version(trained, f"{NAME}:1")
    bodies = benches.bodies_of(trained, version, 7)
    assert len(bodies) == len(set(bodies)) == benches.BODIES
    assert all(len(json.loads(body)["rows"]) == 7 for body in bodies)
    assert len(json.loads(benches.bodies_of(trained, version, 10_000)[0])["rows"]) == 10_000
