"""The process above a server's worker: it holds the port, and starts the worker again when that dies.

It runs as a script, `python -I -S keeper.py FD RUNTIME COMMAND…`, with the standard library alone, for it lives as long
as the deployment and should weigh nothing. While no worker is there the kernel keeps new connections waiting on
the port, so that a crash fails at most the requests that the worker had in hand.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

SOON = 10.0  # seconds; a worker that lived for less has died young
YOUNG_DEATHS = 5  # in a row, after which the keeper gives up and ends as well: whoever looks after it shall know
PR_SET_PDEATHSIG = 1  # prctl(2)


class Keeper:
    """Runs a worker with the port's socket, again and again until it is told to stop."""

    def __init__(self, fd: int, runtime: Path, command: list[str]) -> None:
        self._fd, self._runtime, self._command = fd, runtime, command
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        """Return the exit code of the last worker: 0 after a stop that went well."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        deaths = 0
        while True:
            begun = time.monotonic()
            code = self._work()
            if self._stopping:
                return code
            if not (self._runtime / "serves.json").exists():
                return code or 1  # it never was ready: starting it again would hide why
            deaths = deaths + 1 if time.monotonic() - begun < SOON else 1
            print(f"the worker ended with {code}; started again", file=sys.stderr, flush=True)
            if deaths > YOUNG_DEATHS:
                print(f"{deaths} workers in a row did not live {SOON:g} s; giving up", file=sys.stderr, flush=True)
                return code or 1
            if deaths > 1:
                time.sleep(0.2 * 2 ** (deaths - 2))
                if self._stopping:
                    return code

    def _work(self) -> int:
        self._child = subprocess.Popen(self._command, pass_fds=[self._fd], preexec_fn=_end_with_the_keeper)  # noqa: PLW1509 - it has no threads
        if self._stopping:  # told so between two workers
            self._child.terminate()
        return self._child.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)  # none to one that has ended: its pid may be another's


def _end_with_the_keeper() -> None:
    """Have the kernel stop a worker whose keeper was killed: nobody would ever find it again."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(Keeper(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]).run())
