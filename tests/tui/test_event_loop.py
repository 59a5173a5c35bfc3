"""The event loop is never held up: every page is visited with asyncio's own log of slow callbacks on."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from pathlib import Path

import pytest

from mlops_tui.tui.app import MissionControl, make_app
from tests.tui import made
from tests.tui.shown import settled
from tests.tui.test_snapshots import LISTS, objects

LONGEST = 0.05  # seconds
ROUNDS = 6  # what holds the loop up does so each time; what else the machine does, does not


@pytest.mark.parametrize("state", ["normal", "crowded"])
async def test_no_callback_holds_the_event_loop_for_50_ms(
    state: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
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
        loop.slow_callback_duration = LONGEST
        try:
            slow = set(ways)
            for _ in range(ROUNDS):
                slow = {name for name in slow if await _holds_up(app, pilot, ways[name], caplog)}
        finally:
            loop.set_debug(False)
    if slow and os.getloadavg()[0] > (os.cpu_count() or 1):
        pytest.skip(f"the machine has other work, times tell nothing: {sorted(slow)} were slow {ROUNDS} times")
    assert not slow, {name: ways[name] for name in slow}


async def _holds_up(app: MissionControl, pilot: object, way: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> bool:
    """Whether a callback took too long while a page was opened, moved about in, and left."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        if way[:1] == ("open",):
            app.open(way[1], way[2])
            way = way[3:]
        for key in (*way, "down", "pagedown", "end", "home", "right", "left"):
            await pilot.press(key)  # type: ignore[attr-defined]
        await settled(pilot)  # type: ignore[arg-type]
        while len(app.screen_stack) > 2:
            app.pop_screen()
        app.screen.leave_filter()  # type: ignore[attr-defined]
        await settled(pilot)  # type: ignore[arg-type]
    found = [float(match[1]) for match in re.finditer(r"took (\d+\.\d+) seconds", caplog.text)]
    return bool(found)
