"""The terminal as Textual drives it, but that Esc counts as soon as its delay is over."""

from __future__ import annotations

import os
import selectors
from codecs import getincrementaldecoder

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

IDLE = 0.1  # seconds after which the thread looks whether it is to end


class Keyboard(LinuxDriver):
    """Esc is also how the codes of other keys begin, so whoever reads it waits for more.

    Textual's driver asks every 0.1 s whether `ESCDELAY` is over; this one asks when it is.
    """

    def run_input_thread(self) -> None:
        """Read keys, the mouse and what the terminal answers, until the driver stops or the terminal is gone."""
        parser, decode = XTermParser(self._debug), getincrementaldecoder("utf-8")(errors="replace").decode
        wait = IDLE
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                ready, wait = selector.select(wait), IDLE
                if ready:
                    try:
                        read = os.read(self.fileno, 1 << 12)
                    except OSError:  # the other end of the terminal was closed; a signal tells the application
                        return
                    if not read:
                        return
                    for event in parser.feed(decode(read)):
                        self.process_message(event)
                    wait = constants.ESCAPE_DELAY
                for event in parser.tick():
                    self.process_message(event)
