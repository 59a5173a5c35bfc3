"""Commands of the act release for those who ask a deployment: call it, and measure it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_tui.cli import clients_texts as texts
from mlops_tui.cli import output
from mlops_tui.cli.output import JsonFlag
from mlops_tui.core.snippets import KEY

SHOWN = 20  # warnings

DeploymentArgument = Annotated[str, typer.Argument(help="The deployment's name.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key-file", help=f"A file with the API key; else the variable {KEY}.")
]


def call(
    name: DeploymentArgument,
    rows: Annotated[str, typer.Option(help="A file .json .jsonl .csv .parquet .arrow, or - for JSON on stdin.")],
    explain: Annotated[bool, typer.Option("--explain", help="What each feature adds, instead of predictions.")] = False,
    key_file: KeyOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Send rows to a deployment and print what it answers, in the order of the rows."""
    from mlops_tui.flows.release import clients as flow

    key = _key(key_file)
    source = sys.stdin.buffer.read() if rows == "-" else Path(rows)
    with output.workspace(as_json=as_json) as workspace:
        found = flow.call(workspace, name, source, "/explain" if explain else "/predict", key)
    if found.left_out:
        output.note(f"left out, as the model does not know them: {', '.join(found.left_out)}")
    for line in texts.warnings(found.warnings, SHOWN):
        output.note(line)
    value: dict[str, Any] = {"items": found.items, "model": ", ".join(found.models), "requests": found.requests}
    output.emit(value, as_json, lambda: texts.answers_text(found, sys.stdout.isatty()))


def bench(
    name: DeploymentArgument,
    seconds: Annotated[float, typer.Option(help="How long, 300 at most.")] = 5.0,
    connections: Annotated[int, typer.Option(help="How many ask at once, 1,000 at most.")] = 8,
    rows: Annotated[int, typer.Option(help="The rows of a request, 10,000 at most.")] = 1,
    requests: Annotated[int | None, typer.Option(help="Stop after so many, 1,000,000 at most.")] = None,
    key_file: KeyOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Put a load on a deployment with rows that its model was trained on; Ctrl-C ends it with what was measured."""
    from dataclasses import asdict

    from mlops_tui.flows.release import bench as flow

    key, wanted = _key(key_file), flow.Wanted(seconds, connections, rows, requests)
    with output.workspace(as_json=as_json) as workspace:
        found = flow.bench(workspace, name, wanted, key)
    value = asdict(found)
    value |= {"connections": connections, "rows_per_request": rows}
    del value["wanted"]
    output.emit(value, as_json, lambda: texts.bench_text(found))


def _key(path: Path | None) -> str | None:
    """The API key, from a file or the environment; it is never printed."""
    from mlops_tui.errors import InvalidInput, NotFound

    if path is None:
        return os.environ.get(KEY, "").strip() or None
    try:
        found = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise NotFound(f"no file {path}") from None
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"{path} cannot be read as a text of one key") from None
    if not found:
        raise InvalidInput(f"{path} is empty", "it holds an API key, as `mlops deployments keys NAME --add NAME` told")
    return found
