"""Commands that open the screens: tui, in a terminal; web, in a browser."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from mlops_tui.cli import output
from mlops_tui.cli.output import JsonFlag
from mlops_tui.errors import InvalidInput

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
ReadOnlyFlag = Annotated[bool, typer.Option("--read-only", help="Show everything and change nothing.")]


@app.command()
def tui(
    read_only: ReadOnlyFlag = False,
    theme: Annotated[
        Literal["dark", "light", "contrast", "none"] | None,
        typer.Option(help="Colours; none has no colour at all.", envvar="MLOPS_THEME"),
    ] = None,
    as_json: JsonFlag = False,  # of a refusal: screens print nothing
) -> None:
    """Open the terminal screens."""
    from mlops_tui.flows.workspace import open_workspace

    in_browser = "TEXTUAL_DRIVER" in os.environ
    if not in_browser and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput("the screens need a terminal", "mlops status")
    workspace = open_workspace(output.settings.directory)
    os.environ.setdefault("ESCDELAY", "25")  # ms that Esc waits for more of a key's code: as vim and tmux do
    from mlops_tui.tui.app import make_app

    if in_browser:
        _end_with_parent()
    screens = make_app(workspace, read_only=read_only, theme=theme)
    screens.run()
    if (bug := screens._exception) is not None:  # Textual has printed it; the log and the exit code are ours
        raise RuntimeError(f"{type(bug).__name__}: {bug}") from bug
    raise typer.Exit(screens.return_code or 0)


def _end_with_parent() -> None:
    """Quit if `mlops web` dies without having said so: Textual's web driver would wait for its keys forever."""
    import signal
    import threading
    import time

    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@app.command(name="web")
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; by default this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8400,
    read_only: ReadOnlyFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Serve the screens to a browser until stopped; the address printed holds the token that opens them.

    MLOPS_WEB_TOKEN sets the token, else it is random; MLOPS_THEME sets the colours.
    """
    from mlops_tui.flows.workspace import open_workspace
    from mlops_tui.tui import web

    workspace = open_workspace(output.settings.directory)
    command = [sys.executable, "-m", "mlops_tui", "-C", str(workspace.root), "tui"]
    command += ["--read-only"] if read_only else []
    site = web.Site(tuple(command), host, port, web.make_token(), f"mlops · {workspace.root.name}")

    def ready() -> None:
        if not web.is_local(host):
            output.note(
                f"other machines can reach {host}: whoever has this address and its token acts as {workspace.user}, "
                "and nothing is encrypted on the way; 127.0.0.1 through an SSH tunnel is safer"
            )
        output.emit({"url": site.url}, as_json, f"open {site.url}\nCtrl-C stops it")
        sys.stdout.flush()

    web.serve(site, ready)
