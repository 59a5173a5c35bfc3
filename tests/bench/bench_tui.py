"""The screens with 200 pipelines, 20,000 model versions and 100,000 runs: first screen, keys beside a training, memory.

`mlops tui` runs on a pseudo-terminal; what is timed is what a person sees: from the key that was sent to the last byte
that was drawn for it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests import workspaces
from tests.bench.measured import MLOPS, show
from tests.tui import made

pytestmark = pytest.mark.bench
PIPELINES, VERSIONS, RUNS = 200, 20_000, 100_000
QUIET = 0.06  # seconds without a byte after which a key has had its effect
DOWN, UP, NEXT, PAGE, END, HOME = b"\x1b[B", b"\x1b[A", b"\t", b"\x1b[6~", b"\x1b[F", b"\x1b[H"
KEYS = (
    *(DOWN,) * 6, PAGE, PAGE, UP, b"1", NEXT, *(DOWN,) * 4, PAGE, PAGE, END, HOME, b">", b">", b"!", b"\r", b"\x1b",
    b"2", *(DOWN,) * 4, PAGE, END, b"\r", b"\x1b", b"3", NEXT, NEXT, *(DOWN,) * 3, b"?", b"\x1b", b"0", HOME,
)  # fmt: skip  # the last brings the cursor back: each of them has an effect in every round
FIRST = """\
import os, sys, time
from pathlib import Path
import duckdb, mlops_tui.cli.main, mlops_tui.cli.screen
from mlops_tui.flows.workspace import open_workspace
from mlops_tui.tui.app import make_app
from mlops_tui.tui.home import Home
begun, shown = time.perf_counter(), Home.show
def drawn(page):
    with open(sys.argv[2], "a") as told:
        print(time.perf_counter() - begun, file=told)
    page.app.exit(0)
def show(page, data):
    shown(page, data)
    page.call_after_refresh(drawn, page)
Home.show = show
make_app(open_workspace(Path(sys.argv[1]))).run()
os._exit(0)
"""
"""The clock starts after the imports and stops when the first rows have been drawn."""


class Screen:
    """A command on a pseudo-terminal of 160×48."""

    def __init__(self, command: list[str]) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 48, 160, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)

    def drawn(self, quiet: float = QUIET, most: float = 10.0) -> float | None:
        """Read until nothing has come for `quiet` seconds; return when the last byte came, None if none did."""
        last, began = None, time.perf_counter()
        while time.perf_counter() - began < most:
            ready, _, _ = select.select([self.ours], [], [], quiet if last else most)
            if not ready:
                return last
            try:
                if not os.read(self.ours, 1 << 16):
                    return last
            except OSError:  # the other end is closed
                return last
            last = time.perf_counter()
        return last

    def press(self, key: bytes) -> float | None:
        """Return the milliseconds from a key to the last byte of its effect; None if it came with the one before."""
        sent = time.perf_counter()
        os.write(self.ours, key)
        drawn = self.drawn(most=2.0)
        return None if drawn is None else (drawn - sent) * 1000

    def close(self) -> None:
        """Quit."""
        os.write(self.ours, b"q")
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
        os.close(self.ours)


@contextmanager
def training(root: Path) -> Iterator[None]:
    """A training at work beside it, that will not end by itself."""
    workspace = workspaces.make(root)
    workspaces.arrive(workspace, 1, 2, 3, 4, 5, 6)
    path = workspace.root / "pipelines" / "flight-delay.toml"
    path.write_text(
        path.read_text().replace("rounds = 30", "rounds = 100000").replace("stopping = 10", "stopping = 90000")
    )
    process = subprocess.Popen(
        [MLOPS, "-C", str(root), "run", "flight-delay"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not list((root / ".mlops" / "runs").glob("*/progress.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield
        assert process.poll() is None, "the training ended before the measurement did"
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The large workspace, made once."""
    root = tmp_path_factory.mktemp("crowd")
    made.crowded(root, pipelines=PIPELINES, versions=VERSIONS, runs=RUNS)
    return root


def test_the_first_screen_after_the_imports(crowd: Path, tmp_path: Path) -> None:
    told = tmp_path / "seconds"
    for _ in range(7):
        screen = Screen([sys.executable, "-c", FIRST, str(crowd), str(told)])
        screen.drawn(quiet=1.0)
        screen.process.wait(timeout=20)
        os.close(screen.ours)
    seconds = [float(line) for line in told.read_text().split()]
    rows = [("seconds from the imports to the rows on the screen", statistics.median(seconds), max(seconds))]
    show(
        f"First screen, {PIPELINES} pipelines, {VERSIONS:,} model versions, {RUNS:,} runs",
        ("", "median", "worst"),
        rows,
    )


def test_keys_while_a_training_runs(crowd: Path, tmp_path: Path) -> None:
    screen = Screen([sys.executable, "-m", "mlops_tui", "-C", str(crowd), "tui"])
    try:
        screen.drawn(quiet=1.5)
        process = psutil.Process(screen.process.pid)
        with training(tmp_path / "training"):
            pressed = [screen.press(key) for _ in range(8) for key in KEYS]
        memory = process.memory_info().rss / 2**20
        screen.drawn(quiet=2.0, most=5.0)
        before, began = process.cpu_times(), time.monotonic()
        time.sleep(20)
        after = process.cpu_times()
        idle = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
    finally:
        screen.close()
    times = [one for one in pressed if one is not None]
    cut = statistics.quantiles(times, n=100)
    rows = [
        (
            len(times),
            statistics.median(times),
            cut[89],
            cut[98],
            max(times),
            f"{memory:.0f} MiB",
            f"{idle:.2%}",
            len(pressed) - len(times),
        )
    ]
    columns = ("keys", "median ms", "90 %", "99 %", "worst", "memory", "idle, of a core", "no effect")
    show("Keys on the large workspace while a training runs beside it", columns, rows)
