"""What comes from a terminal becomes keys: whole ones, Esc as well, and the thread that reads them ends."""

from __future__ import annotations

import os
import pty
import queue
import tty
from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Thread

import pytest
from textual import events
from textual.message import Message

from mlops_tui.tui.keyboard import Keyboard


class Reading:
    """The thread that reads keys, on a pseudo-terminal; and what it found."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        tty.setraw(self.theirs)
        self.driver = Keyboard.__new__(Keyboard)  # of a driver only what reads: no application, no terminal set up
        self.driver._debug, self.driver.fileno = False, self.theirs
        self.driver.exit_event = Event()
        self.found: queue.Queue[str] = queue.Queue()
        self.driver.process_message = self._take  # type: ignore[method-assign]
        self.thread = Thread(target=self.driver.run_input_thread)
        self.thread.start()

    def _take(self, message: Message) -> None:
        if isinstance(message, events.Key):
            self.found.put(message.key)

    def type(self, text: bytes, count: int) -> list[str]:
        """Return so many keys that are read after these bytes came."""
        os.write(self.ours, text)
        return [self.found.get(timeout=10) for _ in range(count)]


@pytest.fixture
def reading() -> Iterator[Reading]:
    """A thread that reads."""
    found = Reading()
    yield found
    found.driver.exit_event.set()
    found.thread.join(timeout=10)
    assert not found.thread.is_alive()
    for end in (found.ours, found.theirs):
        with suppress(OSError):  # one test closed it
            os.close(end)


def test_an_arrow_is_one_key_and_esc_alone_is_esc(reading: Reading) -> None:
    assert reading.type(b"\x1b[A", 1) == ["up"]
    assert reading.type(b"\x1b", 1) == ["escape"]  # though nothing comes after it
    assert reading.type(b"j\x1b[B\r", 3) == ["j", "down", "enter"]
    assert reading.found.empty()


def test_a_letter_of_two_bytes_may_come_in_two_parts(reading: Reading) -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    os.write(reading.ours, b"a" + first)
    assert reading.found.get(timeout=10) == "a"
    assert reading.type(second, 1) == ["é"]


def test_the_thread_ends_with_the_terminal(reading: Reading) -> None:
    os.close(reading.ours)
    reading.thread.join(timeout=10)
    assert not reading.thread.is_alive()
