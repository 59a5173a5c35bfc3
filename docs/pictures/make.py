"""Makes the pictures of the README from what the commands really print: `make pictures`.

A workspace is made in a temporary folder, the demo is run in it, and each picture is a terminal with the output.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "sample_data" / "flights"
WIDTH = 116
THEME = TerminalTheme(
    (24, 26, 31), (216, 220, 228),
    [(24, 26, 31), (232, 104, 104), (126, 200, 120), (222, 184, 98), (98, 158, 230), (190, 134, 216), (92, 190, 196),
     (216, 220, 228)],
)  # fmt: skip
CELL, BLANK = 12.2, "&#160;"
INDENTED = re.compile(r'x="([\d.]+)"([^>]*)textLength="([\d.]+)"([^>]*)>((?:&#160;)+)(?=[^<&])')
FONT = "font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;"


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
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    template = template.replace("font-family: Fira Code, monospace;", FONT)
    svg = console.export_svg(title=title, theme=THEME, code_format=template, unique_id=name)
    (HERE / f"{name}.svg").write_text(INDENTED.sub(shifted, svg), encoding="utf-8")


def shifted(match: re.Match[str]) -> str:
    """Move a text to where its first letter stands: some viewers drop blanks at its start."""
    blanks = CELL * (len(match[5]) // len(BLANK))
    return f'x="{float(match[1]) + blanks:g}"{match[2]}textLength="{float(match[3]) - blanks:g}"{match[4]}>'


def wrapped(line: str) -> list[str]:
    """Return a line cut into pieces that fit the picture, the later ones indented as the first."""
    if len(re.sub(r"\x1b\[[\d;]*m", "", line)) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) or 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, drop_whitespace=True, replace_whitespace=False)


def main() -> None:
    """Run the demo and draw what it, `status` and `models show` print."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        demo = mlops(root, "demo", "demo").partition("\n\ntry next:")[0]
        workspace = root / "demo"
        picture("demo", "make demo, from its second batch on", [
            ("make demo", demo.partition("\n\n")[2]),
        ])  # fmt: skip
        before = mlops(workspace, "status")
        shutil.copy(SAMPLE / "2013-09.parquet", workspace / "data" / "flights")
        picture("status", "September arrives, and a plan", [
            ("mlops status", before),
            ("cp ../sample_data/flights/2013-09.parquet data/flights/", ""),
            ("mlops plan flight-delay", mlops(workspace, "plan", "flight-delay")),
        ])  # fmt: skip
        model = mlops(workspace, "models", "show", "flight-delay:2").partition("\n\ngates of")[0]
        picture("model", "a model version", [("mlops models show flight-delay:2", model)])


if __name__ == "__main__":
    main()
