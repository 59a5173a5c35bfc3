"""The Typer app: commands by name, loaded when they are called, and errors turned into exit codes."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError, NoSuchOption, UsageError
from typer.core import TyperGroup

from mlops_tui import __version__
from mlops_tui.cli import output
from mlops_tui.errors import EXIT_BUG, EXIT_INTERRUPTED, InvalidInput, MlopsError, near_miss

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "start": {
        "init": ("cycle", "Make a workspace in a folder."),
        "demo": ("cycle", "Run the whole cycle on the sample data, in a folder of its own."),
        "doctor": ("cycle", "Check the workspace, its catalogue and this machine."),
        "tui": ("screen", "Open the terminal screens: the whole cycle at a glance."),
        "web": ("screen", "Serve the terminal screens to a browser, on this machine."),
    },
    "cycle": {
        "plan": ("cycle", "Say which steps of a pipeline would run, and why; changes nothing."),
        "run": ("cycle", "Run the steps of a pipeline that are due."),
        "status": ("cycle", "Show every pipeline on one screen."),
    },
    "build": {
        "datasets": ("build", "Datasets and their versions: add, refresh, list, show, diff, check, export."),
        "pipelines": ("build", "Pipeline files: new, list, show, check."),
        "runs": ("build", "Training runs: list, show, compare, logs, reproduce, stop."),
    },
    "release": {
        "models": ("release", "Model versions: list, show, diff, curves, approve, reject, alias, predict and more."),
        "bentos": ("release", "Bentos of model versions: build, list, export, containerize."),
        "deployments": (
            "deployments",
            "Bentos that answer: start, list, show, promote, rollback, keys, call, bench and more.",
        ),
    },
    "watch": {
        "labels": ("watch", "What really happened: add."),
        "monitor": ("watch", "What predictions show: run, list, show, feature."),
        "rules": ("watch", "When the cycle runs again, and why: check, list, history, show, backtest."),
        "agent": ("watch", "What closes the loop: run, status, install."),
    },
    "keep": {
        "audit": ("keep", "Who did what: list, verify."),
        "backup": ("keep", "Copy the catalogue and the objects to one file."),
        "restore": ("keep", "Put a backup back into a workspace."),
        "gc": ("keep", "Remove objects that nothing names any more."),
        "spec": ("keep", "List every command with its options, for machines."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are called; its help needs only the table above."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the cycle."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, imported now; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mlops_tui.cli.{COMMANDS[cmd_name][0]}")
        found: TyperGroup = typer.main.get_group(module.app)
        return found.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Resolve a command's name; raises a usage error that names the nearest."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"no command '{args[0]}'{near_miss(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, section by section."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


app = typer.Typer(
    cls=LazyGroup, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def _version(asked: bool) -> None:
    if asked:
        print(f"mlops-tui {__version__}")
        raise typer.Exit


@app.callback()
def root(
    directory: Annotated[
        Path | None,
        typer.Option("--directory", "-C", help="The workspace; else MLOPS_WORKSPACE, else upwards."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")] = False,
    color: Annotated[str, typer.Option(help="auto, always or never.", envvar="MLOPS_COLOR")] = "auto",
    progress: Annotated[
        str, typer.Option(help="auto, or json: a JSON object a line on stderr.", envvar="MLOPS_PROGRESS")
    ] = "auto",
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    """The whole machine-learning pipeline of a small team, from a terminal, on one machine."""
    if color not in ("auto", "always", "never"):
        raise InvalidInput(f"--color {color!r}; allowed: auto, always, never")
    if progress not in ("auto", "json"):
        raise InvalidInput(f"--progress {progress!r}; allowed: auto, json")
    output.settings.directory, output.settings.quiet, output.settings.color = directory, quiet, color
    output.settings.progress = progress


def run(args: list[str]) -> int:
    """Run a command line and return its exit code; nothing but a bug leaves a traceback, and that in a log."""
    as_json = "--json" in args
    if sys.stderr is None:  # closed by the caller; what is said there must not go to stdout instead
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(args, as_json)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        if "KeyboardInterrupt" in str(error):  # it came while polars' Rust code asked Python something
            return _interrupted(as_json)
        return _bug(error, as_json)


def _run(args: list[str], as_json: bool) -> int:
    try:
        code = app(args, prog_name="mlops", standalone_mode=False)
        sys.stdout.flush()
        if code == EXIT_INTERRUPTED:  # Typer's silent answer to Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except MlopsError as error:
        output.error(error.kind, error.message, error.hint, as_json)
        return error.exit_code
    except ClickException as error:
        return _misused(error, as_json)
    except (KeyboardInterrupt, typer.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # Typer's guess at a file that ends too early
            output.error(
                "invalid_input",
                f"a file ends too early: {error.__cause__ or 'cut off'}",
                "copy or write it again",
                as_json,
            )
            return InvalidInput.exit_code
        return _interrupted(as_json)
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # Click's own answer to it: exit code 1
            return _nobody_reads()
        raise
    except OSError as error:
        return _world_failed(error, as_json)
    except Exception as error:
        if system := re.search(r"\(os error (\d+)\)", str(error)):  # how polars tells of an OSError
            return _world_failed(OSError(int(system[1]), os.strerror(int(system[1]))), as_json)
        return _bug(error, as_json)


def _interrupted(as_json: bool) -> int:
    output.error("interrupted", "interrupted; what was finished is kept", "", as_json)
    return EXIT_INTERRUPTED


def _bug(error: BaseException, as_json: bool) -> int:
    place = output.log_bug(traceback.format_exc())
    output.error("bug", f"a bug: {type(error).__name__}: {_first_line(error)}", place, as_json)
    return EXIT_BUG


def _misused(error: ClickException, as_json: bool) -> int:
    """A command line that fits no command; a group alone is answered with its help."""
    context = getattr(error, "ctx", None)
    if isinstance(error, NoArgsIsHelpError) and not as_json:
        print(error.format_message(), file=sys.stderr)
        return 2
    if isinstance(error, NoSuchOption) and error.option_name in ("--json", "--yes") and context:
        output.error(
            "usage", f"{error.option_name} stands after the command", f"mlops COMMAND … {error.option_name}", as_json
        )
        return 2
    message = "which command?" if isinstance(error, NoArgsIsHelpError) else error.format_message()
    output.error("usage", message, f"{context.command_path} --help" if context else "", as_json)
    return 2


def _nobody_reads() -> int:
    """`mlops … | head -1`: the reader has seen enough, which is no failure."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else the interpreter's own flush complains
    return 0


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")


def _world_failed(error: OSError, as_json: bool) -> int:
    """A disk that is full, a folder that may not be written: the outside world, not a bug."""
    place = f" {error.filename}" if error.filename else ""
    log = output.log_bug(traceback.format_exc())
    output.error("external", f"{error.strerror or error}{place}", log, as_json)
    return 3


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
