"""The event loop is never held up: every page is visited with asyncio's own log of slow callbacks on.

Two checks. The calls that wait (files, processes, sockets, sleeps) are counted, not timed: none of them belongs on the
loop's thread, on whatever machine. A callback may take 50 ms on the machine where that was agreed; on a slower one as
much more as a piece of reference work takes there, measured beside each page.
"""

from __future__ import annotations

import asyncio
import asyncio.constants
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from textual.content import Content
from textual.pilot import Pilot

from mlops_tui.tui.app import MissionControl, make_app
from tests.tui import made
from tests.tui.driven import page_of
from tests.tui.shown import settled
from tests.tui.test_snapshots import LISTS, objects

LONGEST = 0.05  # seconds
ROUNDS = 6  # what holds the loop up does so each time; what else the machine does, does not
REFERENCE = 0.0085  # seconds of `_work` where LONGEST was agreed: 2 cores of a server, otherwise idle
WAITS = {
    "open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "subprocess.Popen", "socket.connect",
    "socket.getaddrinfo", "time.sleep", "fcntl.flock", "fcntl.lockf", "sqlite3.connect",
}  # fmt: skip


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("state", ["normal", "crowded"])
async def test_no_callback_holds_the_event_loop_for_50_ms(
    state: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, waits: list[str]
) -> None:
    root = tmp_path / "flights"
    workspace = made.normal(root) if state == "normal" else made.crowded(root)
    ways = LISTS | objects(state) if state == "normal" else LISTS
    loop = asyncio.get_running_loop()
    app = make_app(workspace)
    async with app.run_test(size=(160, 48)) as pilot:
        await settled(pilot)
        monkeypatch.setattr(asyncio.constants, "DEBUG_STACK_DEPTH", 1)  # else to note where a task began takes longest
        loop.set_debug(True)
        waits.clear()
        try:
            slow = dict.fromkeys(ways, 1.0)
            for _ in range(ROUNDS):
                slow = {name: by for name in slow if (by := await _share(app, pilot, ways[name], caplog)) > 1}
        finally:
            loop.set_debug(False)
        assert not waits, waits
    assert not slow, f"of what a callback may take, {ROUNDS} times: {slow}"


@pytest.fixture
def waits() -> Iterator[list[str]]:
    """The calls on this thread that may wait, but for imports and the start of a child."""
    found: list[str] = []
    here, listening = threading.get_ident(), True

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if listening and event in WAITS and threading.get_ident() == here and not _excused():
            found.append(f"{event} {arguments[:1]}")

    sys.addaudithook(heard)  # for good: it cannot be taken away
    yield found
    listening = False


def _excused() -> bool:
    """An import, once a process; asyncio's log, which quotes sources; the start of a child, which asyncio does here."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name in {"_find_and_load", "updatecache", "subprocess_exec"}:
            return True
        frame = frame.f_back
    return False


def _work() -> float:
    """The seconds of what screens do most: to cut styled text into lines."""
    began = time.perf_counter()
    for i in range(12):
        styled = Content.assemble(*((f"word{i}-{n} ", "bold" if n % 3 else "dim") for n in range(200)))
        styled.wrap(60)
    return time.perf_counter() - began


async def _share(
    app: MissionControl, pilot: Pilot[Any], way: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> float:
    """By how much a callback took longer than it may while a page was opened, moved about in, and left; 0: none did."""
    pace = max(1.0, sorted(_work() for _ in range(3))[1] / REFERENCE)
    asyncio.get_running_loop().slow_callback_duration = LONGEST * pace
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        if way[:1] == ("open",):
            app.open(way[1], way[2])
            way = way[3:]
        for key in (*way, "down", "pagedown", "end", "home", "right", "left"):
            await pilot.press(key)
        await settled(pilot)
        while len(app.screen_stack) > 2:
            app.pop_screen()
        page_of(app).leave_filter()
        await settled(pilot)
    took = [float(match[1]) for match in re.finditer(r"took (\d+\.\d+) seconds", caplog.text)]
    return max(took, default=0.0) / (LONGEST * pace)
