"""A command line called in this process, with what it printed and its exit code."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_tui.cli.main import run


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout; fails if there is anything else."""
        value = json.loads(self.out, parse_constant=lambda name: f"not JSON: {name}")
        assert isinstance(value, dict), self.out
        assert self.out.count("\n") == 1, "one object, on one line"
        return value


def call(root: Path | None, *arguments: object) -> Answer:
    """Run `mlops -C ROOT ARGUMENTS…` in this process, in the workspace's folder."""
    out, err, here, handler = io.StringIO(), io.StringIO(), Path.cwd(), signal.getsignal(signal.SIGTERM)
    words = [*(["-C", str(root)] if root else []), *map(str, arguments)]
    try:
        if root and root.is_dir():
            os.chdir(root)
        with redirect_stdout(out), redirect_stderr(err):
            code = run(words)
    finally:
        os.chdir(here)
        signal.signal(signal.SIGTERM, handler)
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return Answer(code, out.getvalue(), err.getvalue())


def command(root: Path, *arguments: object) -> list[str]:
    """The words that run `mlops` as a process of its own."""
    return [sys.executable, "-m", "mlops_tui", "-C", str(root), *map(str, arguments)]


def process(root: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `mlops` as a process of its own, its output piped."""
    return subprocess.run(
        command(root, *arguments), cwd=root, env=os.environ | environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def catalogue_state(root: Path) -> str:
    """All that the catalogue remembers, as one text: for "nothing was changed"."""
    commands = [("datasets", "list"), ("runs", "list"), ("models", "list"), ("audit", "list")]
    return "".join(call(root, *words, "--limit", 1000, "--json").out for words in commands)


MASKS = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "TIME"),
    (r"since \d{4}-\d\d-\d\d", "since DAY"),
    (r"\b[0-9a-f]{12,64}\b", "HASH"),
    (r"\b\d+(\.\d+)? (s|ms|KB|MB|GB)\b", r"# \2"),
    (r"\b\d+\.\d+\.\d+\b", "VERSION"),
    (r"\b\d+\.\d+\b", "#.#"),
    (r"(hts:\d +\d +)\d+(?= +TIME)", r"\1#.#"),  # whole seconds of a run
    (r"\b\d+ ?%(?! interval)", "# %"),
    (r"(curve|importance|threads|machine)( +)[^\n]+", r"\1\2…"),
)


def masked(text: str, *names: object) -> str:
    """A text without what differs from one run or machine to the next; blanks before line ends and pads shrink."""
    for name in names:
        text = text.replace(str(name), "WORKSPACE")
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return "\n".join(re.sub(r" {2,}", "  ", line).rstrip() for line in text.splitlines()) + "\n"
