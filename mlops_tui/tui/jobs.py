"""Commands at work: each a process of its own, with its progress, its words, and a way to cancel it."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEPT_CHARACTERS = 400_000  # of what a command prints
KEPT_TEXTS = 20  # of commands that have ended: screens stay open for days


@dataclass
class Job:
    """One command: what it was told, how far it is, what it said; `code` is None while it works."""

    number: int
    words: tuple[str, ...]
    shown: bool = False  # whether its text is wanted on the screen
    as_json: bool = False  # whether a page reads its answer, which is kept whole then
    step: str = ""
    text: str = ""
    done: int = 0
    total: int = 0
    out: str = ""
    err: str = ""
    code: int | None = None
    cancelled: bool = False  # whether that was asked for
    dropped: bool = False  # whether what it printed is no longer here
    said: str = ""  # its last line, if so
    started: float = 0.0
    ended: float = 0.0
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def command(self) -> str:
        """The command line, as a person would type it."""
        return shlex.join(["mlops", *self.words])

    @property
    def word(self) -> str:
        """How it ended, in a word."""
        if self.code is None:
            return "working"
        return {0: "done", 1: "refused", 130: "cancelled"}.get(self.code, "failed")

    @property
    def last_line(self) -> str:
        """What it said in the end: the error where there is one, else the line of its answer that tells most.

        That is the first; of a run of the cycle the last step that did something, waits or says no.
        """
        if self.as_json or self.dropped:
            return self.said  # an answer is for a page to read
        if self.code:
            told = next((line for line in self.err.splitlines() if line.startswith("error:")), "")
            return told or next(iter(self.err.splitlines() or self.out.splitlines()), "")
        lines = [line for line in self.out.splitlines() if line.strip()]
        steps = [line for line in lines if line[0] in "▶…✗"] if self.words[:1] == ("run",) else []
        return next(iter([*reversed(steps), *lines]), "")


def environment() -> dict[str, str]:
    """Return the variables of a command that the screens start: their own driver and terminal are not its business."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TEXTUAL")}
    return kept | {"COLUMNS": "160"}


def command(root: Path, words: Sequence[str], *more: str) -> list[str]:
    """Return the words that start the CLI on this workspace as a process of its own."""
    return [sys.executable, "-m", "mlops_tui", "-C", str(root), *more, *words]


def with_json(words: Sequence[str]) -> list[str]:
    """Return a command's words so that it answers JSON; behind a "--" there are no options.

    >>> with_json(["monitor", "feature", "--", "flight-delay", "-x"])
    ['monitor', 'feature', '--json', '--', 'flight-delay', '-x']
    """
    at = words.index("--") if "--" in words else len(words)
    return [*words[:at], "--json", *words[at:]]


async def work(root: Path, job: Job, ended: Callable[[Job], None]) -> None:
    """Run a job to its end, and tell that; a cancelled task interrupts the command."""
    loop = asyncio.get_running_loop()
    job.started = loop.time()
    try:
        job.process = await asyncio.create_subprocess_exec(
            *command(root, with_json(job.words) if job.as_json else job.words, "--progress", "json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
            cwd=root,
            start_new_session=True,  # a Ctrl-C in the terminal is ours alone
            limit=1 << 22,
        )
    except OSError as error:
        job.err, job.code, job.ended = f"error: cannot start a process: {error.strerror}", 3, loop.time()
        ended(job)
        return
    if job.cancelled:  # before there was a process
        cancel(job)
    try:
        await asyncio.gather(_read_out(job), _read_err(job))
        code = await job.process.wait()
    except asyncio.CancelledError:
        cancel(job)
        raise
    if code == -signal.SIGTERM:  # before it could answer by itself
        code, job.err = 130, "error: interrupted before it began\n"
    job.code, job.ended = code, loop.time()
    ended(job)


def drop_old(known: Sequence[Job]) -> None:
    """Drop the texts of all commands but those that ended last."""
    kept = [job for job in known if job.code is not None and not job.dropped]
    for job in sorted(kept, key=lambda job: job.ended)[:-KEPT_TEXTS]:
        job.said = job.last_line
        job.out, job.err, job.dropped = "", "", True


def cancel(job: Job) -> None:
    """Ask a job to end, which it does as on Ctrl-C: what it has finished is kept.

    By SIGTERM: where SIGINT is ignored (`nohup`, a script's `mlops web &`), every command that we start ignores it too.
    """
    job.cancelled = True
    if job.process is not None and job.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            job.process.terminate()


async def _read_out(job: Job) -> None:
    assert job.process is not None
    assert job.process.stdout is not None
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # a character may lie in two chunks
    while chunk := await job.process.stdout.read(65536):
        kept = job.out + decoder.decode(chunk)
        job.out = kept if job.as_json else kept[-KEPT_CHARACTERS:]


async def _read_err(job: Job) -> None:
    """Progress comes as JSON lines, everything else is meant for a person."""
    assert job.process is not None
    assert job.process.stderr is not None
    while line := await job.process.stderr.readline():
        event = _progress(line)
        if event is None:
            job.err = (job.err + line.decode(errors="replace"))[-KEPT_CHARACTERS:]
            continue
        figures = "  ".join(f"{name} {_figure(value)}" for name, value in event.get("values", {}).items())
        job.step, job.done, job.total = event["step"], event.get("done", 0), event.get("total", 0)
        job.text = "  ".join(part for part in (event.get("text", ""), figures) if part)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"  # JSON has no NaN


def _progress(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "step" in event else None


async def answer(root: Path, words: Sequence[str]) -> dict[str, Any]:
    """Return the JSON object that a reading command answers; `{"error": …}` where it refuses."""
    process = await asyncio.create_subprocess_exec(
        *command(root, with_json(words), "--quiet"), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(), cwd=root,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # it only reads
        await _drained(process)
        raise
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        told = err.decode(errors="replace").strip().splitlines()
        found = {"error": {"kind": "bug", "message": told[-1] if told else "no answer", "hint": ""}}
    return found


async def _drained(process: asyncio.subprocess.Process) -> None:
    """Read a killed process to its end, though we are cancelled again: its pipes must be closed before the loop is."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await process.communicate()
            return
