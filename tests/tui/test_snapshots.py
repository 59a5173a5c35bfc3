"""Every page, empty, normal, crowded and in trouble, at 80×24 and at 160×48, as the CLI's own factory makes it.

`GOLDEN=update pytest tests/tui/test_snapshots.py` writes the texts anew; read the difference before it is committed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from textual.pilot import Pilot

from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui.app import MissionControl, make_app
from mlops_tui.tui.home import Home
from mlops_tui.tui.pages import PAGES
from mlops_tui.tui.widgets.table import Table
from tests.tui import made
from tests.tui.shown import settled, text

GOLDEN = Path(__file__).parent / "golden"
SIZES = ((80, 24), (160, 48))
Way = tuple[str, ...]  # keys from home, or ("open", noun, reference) and then keys
LISTS: dict[str, Way] = {
    "home": (), "home-station": ("right", "right", "right"), "home-filter": ("slash", *"approve"),
    "help": ("question_mark",), "command-line": ("colon",), "commands": ("J",),
    "datasets": ("1",), "runs": ("1", "tab"), "pipelines": ("1", "tab", "tab"),
    "models": ("2",), "bentos": ("2", "tab"), "deployments": ("2", "tab", "tab"),
    "reports": ("3",), "rules": ("3", "tab"), "decisions": ("3", "tab", "tab"), "audit": ("3", "tab", "tab", "tab"),
    "agent": ("3", "tab", "tab", "tab", "tab"),
}  # fmt: skip
"""Pages that every workspace has."""


def the_crowd(root: Path) -> Workspace:
    return made.crowded(root, pipelines=40, versions=400, runs=2000)


MAKERS: dict[str, Callable[[Path], Workspace]] = {
    "empty": made.empty, "normal": made.normal, "broken": made.broken, "crowded": the_crowd,
}  # fmt: skip


FLIGHTS: dict[str, tuple[str, str]] = {
    "dataset": ("dataset", "flights:4"), "dataset-diff": ("dataset diff", "flights:3,flights:4"),
    "run": ("run", "fdca8007d499"), "run-failed": ("run", "514cebabd79c"),
    "compare": ("compare", "fdca8007d499,74ee1b8167e7,06db949eeb4c"), "pipeline": ("pipeline", "flight-delay"),
    "pipeline-stuck": ("pipeline", "stuck"), "model": ("model", "flight-delay:5"),
    "model-failed": ("model", "flight-delay:2"), "bento": ("bento", "flight-delay:v3"),
    "deployment": ("deployment", "flight-delay"), "report": ("report", "66356b880eed"),
    "feature": ("feature", "66356b880eed wind_speed 2013-10-10@3"), "decision": ("decision", "e4288749a04b"),
}  # fmt: skip
OBJECTS: dict[str, dict[str, tuple[str, str]]] = {
    "empty": {noun: (noun, ref) for noun, ref in (
        ("dataset", "flights:1"), ("run", "abc"), ("model", "flight-delay:1"), ("pipeline", "flight-delay"),
        ("deployment", "flight-delay"), ("report", "abc"), ("decision", "abc"), ("bento", "flight-delay:v1"))},
    "normal": FLIGHTS,
    "broken": {name: FLIGHTS[name] for name in ("deployment", "report")} | {
        "run": ("run", "8a28cf977b1f"), "model": ("model", "flight-delay:3"), "pipeline": ("pipeline", "mistaken")},
    "crowded": {
        "dataset": ("dataset", "events:3"), "model": ("model", "churn-000:10"), "pipeline": ("pipeline", "churn-000"),
        "deployment": ("deployment", "churn-000"), "report": ("report", "churn-000")},
}  # fmt: skip


def objects(state: str) -> dict[str, Way]:
    """Return the pages of objects in a workspace of that state; in an empty one, of objects that are not there."""
    return {f"of-{name}": ("open", noun, ref) for name, (noun, ref) in OBJECTS[state].items()}


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a directory with a path of the same length in every run: the lines that show it break by that."""
    with TemporaryDirectory(prefix="mlops-", dir="/tmp") as path:
        yield Path(path)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", MAKERS)
async def test_every_page_looks_as_it_did(state: str, size: tuple[int, int], place: Path) -> None:
    workspace = MAKERS[state](place / "flights")
    wrong = []
    app = make_app(workspace)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for name, way in (LISTS | objects(state)).items():
            await go(app, pilot, way)
            await settled(pilot)
            wrong += differs(f"{state}-{name}-{size[0]}x{size[1]}", masked(text(app)))
            while len(app.screen_stack) > 2:  # the default screen of Textual, and home
                app.pop_screen()
            assert isinstance(app.screen, Home)
            app.screen.query_one("#board", Table).column = 0
            app.screen.leave_filter()
            await settled(pilot)
    assert not wrong, "\n\n".join(wrong)


async def go(app: MissionControl, pilot: Pilot[int], way: Way) -> None:
    """Open an object's page, or type keys."""
    if way[:1] == ("open",):
        app.open(way[1], way[2])
    for key in way[3:] if way[:1] == ("open",) else way:
        await pilot.press(key)


def masked(shown: str) -> str:
    """A screen without what differs from one run to the next: this process, and where the workspace lies."""
    shown = re.sub(rf"(?<=pid     ){os.getpid()} *|(?<=process ){os.getpid()}", "PID", shown)
    shown = re.sub(r"(?<=content   )[0-9a-f]{64}", "HASH", shown)  # of the code that serves, among others
    return re.sub(r"/tmp/mlops-\w{8}(?=/)", "/tmp/mlops-workshop", shown)


def differs(name: str, shown: str) -> list[str]:
    """Compare with the golden text, or write it where that is asked for."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "update":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
        return []
    expected = path.read_text(encoding="utf-8") if path.exists() else "nothing: GOLDEN=update writes it\n"
    return [] if shown == expected else [f"{name} shows\n{shown}instead of\n{expected}"]


def test_every_kind_of_page_is_in_the_snapshots() -> None:
    lists = {"jobs", "build", "release", "watch"}
    by_their_own_tests = {"output", "backtest", "versus"}  # what they show is what a command has just worked out
    named = {way[1] for way in objects("normal").values()} | lists | by_their_own_tests
    assert set(PAGES.values()) == {PAGES[name] for name in named}  # some go by more than one name
