"""Engines that build and run containers: which one is there, and how it is called."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlops_tui.errors import External, InvalidInput

BUILDERS = ("podman", "buildah", "docker")
RUNNERS = ("podman", "docker")
CALL_SECONDS = 60
BUILD_SECONDS = 1800  # a slow network and 80 MB of wheels


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine of this machine: its name, and the program."""

    name: str
    program: str


def find(wanted: str | None = None, known: Sequence[str] = BUILDERS) -> Engine:
    """Return the engine that is named, else the first of the known ones that is there.

    Raises InvalidInput for a name that is not known, External if the program is not installed.
    """
    if wanted is not None and wanted not in known:
        raise InvalidInput(f"no engine {wanted!r} for this; known: {', '.join(known)}")
    for name in (wanted,) if wanted else known:
        program = shutil.which(name)
        if program:
            return Engine(name, program)
    message = f"{wanted} is not installed" if wanted else f"none of {', '.join(known)} is installed"
    raise External(message, _how(wanted or known[0]))


def _how(name: str) -> str:
    return f"apt-get install {'docker.io' if name == 'docker' else name}, or what your system calls it"


def call(engine: Engine, *words: str, timeout: float = CALL_SECONDS) -> str:
    """Return what an engine's command prints; raises External with its last words if it fails."""
    done = attempt(engine, *words, timeout=timeout)
    if done.returncode:
        raise failed(engine, words, done.stderr.splitlines() or done.stdout.splitlines())
    return done.stdout


def attempt(engine: Engine, *words: str, timeout: float = CALL_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run an engine's command and return how it ended; raises External if it cannot be run, or does not end."""
    try:
        return subprocess.run(
            [engine.program, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
            text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise External(f"`{engine.name} {words[0]}` did not end in {timeout:g} s") from None
    except OSError as error:
        raise External(f"{engine.program} cannot be run: {error.strerror or error}") from None


def follow(engine: Engine, words: Sequence[str], told: Callable[[str], None]) -> None:
    """Run a long command and tell its lines as they come; raises External with the last of them if it fails."""
    last: deque[str] = deque(maxlen=6)
    try:
        child = subprocess.Popen(
            [engine.program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise External(f"{engine.program} cannot be run: {error.strerror or error}") from None
    alarm = threading.Timer(BUILD_SECONDS, child.kill)
    alarm.start()
    try:
        for line in child.stdout or ():
            if line.strip():
                last.append(line.strip())
                told(line.strip())
        if child.wait():
            raise failed(engine, words, last)
    finally:
        alarm.cancel()
        child.kill()
        child.communicate()


def failed(engine: Engine, words: Sequence[str], said: Sequence[str]) -> External:
    """Return the error of a command that failed, with the last of what it said."""
    last = "\n  ".join(list(said)[-6:]) or "(nothing)"
    return External(f"`{engine.name} {words[0]}` failed; its last words:\n  {last}")
