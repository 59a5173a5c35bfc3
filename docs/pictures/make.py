"""Makes the pictures of the README from what the commands print and the screens show: `make pictures`.

A workspace is made in a temporary folder and the demo is run in it. Then a new month arrives and waits for an approval,
the deployment answers for two months that no model has seen, and the screens are opened on that.
"""

from __future__ import annotations

import asyncio
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from textual.pilot import Pilot

from mlops_tui.flows.workspace import open_workspace
from mlops_tui.tui.app import MissionControl, make_app
from mlops_tui.tui.page import Page

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "sample_data" / "flights"
WIDTH = 116
THEME = TerminalTheme(
    (24, 26, 31), (216, 220, 228),
    [(24, 26, 31), (232, 104, 104), (126, 200, 120), (222, 184, 98), (98, 158, 230), (190, 134, 216), (92, 190, 196),
     (216, 220, 228)],
)  # fmt: skip
CELL = 12.2
TEXT = re.compile(
    r'<text class="([^"]+)" x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+" clip-path="([^"]+)">([^<]+)</text>'
)
FONT = "font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;"
OUTCOME = ("late", "arr_delay", "dep_delay", "tailnum")  # what a request does not know
OTHERS = {"minutes-late": "arr_delay", "departure-delay": "dep_delay"}  # pipelines beside the demo's, and their targets
OTHER = """\
[target]
column = "{target}"
task = "regression"
[features]
exclude = {exclude}
[split]
method = "time"
[train]
rounds = 150
[[gates]]
metric = "r2"
min = 0.0
[approval]
mode = "auto"
"""


def mlops(workspace: Path, *arguments: str) -> str:
    """Return what a command prints on stdout, in colour."""
    command = [sys.executable, "-m", "mlops_tui", "--color", "always", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "NO_COLOR"))}
    print("$ mlops", *arguments, file=sys.stderr)
    done = subprocess.run(command, check=True, cwd=workspace, env=environment, stdout=subprocess.PIPE, text=True)
    return done.stdout.rstrip()


def picture(name: str, title: str, shown: list[tuple[str, str]]) -> None:
    """Write NAME.svg: commands, each with its output, as a terminal shows them; no font is loaded from anywhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for number, (command, output) in enumerate(shown):
        console.print(Text.assemble("\n" if number else "", ("$ ", "bold green"), (command, "bold")))
        for line in output.splitlines():
            for piece in wrapped(line):
                console.print(Text.from_ansi(piece), soft_wrap=True)
    write(name, console.export_svg(title=title, theme=THEME, code_format=CONSOLE_SVG_FORMAT, unique_id=name))


def write(name: str, svg: str) -> None:
    """Write NAME.svg in a font of the viewer's own."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace;", FONT).replace("font-family: arial;", FONT)
    (HERE / f"{name}.svg").write_text(TEXT.sub(placed, svg), encoding="utf-8")


def placed(match: re.Match[str]) -> str:
    """Return a text as its words, each at its own cell: many viewers give a letter another width than its cell's."""
    kind, left, y, clip, content = match.groups()
    found = re.finditer(r"\S+(?: \S+)*", html.unescape(content).replace("\xa0", " "))
    return "".join(
        f'<text class="{kind}" x="{float(left) + CELL * word.start():g}" y="{y}" '
        f'textLength="{CELL * len(word[0]):g}" clip-path="{clip}">{html.escape(word[0]).replace(" ", "&#160;")}</text>'
        for word in found
    )


def wrapped(line: str) -> list[str]:
    """Return a line cut into pieces that fit the picture, the later ones indented as the first."""
    if len(re.sub(r"\x1b\[[\d;]*m", "", line)) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) or 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, drop_whitespace=True, replace_whitespace=False)


# ── the screens ──────────────────────────────────────────────────────────────────────────────────


def live(workspace: Path) -> str:
    """Let September be trained on and two months be asked about of a server; return the id of the report on them."""
    mlops(workspace, "deployments", "start", "flight-delay")
    url = json.loads(mlops(workspace, "deployments", "show", "flight-delay", "--json"))["url"]
    shutil.copy(SAMPLE / "2013-09.parquet", workspace / "data" / "flights")
    mlops(workspace, "run", "flight-delay")
    for month in ("09", "10"):
        flights = pl.read_parquet(SAMPLE / f"2013-{month}.parquet").drop(OUTCOME)
        for rows in flights.iter_slices(1000):
            urllib.request.urlopen(f"{url}/predict", rows.write_json().encode(), timeout=60).close()
    asked = ("--from", "2013-09-01", "--to", "2013-11-01")
    report = json.loads(mlops(workspace, "monitor", "run", "flight-delay", *asked, "--json"))["id"]
    mlops(workspace, "monitor", "run", "flight-delay")
    mlops(workspace, "rules", "check", "flight-delay")
    folder = workspace / "pipelines"
    data = (folder / "flight-delay.toml").read_text(encoding="utf-8").partition("[target]")[0]
    for name, target in OTHERS.items():
        exclude = json.dumps([one for one in OUTCOME if one != target])
        text = data.replace("flight-delay", name) + OTHER.format(target=target, exclude=exclude)
        (folder / f"{name}.toml").write_text(re.sub("description = .*", "", text), encoding="utf-8")
    mlops(workspace, "run", "minutes-late")
    return str(report)


async def screen(workspace: Path, name: str, size: tuple[int, int], opens: Sequence[str], keys: Sequence[str]) -> None:
    """Write NAME.svg: the page that `opens` names (noun, reference), or home, after some keys."""
    print("$ mlops tui:", *opens, *keys, file=sys.stderr)
    app = make_app(open_workspace(workspace))
    async with app.run_test(size=size) as pilot:
        await at_rest(app, pilot)
        if opens:
            app.open(opens[0], opens[1])
        for key in ("", *keys):
            await pilot.press(*([key] if key else []))
            await at_rest(app, pilot)
        write(name, app.export_screenshot(title="mlops tui"))


async def at_rest(app: MissionControl, pilot: Pilot[int]) -> None:
    """Wait until the page shows all that it has asked for."""
    async with asyncio.timeout(120):
        await pilot.pause(0.2)
        while not (isinstance(app.screen, Page) and app.screen.data is not None) or any(
            not worker.is_finished for worker in app.workers
        ):
            await pilot.pause(0.1)
        await pilot.pause(0.2)


def screens(workspace: Path) -> None:
    """Draw home, a challenger against its champion, and the drift of two months."""
    try:
        report = live(workspace)
        for name, size, opens, keys in (
            ("tui-home", (132, 12), (), ["right"] * 5),
            ("tui-model", (124, 38), ("versus", "flight-delay:3"), []),
            ("tui-drift", (124, 38), ("report", report), ["right"] * 8),
        ):
            asyncio.run(screen(workspace, name, size, opens, keys))
    finally:
        mlops(workspace, "deployments", "stop", "flight-delay")


def main() -> None:
    """Run the demo, draw what it and `models show` print, and then the screens."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        demo = mlops(root, "demo", "demo").partition("\n\ntry next:")[0]
        workspace = root / "demo"
        picture("demo", "make demo, from its second batch on", [
            ("make demo", demo.partition("\n\n")[2]),
        ])  # fmt: skip
        model = mlops(workspace, "models", "show", "flight-delay:2").partition("\n\ngates of")[0]
        picture("model", "a model version", [("mlops models show flight-delay:2", model)])
        screens(workspace)


if __name__ == "__main__":
    main()
