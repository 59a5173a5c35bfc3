"""What users and data wrote reaches the terminal as text, and as nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.widgets import Static

from mlops_tui.texts.grid import legend
from mlops_tui.tui.app import make_app
from mlops_tui.tui.widgets.drawn import facts
from mlops_tui.tui.widgets.plain import plain
from tests.tui import made
from tests.tui.shown import settled, text

EVIL = "a\x1b]0;owned\x07b\x1b[2Jc\x9b2Jd\u202ee\udcff[bold]f"


async def test_no_escape_of_a_text_is_sent(tmp_path: Path) -> None:
    app = make_app(made.empty(tmp_path / "empty"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.screen.query_one("#trouble", Static).display = True
        app.screen.query_one("#trouble", Static).update(facts([("comment", EVIL)]))
        await settled(pilot)
        shown = text(app)
        assert "]0;owned" in shown
        assert "[bold]f" in shown
        assert not set(shown) & set("\x1b\x07\x9b\u202e\udcff")


@pytest.mark.parametrize("wrote", [EVIL, "", "日本語 👩‍🔬 é", "\t\n"])
def test_a_text_stays_as_wide_as_it_was(wrote: str) -> None:
    assert cell_len(plain(wrote)) == cell_len(wrote)
    assert plain(plain(wrote)) == plain(wrote)


@pytest.mark.parametrize("width", range(1, 24))
def test_a_legend_of_wide_names_is_never_wider_than_its_plot(width: int) -> None:
    for line in legend([("日本語の長い名前です", 1), ("A 日本語の長い", 2)], width, 1):
        assert cell_len("".join(sign for sign, _ in line)) == len(line) <= width
