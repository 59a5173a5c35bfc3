"""The styles of a table by theme: worked out once a theme, where a rule of CSS for each would cost every table anew."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.style import Style
from textual.color import Color

if TYPE_CHECKING:
    from textual.app import App


def tones(app: App[object]) -> Mapping[str, Style]:
    """Return the styles of the theme at hand: `head`, `cell`, `cursor`, and the tones of cells."""
    return _tones(app.theme, tuple(app.theme_variables.get(name, "") for name in NAMES))


NAMES = ("background", "surface", "foreground", "primary", "secondary", "success", "warning", "error", "accent")


@lru_cache(maxsize=16)
def _tones(theme: str, variables: tuple[str, ...]) -> Mapping[str, Style]:
    colours = {name: Color.parse(value) for name, value in zip(NAMES, variables, strict=True)}
    rich = {name: colour.rich_color for name, colour in colours.items()}
    background, foreground = colours["background"], colours["foreground"]
    own = background.ansi is not None  # the terminal's own colours cannot be mixed
    dim = Style(dim=True) if own else Style(color=background.blend(foreground, 0.6).rich_color)
    under = Style(reverse=True) if own else Style(bgcolor=background.blend(colours["primary"], 0.3).rich_color)
    return {
        "head": Style(color=rich["primary"], bgcolor=rich["surface"], bold=True),
        "cell": Style(color=rich["foreground"], bgcolor=rich["background"]),
        "cursor": under + Style(bold=True),
        "ok": Style(color=rich["success"]),
        "warn": Style(color=rich["warning"]),
        "fail": Style(color=rich["error"], bold=True),
        "wait": Style(color=rich["accent"], bold=True),
        "due": Style(color=rich["primary"]),
        "busy": Style(color=rich["secondary"], italic=True),
        "dim": dim,
        "lit": Style(bold=True),
        "": Style(),
    }
