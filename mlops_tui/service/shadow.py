"""A challenger in the shadow: scores what the live model was asked, a moment later, and is never answered with."""

from __future__ import annotations

import logging
import threading
from collections import deque

from mlops_tui import counters
from mlops_tui.core.bodies import PANIC
from mlops_tui.service.answer import Asked, answer
from mlops_tui.service.model import Served
from mlops_tui.spool import ITEM_BYTES, Spool

BYTES = 16 * 2**20  # of bodies that wait; more are left out, and counted
log = logging.getLogger("mlops_tui.service")


class Shadow:
    """A bounded queue of requests, and the thread that has a challenger answer them into the spool."""

    def __init__(self, spool: Spool | None) -> None:
        self._queue: deque[tuple[Served, Asked]] = deque()
        self._waiting, self._spool = 0, spool
        self._wake, self._ending = threading.Event(), False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, rival: Served, asked: Asked) -> None:
        """Have a challenger answer a request later; costs the request an append."""
        with self._lock:
            if self._waiting + len(asked.body) + ITEM_BYTES > BYTES:
                counters.held.shadow_dropped += 1
                return
            self._waiting += len(asked.body) + ITEM_BYTES
            self._queue.append((rival, asked))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
            self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """Leave what still waits unanswered, and stop."""
        self._ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(1)

    def _run(self) -> None:
        while not self._ending:
            self._wake.wait()
            self._wake.clear()
            while self._queue and not self._ending:
                with self._lock:
                    rival, asked = self._queue.popleft()
                    self._waiting -= len(asked.body) + ITEM_BYTES
                try:
                    self._score(rival, asked)
                except (Exception, PANIC):
                    log.exception("the shadow of request %s failed", asked.request_id)

    def _score(self, rival: Served, asked: Asked) -> None:
        reply = answer(rival, asked)
        counters.count("shadow", reply.outcome, reply.rows, 0.0)
        if reply.status != 200:
            return
        counters.predicted(rival.model, "shadow", reply.values, rival.bins)
        if self._spool is not None:
            self._spool.shadowed(asked.request_id, reply.kept or asked.body, reply.told or reply.body)
