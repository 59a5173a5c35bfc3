"""On a terminal of 80 columns: tables fit and lose no column, progress stays off stdout, Ctrl-C is honest."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from contextlib import suppress

import pytest

from mlops_tui.flows.workspace import Workspace
from tests import workspaces
from tests.cli.called import call, command, process

WIDTH = 80
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(words: list[str], typed: bytes = b"") -> tuple[int, str]:
    """Run a command on a terminal of its own, `typed` ahead; returns the exit code and all that the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(words[0], words, {**os.environ, "TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    os.write(terminal, typed)
    data = b""
    with suppress(OSError):  # how a terminal says that its last user is gone
        while piece := os.read(terminal, 65536):
            data += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), data.decode(errors="replace")


TABLES = {
    "models list": ("model", "version", "state", "metric", "by"),
    "runs list": ("run", "status", "seconds", "by"),
    "datasets list": ("dataset", "version", "rows", "hash"),
    "status": ("pipeline", "champion", "next"),
    "audit list": ("number", "action", "details"),
}


def test_status_says_whole_sentences_below_its_table(trained: Workspace) -> None:
    script = f"stty cols {WIDTH}; exec '{command(trained.root)[0]}' -m mlops_tui -C '{trained.root}' status"
    _, text = on_terminal(["/bin/sh", "-c", script])
    shown = ESCAPES.sub("", text)
    head, row = (line.split("  ") for line in shown.splitlines()[:2])
    assert [word.strip() for word in row if word][-1] == "… approval"
    assert len([word for word in head if word]) == 7
    assert not re.search(r"\w…", shown), "nothing is cut"
    waits = next(one["next"] for one in call(trained.root, "status", "--json").json["items"])
    assert waits in " ".join(shown.split())
    assert "15,373 rows" not in shown, "only what calls for somebody"
    assert "15,373 rows" in call(trained.root, "status").out


@pytest.mark.parametrize("line", TABLES)
def test_tables_fit_and_keep_every_column(line: str, trained: Workspace) -> None:
    script = f"stty cols {WIDTH}; exec '{command(trained.root)[0]}' -m mlops_tui -C '{trained.root}' {line}"
    code, text = on_terminal(["/bin/sh", "-c", script])
    assert code == 0
    assert text.startswith("\x1b[1m"), "a title in bold, and no trace of a progress bar before it"
    lines = ESCAPES.sub("", text).splitlines()
    assert max(map(len, lines)) <= WIDTH, text
    for column in TABLES[line]:
        assert column[:3] in lines[0], f"{column} is lost"


def test_progress_goes_to_stderr(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    out = trained.root / "out.txt"
    script = f"exec '{command(trained.root)[0]}' -m mlops_tui -C '{trained.root}' run flight-delay > '{out}'"
    code, seen = on_terminal(["/bin/sh", "-c", script])
    assert code == 0
    answer = out.read_text(encoding="utf-8")
    assert "flight-delay:2" in answer
    assert "\x1b" not in answer
    assert "train" in ESCAPES.sub("", seen), "the bars are on the terminal"


def test_a_command_asks_on_a_terminal(trained: Workspace) -> None:
    code, text = on_terminal(command(trained.root, "gc"), typed=b"n\r")
    assert "[y/N]" in text
    assert "nothing was done" in text
    assert code == 1


@pytest.mark.usefixtures("foreground")
def test_ctrl_c_leaves_an_interrupted_run(trained: Workspace) -> None:
    path = workspaces.write_pipeline(trained)
    text = path.read_text(encoding="utf-8").replace("rounds = 30", "rounds = 5000").replace("early_stopping = 10\n", "")
    path.write_text(text.replace("[train]", "[train]\nearly_stopping = 0"), encoding="utf-8")
    running = subprocess.Popen(
        command(trained.root, "run", "flight-delay"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("features"):
            running.send_signal(signal.SIGINT)
            break
    rest = running.stderr.read()
    running.communicate(timeout=60)
    assert running.returncode == 130, rest
    assert "interrupted" in rest
    assert "Traceback" not in rest
    newest = call(trained.root, "runs", "list", "--json").json["items"][0]
    assert newest["status"] == "interrupted"
    workspaces.write_pipeline(trained, auc=0.51)
    done = process(trained.root, "run", "flight-delay")
    assert done.returncode == 0, done.stderr
    assert call(trained.root, "audit", "verify").code == 0
