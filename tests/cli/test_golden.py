"""What the main commands print, word for word; GOLDEN=update writes the files anew, to be read in a diff."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from mlops_tui.flows.workspace import Workspace, unix_user
from tests import workspaces
from tests.cli.called import Answer, call, command, masked, process

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("GOLDEN") == "update"
SHOWN = {
    "help": "--help",
    "models-help": "models --help",
    "status": "status",
    "plan": "plan flight-delay",
    "run-nothing": "run flight-delay",
    "datasets-list": "datasets list",
    "datasets-show": "datasets show flights",
    "datasets-check": "datasets check flights",
    "pipelines-list": "pipelines list",
    "pipelines-show": "pipelines show flight-delay",
    "runs-list": "runs list",
    "runs-show": "runs show RUN",
    "models-list": "models list",
    "models-show": "models show flight-delay",
    "models-card": "models card flight-delay",
    "models-alias": "models alias flight-delay",
    "models-approve": "models approve flight-delay --comment checked",
    "status-approved": "status",
    "bentos-list": "bentos list",
    "deployments-list": "deployments list",
    "audit-list": "audit list",
    "unknown-model": "models show fligth-delay",
    "unknown-command": "plann",
}
"""The commands, in the order in which they are called on one workspace."""


@pytest.fixture(scope="module")
def answers(trained_template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Answer, str]]:
    """Every command's answer, and the same as masked text."""
    root = workspaces.copy(trained_template, tmp_path_factory.mktemp("golden") / "workspace").root
    run = call(root, "runs", "list", "--json").json["items"][0]["id"]
    found = {}
    for name, line in SHOWN.items():
        answer = call(root, *line.replace("RUN", run).split())
        text = masked(answer.out + answer.err, root).replace(unix_user(), "USER")
        found[name] = (answer, text)
    return found


@pytest.mark.parametrize("name", SHOWN)
def test_reads_as_it_did(name: str, answers: dict[str, tuple[Answer, str]]) -> None:
    path = GOLDEN / f"{name}.txt"
    _, text = answers[name]
    if UPDATE:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "GOLDEN=update writes what is printed now"


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_piped_output_has_no_colour_and_no_cut(name: str, answers: dict[str, tuple[Answer, str]]) -> None:
    answer, _ = answers[name]
    assert "\x1b" not in answer.out + answer.err
    assert not re.search(r"\w…", answer.out), "nothing is cut"


def test_colour_when_it_is_asked_for(trained: Workspace) -> None:
    assert "\x1b[" in process(trained.root, "--color", "always", "models", "list").stdout
    assert "\x1b[" not in process(trained.root, "--color", "never", "models", "list").stdout
    assert "\x1b[" in process(trained.root, "models", "list", MLOPS_COLOR="always").stdout
    assert "\x1b[" not in process(trained.root, "models", "list", NO_COLOR="1").stdout


def test_quiet_says_nothing_but_the_answer(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    done = process(trained.root, "-q", "run", "flight-delay")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "flight-delay:2" in done.stdout


def test_nobody_reads_on(trained: Workspace) -> None:
    """The reader is gone before the first line: the command ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    words = command(trained.root, "datasets", "show", "flights")
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_head_of_a_list(trained: Workspace) -> None:
    line = f"'{command(trained.root)[0]}' -m mlops_tui -C '{trained.root}' datasets show flights | head -1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("dataset")
    assert done.stderr == ""
