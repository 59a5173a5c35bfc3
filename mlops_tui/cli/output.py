"""What commands print: JSON or text on stdout, everything else on stderr."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_tui.texts.cells import cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_tui.flows.workspace import Workspace
    from mlops_tui.records import Progress

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
YesFlag = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="How many at the most.")]


@dataclass
class Settings:
    """The options that stand before the command."""

    directory: Path | None = None
    quiet: bool = False
    color: str = "auto"
    progress: str = "auto"


settings = Settings()


@contextmanager
def workspace(*, as_json: bool = False) -> Iterator[Workspace]:
    """Open the workspace for the body of a command, with progress on stderr where somebody may look."""
    from mlops_tui.flows.workspace import open_workspace

    with progress(as_json) as report:
        yield open_workspace(settings.directory, report)


@contextmanager
def progress(as_json: bool = False) -> Iterator[Callable[[Progress], None]]:
    """A callable that takes progress: bars on a terminal, a line a step elsewhere, nothing under --json.

    With --progress json every event is a JSON object on a line of its own, under --json too.
    """
    if settings.progress == "json" and not settings.quiet:
        yield _json_line
    elif settings.quiet or as_json:
        yield lambda _: None
    elif sys.stderr.isatty():
        with ExitStack() as screen:
            yield _Bars(screen)
    else:
        yield _Lines()


class _Bars:
    """Progress on a terminal: bars from the first event on, so that a command without any draws and loads nothing."""

    def __init__(self, screen: ExitStack) -> None:
        self.screen = screen
        self.report: Callable[[Progress], None] | None = None

    def __call__(self, event: Progress) -> None:
        if self.report is None:
            from mlops_tui.cli.bars import bars

            self.report = self.screen.enter_context(bars())
        self.report(event)


class _Lines:
    """Progress without a terminal: one line when a step begins to say something new."""

    def __init__(self) -> None:
        self.last = ""

    def __call__(self, event: Progress) -> None:
        line = f"{event.step}: {event.text}"
        if event.text and not event.total and line != self.last:
            print(line, file=sys.stderr, flush=True)
            self.last = line


def _json_line(event: Progress) -> None:
    """One event for a program that reads along; one that has gone away is no reason to stop the work."""
    from mlops_tui.records import to_json

    try:
        sys.stderr.write(f"{to_json(event).decode()}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stderr.fileno())  # nor are notes and errors, which come after it


def emit(value: object, as_json: bool, text: str | Callable[[], str]) -> None:
    """Print a value as JSON, or its text."""
    if as_json:
        from mlops_tui.records import to_json

        print(to_json(value).decode())
    else:
        shown = text if isinstance(text, str) else text()
        if shown:
            print(shown)


def note(text: str) -> None:
    """Say something on stderr that is not the answer itself."""
    if not settings.quiet:
        print(text, file=sys.stderr)


def error(kind: str, message: str, hint: str, as_json: bool) -> None:
    """Print an error: one JSON object on stdout under --json, else one line and a hint on stderr."""
    if as_json:
        from mlops_tui.records import to_json

        print(to_json({"error": {"kind": kind, "message": message, "hint": hint}}).decode())
    else:
        print(f"{paint('error:', '31;1', sys.stderr)} {message}", file=sys.stderr)
        if hint:
            print(f"{paint('next:', '36', sys.stderr)} {hint}", file=sys.stderr)


def confirm(question: str, yes: bool) -> None:
    """Ask before something is destroyed; without a terminal only --yes is an answer."""
    from mlops_tui.errors import InvalidInput, Refused

    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(f"{question} There is no terminal to ask on", "say --yes")
    if not typer.confirm(question, err=True):
        raise Refused("nothing was done")


def confirm_overwrite(path: Path, yes: bool) -> None:
    """Ask before a file that is there is replaced."""
    if path.is_file():
        confirm(f"Replace {path}?", yes)


def paint(text: str, code: str, stream: object = None) -> str:
    """Return a text in a colour if the stream is a terminal that wants colour."""
    target = stream or sys.stdout
    terminal = bool(getattr(target, "isatty", lambda: False)())
    wanted = terminal and not os.environ.get("NO_COLOR") if settings.color == "auto" else settings.color == "always"
    return f"\x1b[{code}m{text}\x1b[0m" if wanted else text


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> str:
    """Return aligned columns; on a terminal long cells are cut so that no column is lost, elsewhere all is printed."""
    if not rows:
        return empty
    terminal = sys.stdout.isatty()
    cells = [[_brief(value) if terminal else cell(value) for value in row] for row in rows]
    widths = [max(len(title), *(len(row[i]) for row in cells)) for i, title in enumerate(columns)]
    if terminal:
        widths = _fitted(widths)
    numeric = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    head = "  ".join(_cut(title, width, right) for title, width, right in zip(columns, widths, numeric, strict=True))
    lines = ["  ".join(_cut(text, width, right) for text, width, right in zip(row, widths, numeric, strict=True))
             for row in cells]  # fmt: skip
    return "\n".join([paint(head.rstrip(), "1"), *(line.rstrip() for line in lines)])


def _fitted(widths: list[int]) -> list[int]:
    """Shrink the widest columns until the line fits the terminal, the first one last, none below 4."""
    room = shutil.get_terminal_size().columns - 2 * (len(widths) - 1)
    widths = list(widths)
    while sum(widths) > room and max(widths) > 4:
        others = range(1, len(widths)) if max(widths[1:], default=0) > 6 else range(len(widths))
        widths[max(others, key=widths.__getitem__)] -= 1
    return widths


def _brief(value: object) -> str:
    """A cell where room is short: a time without its year and seconds."""
    return value.astimezone(UTC).strftime("%m-%d %H:%M") if isinstance(value, datetime) else cell(value)


def _cut(text: str, width: int, right: bool) -> str:
    text = text if len(text) <= width else text[: width - 1] + "…"
    return text.rjust(width) if right else text.ljust(width)


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """Return names and values, one pair a line, aligned."""
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{paint(name.ljust(width), '2')}  {cell(value)}" for name, value in pairs)


def mark(good: bool | None) -> str:
    """Return a mark that is told apart without colour."""
    return "·" if good is None else paint("✓", "32") if good else paint("✗", "31")


def log_bug(text: str) -> str:
    """Append a traceback to the workspace's log, or to a file of its own; returns where it is, for the user to read."""
    from mlops_tui.errors import MlopsError
    from mlops_tui.flows.workspace import find_root

    try:
        path = find_root(settings.directory) / ".mlops" / "log" / "mlops.log"
        with path.open("a", encoding="utf-8") as stream:
            stream.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv)}\n{text}\n")
        return f"the details are in {path}"
    except (MlopsError, OSError):
        return _log_elsewhere(text)


def _log_elsewhere(text: str) -> str:
    import tempfile

    try:
        descriptor, name = tempfile.mkstemp(prefix="mlops-", suffix=".log", text=True)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        return f"the details could not be written anywhere: {error.strerror or error}"
    return f"the details are in {name}"
