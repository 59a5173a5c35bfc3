"""Every theme can be worn, by option and by key."""

from __future__ import annotations

import pytest

from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui.app import make_app
from mlops_tui.tui.themes import NAMES, THEMES
from tests.tui.shown import settled, text


async def test_the_key_goes_round_all_themes(empty: Workspace) -> None:
    app = make_app(empty)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        worn = []
        for _ in THEMES:
            await pilot.press("T")
            await settled(pilot)
            assert f"theme: {app.theme}" in text(app)
            assert "flight-delay" in text(app)
            worn.append(app.theme)
        assert sorted(worn) == sorted(THEMES)


@pytest.mark.parametrize("name", NAMES)
async def test_every_theme_can_be_chosen(name: str, empty: Workspace) -> None:
    app = make_app(empty, theme=name)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert app.no_color == (name == "none")
        assert "flight-delay" in text(app)
