"""Bodies of requests, read within bounds of size and of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

SWEEP_SECONDS = 1.0
Message = dict[str, Any]
LATE: dict[str, Any] = {"type": "late"}  # instead of the body that did not come in time
Receive = Callable[[], Awaitable[Message]]
Headers = Mapping[bytes, bytes]
Task = asyncio.Task[Any]


class Clock:
    """Cancels requests that wait too long for their bodies: one clock for all, for timers would cost more than answers.

    A request says when it begins to wait and when it ends; who was cancelled asks whether it was this clock.
    """

    def __init__(self) -> None:
        self._waiting: dict[Task | None, float] = {}
        self._late: set[Task] = set()
        self._runs = False

    def begin(self, task: Task | None, until: float) -> None:
        """Bound how long a task may wait, by `time.perf_counter`; it is cancelled a second later at most."""
        self._waiting[task] = until
        if not self._runs:
            self._look()

    def end(self, task: Task | None) -> None:
        """Leave a task alone again."""
        self._waiting.pop(task, None)

    def raise_unless_late(self, task: Task | None) -> None:
        """Raise CancelledError again in a task that somebody else has cancelled."""
        if task is None or task not in self._late:
            raise asyncio.CancelledError
        self._late.discard(task)
        task.uncancel()

    def _look(self) -> None:
        now = time.perf_counter()
        for task in [task for task, until in self._waiting.items() if task and until < now]:
            self._late.add(task)
            task.cancel()
        self._runs = bool(self._waiting)
        if self._runs:
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look)


async def rest_of_body(headers: Headers, receive: Receive, most: int, first: Message) -> bytes | None:
    """Return the body whose first part came, cut just past the limit so that it shows; None if the client went away."""
    length, message = headers.get(b"content-length", b""), first
    if length.isdigit() and int(length) > most:
        return bytes(most + 1)
    parts, size = [], 0
    while message["type"] != "http.disconnect":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most or not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    return None
