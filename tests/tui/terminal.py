"""`mlops tui` in a real terminal: tmux holds the screen, keys go in as a person would type them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """A session of tmux with one command in it; `keys` counts what was typed."""

    def __init__(self, folder: Path, *words: str, width: int = 100, height: int = 30) -> None:
        self.name, self.keys = f"mlops-{uuid.uuid4().hex[:8]}", 0
        # Its own server, so that it has our environment and nobody else's sessions are near.
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
        command = [sys.executable, "-m", "mlops_tui", *words]
        self._tmux("new-session", "-d", "-s", "it", "-x", str(width), "-y", str(height), "-c", str(folder), *command,
                   environment=environment)  # fmt: skip

    def _tmux(self, *words: str, environment: dict[str, str] | None = None) -> str:
        command = ["tmux", "-L", self.name, "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    def press(self, *keys: str) -> None:
        """Type keys by tmux's names for them, one keystroke each."""
        for key in keys:
            self._tmux("send-keys", "-t", "it", key)
            self.keys += 1

    def type(self, text: str) -> None:
        """Type a text that is not counted: a comment."""
        self._tmux("send-keys", "-t", "it", "-l", text)

    def screen(self) -> str:
        """What is on the screen now."""
        return self._tmux("capture-pane", "-t", "it", "-p")

    def until(self, seen: str | Callable[[str], bool], seconds: float = 60.0) -> str:
        """Return the screen once it shows a text; fails with what it shows instead, or when the command has ended."""
        deadline, shown = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            try:
                shown = self.screen()
            except subprocess.CalledProcessError:
                raise AssertionError(f"the terminal has ended; it showed\n{shown}") from None
            if seen(shown) if callable(seen) else seen in shown:
                return shown
            time.sleep(0.05)
        raise AssertionError(f"{seen!r} was not shown within {seconds:g} s, but\n{shown}")

    def ended(self, seconds: float = 20.0) -> bool:
        """Whether the command ends by itself within so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.screen()
            except subprocess.CalledProcessError:
                return True
            time.sleep(0.05)
        return False

    def close(self) -> None:
        """End the session and its server, if they are still there."""
        subprocess.run(["tmux", "-L", self.name, "kill-server"], check=False, capture_output=True)
