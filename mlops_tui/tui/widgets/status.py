"""The two lines at the bottom: what happens, and which keys do something here."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static


class Keys(Static):
    """The keys of this page, as many as fit; `?` has them all."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.pairs: tuple[tuple[str, str], ...] = ()

    def put(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Show these (key, label) pairs."""
        if tuple(pairs) != self.pairs:
            self.pairs = tuple(pairs)
            self.refresh()

    def render(self) -> Content:
        """As many pairs as fit beside the way to all of them."""
        room = self.size.width - len(" ? help  q quit ")
        parts: list[Content | str] = [" "]
        for key, label in self.pairs:
            room -= len(key) + len(label) + 3
            if room < 0:
                break
            parts += [Content.styled(key, "bold $accent"), f" {label}  "]
        shown = [*parts, Content.styled("?", "bold $accent"), " help  ", Content.styled("q", "bold $accent"), " quit"]
        return Content.assemble(*shown)
