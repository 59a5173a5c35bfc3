"""Drawings of characters that follow the size they are given, and facts by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.visual import VisualType
from textual.widget import Widget
from textual.widgets import Static

Grid = Sequence[Sequence[tuple[str, int]]]
Draw = Callable[[int, int], Grid]
TONES = ("dim", "$primary", "$accent", "$success", "$error", "$secondary", "$warning")
"""By tone: 0 is axes and words, the others are series; the characters tell them apart without colour too."""


class Drawn(Widget):
    """What a function draws for so many columns and rows; drawn again when either changes."""

    DEFAULT_CSS = "Drawn { height: 14; width: 1fr; }"

    def __init__(self, draw: Draw | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self.draw = draw

    def put(self, draw: Draw) -> None:
        """Draw this from now on."""
        self.draw = draw
        self.refresh()

    def render(self) -> Content:
        """The drawing at the size that there is."""
        if self.draw is None or not self.size.width or not self.size.height:
            return Content("")
        return colour(self.draw(self.size.width, self.size.height))


def colour(grid: Grid) -> Content:
    """A drawing in the colours of its tones: runs of one tone at a time."""
    lines = []
    for row in grid:
        parts: list[tuple[str, str]] = []
        for sign, tone in row:
            style = TONES[tone % len(TONES)]
            if parts and parts[-1][1] == style:
                parts[-1] = (parts[-1][0] + sign, style)
            else:
                parts.append((sign, style))
        lines.append(Content.assemble(*parts))
    return Content("\n").join(lines)


def facts(pairs: Sequence[tuple[str, object]]) -> Content:
    """Names and values, one pair a line, aligned; a value may be a Content, and empty ones are left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", ())]
    width = max((len(name) for name, _ in shown), default=0)
    lines = [
        Content.assemble(
            Content.styled(name.ljust(width), "dim"), "  ", value if isinstance(value, Content) else str(value)
        )
        for name, value in shown
    ]
    return Content("\n").join(lines)


class Words(Static):
    """Words that are laid out and drawn again only when they are others: a page puts all of its words at every load."""

    _last: str | Content | None = None

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Show these words."""
        last = self._last
        if isinstance(content, Content):
            same = isinstance(last, Content) and content.is_same(last)
        else:
            same = isinstance(content, str) and isinstance(last, str) and content == last
        if not same:
            self._last = content if isinstance(content, (str, Content)) else None
            super().update(content, layout=layout)


class Title(Words):
    """The head of a section."""

    DEFAULT_CSS = "Title { height: 1; margin: 1 0 0 0; text-style: bold; color: $primary; }"
