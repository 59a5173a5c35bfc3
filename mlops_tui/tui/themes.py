"""Dark, light, high contrast, and the terminal's own colours; a mark never says by colour alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.filter import Monochrome
from textual.theme import BUILTIN_THEMES, Theme

from mlops_tui.errors import InvalidInput

if TYPE_CHECKING:
    from textual.app import App

THEMES: dict[str, Theme] = {
    "dark": Theme(
        "dark", primary="#7aa2f7", secondary="#9ece6a", accent="#e0af68", warning="#e0af68", error="#f7768e",
        success="#73daca", foreground="#c8d0e0", background="#16181d", surface="#1c1f26", panel="#272b35",
    ),
    "light": Theme(
        "light", primary="#2e5aac", secondary="#3b6e22", accent="#8f5e15", warning="#8f5e15", error="#b3223c",
        success="#11695c", foreground="#22262e", background="#fafaf7", surface="#f0f0ea", panel="#e2e2da", dark=False,
    ),
    "contrast": Theme(
        "contrast", primary="#ffffff", secondary="#00ffff", accent="#ffff00", warning="#ffff00", error="#ff6060",
        success="#00ff80", foreground="#ffffff", background="#000000", surface="#000000", panel="#303030",
        text_alpha=1.0,
    ),
    "terminal": replace(BUILTIN_THEMES["ansi-dark"], name="terminal"),
}  # fmt: skip
NAMES = ("dark", "light", "contrast", "none")


def pick(app: App[int], name: str | None) -> None:
    """Make the themes known to an app and choose one; "none" draws without any colour. Raises InvalidInput."""
    for theme in THEMES.values():
        app.register_theme(theme)
    if name is not None and name not in NAMES:
        raise InvalidInput(f"no theme '{name}'; allowed: {', '.join(NAMES)}")
    if name == "none" and not app.no_color:
        app.no_color = True
        app._filters.append(Monochrome())
    app.theme = name if name in THEMES else "dark"
