"""What a name, a comment or a value from data may hold and a terminal must not be sent: escapes, and turned text."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

COMMANDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, which begin a terminal's commands, marks that turn the direction of what follows, and halves
of characters, which cannot be sent."""


class Plain(LineFilter):
    """Takes such characters out of every line just before it is sent; the other characters keep their places."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments without them."""
        return [
            segment if segment.text.isprintable() else Segment(plain(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def plain(text: str) -> str:
    r"""Return a text as wide as it was, with nothing in it that a terminal would obey.

    >>> plain("a\x1b]0;b\x07c")
    'a]0;bc'
    """
    return COMMANDS.sub(lambda found: " " * cell_len(found[0]), text)
