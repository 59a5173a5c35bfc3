"""What the screens show, as plain text, once they have come to rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from mlops_tui.tui.app import MissionControl
from mlops_tui.tui.page import Page


def text(app: App[Any]) -> str:
    """The screen's characters, line by line, without blanks at their ends."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips) + "\n"


async def until(pilot: Pilot[Any], condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until a condition holds; fails with what the screen shows instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s; the screen shows\n{text(pilot.app)}")
        await pilot.pause(0.01)


async def settled(pilot: Pilot[Any], seconds: float = 30.0) -> None:
    """Wait until the page has loaded all that it shows, and has drawn it."""
    app = pilot.app
    assert isinstance(app, MissionControl)

    def rests() -> bool:
        page = app.screen
        done = not isinstance(page, Page) or ((page.data is not None or page.failed is not None) and not page._loading)
        return done and all(worker.is_finished for worker in app.workers) and "computing" not in text(app)

    await until(pilot, rests, seconds)
    await pilot.pause()
    await until(pilot, rests, seconds)
