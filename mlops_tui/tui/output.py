"""What commands said: the text of one, and the list of all that were started here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui import jobs
from mlops_tui.tui.page import Page
from mlops_tui.tui.widgets.columns import Cell, Column
from mlops_tui.tui.widgets.drawn import Words
from mlops_tui.tui.widgets.table import Table

ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
SHOWN = 30_000  # characters: a screen breaks no more into lines in the time that a key may take


class Output(Page[jobs.Job]):
    """The text that a command printed."""

    AUTO_FOCUS = "#scroll"

    def __init__(self, number: str) -> None:
        super().__init__()
        self.number = int(number)

    def title_in_path(self) -> str:
        """The command itself."""
        return self._job().command

    def _job(self) -> jobs.Job:
        return self.app_.jobs[self.number - 1]

    def body(self) -> ComposeResult:
        """The text, to scroll."""
        with VerticalScroll(id="scroll"):
            yield Words("", id="text")

    def load(self, workspace: Workspace) -> jobs.Job:
        """The job as it is."""
        return self._job()

    def show(self, data: jobs.Job) -> None:
        """What was meant for a person, then the answer."""
        if data.dropped:
            told = f"what it printed is dropped: the texts of the last {jobs.KEPT_TEXTS} commands are kept\n{data.said}"
            self.query_one("#text", Words).update(Content.styled(told, "dim"))
            return
        told, answered = (ESCAPES.sub("", part) for part in (data.err, data.out))
        tone = "$text-error" if data.code not in (0, None) else "dim"
        more = len(told) + len(answered) - SHOWN
        told, answered = told[-SHOWN:], answered[: max(0, SHOWN - len(told))]
        rest = f"\n… and {more:,} characters more: o shows all in $PAGER" if more > 0 else ""
        self.query_one("#text", Words).update(
            Content.assemble(Content.styled(told, tone), Content(answered), Content.styled(rest, "dim"))
        )

    def shell(self) -> list[str]:
        """The command."""
        return list(self._job().words)

    def action_pager(self) -> None:
        """What it printed, in a pager: the command is not done a second time."""
        job = self._job()
        self.app_.outside.page_text(f"{ESCAPES.sub('', job.err)}{ESCAPES.sub('', job.out)}")


class Jobs(Page[list[jobs.Job]]):
    """Every command that was started here, the newest first."""

    name_in_path = "commands"
    breathes = 0.5

    def __init__(self, _: str = "") -> None:
        super().__init__()

    def body(self) -> ComposeResult:
        """A row a command."""
        columns = (
            Column("number", "#", 2, 4, right=True), Column("word", "state", 7, 9),
            Column("command", "command", 20, 70), Column("seconds", "seconds", 4, 8, right=True),
            Column("said", "what it says", 10, 200),
        )  # fmt: skip
        yield Table(columns, id="jobs", empty="no command was started here yet")

    def load(self, workspace: Workspace) -> list[jobs.Job]:
        """The jobs as they are."""
        return list(reversed(self.app_.jobs))

    def show(self, data: list[jobs.Job]) -> None:
        """A row a command."""
        self.query_one("#jobs", Table).put([job.number for job in data], {job.number: _cells(job) for job in data})

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """What it printed."""
        event.stop()
        self.app_.open("output", str(event.key))

    def keys(self) -> Sequence[tuple[str, str]]:
        """Its own keys."""
        return (("Enter", "what it printed"), ("Ctrl+X", "cancel the newest"))


def _cells(job: jobs.Job) -> tuple[Cell, ...]:
    tone = {"done": "ok", "working": "busy", "cancelled": "warn"}.get(job.word, "fail")
    seconds = f"{job.ended - job.started:.1f}" if job.ended else ""
    said = job.last_line if job.code is not None else f"{job.step} {job.text}"
    return (
        Cell(str(job.number), "", job.number),
        Cell(job.word, tone),
        Cell(job.command),
        Cell(seconds),
        Cell(said, "dim"),
    )
