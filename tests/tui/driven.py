"""How tests work the screens: by keys, and by waiting until something is true."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from textual import events
from textual.command import CommandList
from textual.keys import _character_to_key
from textual.pilot import Pilot

from mlops_tui.tui import jobs
from mlops_tui.tui.app import MissionControl
from mlops_tui.tui.page import Page
from tests.tui.shown import settled, text, until

__all__ = ["commands", "ended", "home", "page_of", "settled", "text", "typed", "until"]
CHILD = 120.0  # seconds that a command may take on a machine that does other things, too


def page_of(app: MissionControl) -> Page[Any]:
    """The page that is on top."""
    assert isinstance(app.screen, Page), app.screen
    return app.screen


async def typed(pilot: Pilot[Any], words: str) -> None:
    """Type characters as fast as a terminal sends them; `pilot.press` waits after each."""
    for one in words:
        pilot.app.post_message(events.Key(one if one.isalnum() else _character_to_key(one), one))
    await pilot.pause()


def commands(app: MissionControl) -> list[str]:
    """What the palette lists, the best first: a line with the name of each."""
    found = app.screen.query(CommandList)
    return [str(one.prompt).splitlines()[0] for one in found.first().options] if found else []


async def home(pilot: Pilot[Any], app: MissionControl) -> None:
    """Go back home, by Escape alone."""
    while (depth := len(app.screen_stack)) > 2:  # Textual's own screen, and home
        await pilot.press("escape")
        await until(pilot, lambda depth=depth: len(app.screen_stack) < depth)


async def ended(pilot: Pilot[Any], app: MissionControl, seconds: float = CHILD) -> jobs.Job:
    """Wait until the newest command has ended, and return it."""
    job, deadline = app.jobs[-1], time.monotonic() + seconds
    while job.code is None:
        assert time.monotonic() < deadline, f"{job.command} has not ended: {job.step} {job.text}\n{job.err}"
        await asyncio.sleep(0.05)  # `until` would take as much of a core as the command itself
    await pilot.pause()
    return job
