"""The world outside the screens: the clipboard, $PAGER, $EDITOR, and the log of what went wrong here."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from mlops_tui.tui import jobs
from mlops_tui.tui.views import only_reads

if TYPE_CHECKING:
    from mlops_tui.tui.app import MissionControl


class Outside:
    """What the screens of an application hand to other programs; the terminal is lent to one at a time."""

    def __init__(self, app: MissionControl) -> None:
        self._app = app
        self._is_lent = False

    def copy(self, words: Sequence[str]) -> None:
        """Copy a command line to the clipboard (OSC 52: it reaches over ssh), and show it."""
        if not words:
            self._app.tell("no command shows this page")
            return
        line = shlex.join(["mlops", *words])
        self._app.copy_to_clipboard(line)
        self._app.tell(f"copied: {line}")

    def page(self, words: Sequence[str]) -> None:
        """Show what a command prints in $PAGER."""
        if not words:
            self._app.tell("no command shows this page")
            return
        if not only_reads(words):
            self._app.tell(f"not shown: that would do it again: mlops {shlex.join(words)}")
            return
        color = "never" if self._app.no_color else "always"
        line = shlex.join(jobs.command(self._app.workspace.root, words, "--color", color))
        self._lend(lambda: subprocess.run(f"{line} 2>&1 | {_pager()}", shell=True, check=False, env=jobs.environment()))

    def page_text(self, text: str) -> None:
        """Show a text in $PAGER."""
        told = text.encode(errors="replace")
        self._lend(lambda: subprocess.run(_pager(), shell=True, check=False, input=told, env=jobs.environment()))

    def edit(self, pipeline: str | None) -> None:
        """Open a pipeline's file in $EDITOR."""
        from mlops_tui.flows import lookup

        path = lookup.pipeline_files(self._app.workspace).get(pipeline or "")
        if path is None:
            self._app.tell("no pipeline is under the cursor")
        elif self._app.read_only:
            self._app.tell("read only: files are not edited here")
        else:
            words = [*shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"), str(path)]
            self._lend(lambda: subprocess.run(words, check=False, cwd=self._app.workspace.root))

    def _lend(self, work: Callable[[], object]) -> None:
        if not self._is_lent:
            self._is_lent = True
            self._app.run_worker(self._lent(work), exclusive=False)

    async def _lent(self, work: Callable[[], object]) -> None:
        """Lend the terminal, in a thread: the words of commands at work are read on, or they would wait."""
        try:
            with self._app.batch_update(), self._app.suspend(), _deaf():
                await asyncio.to_thread(work)
        except SuspendNotSupported:
            self._app.tell("a browser has no terminal to open that in")
        except OSError as error:
            self._app.tell(f"cannot start it: {error.strerror}")
        finally:
            self._is_lent = False
        self._app.came_back()


def log_bug(home: Path) -> str:
    """Append the traceback at hand to the log of a workspace; returns where it is."""
    path = home / "log" / "mlops.log"
    with suppress(OSError), path.open("a", encoding="utf-8") as stream:
        stream.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv)}\n{traceback.format_exc()}\n")
        return f"the details are in {path}"
    return "the details could not be written anywhere"


def _pager() -> str:
    return os.environ.get("PAGER") or "less -R"


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C is meant for whoever has the terminal now; children hear it all the same."""
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
