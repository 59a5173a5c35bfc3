"""The application: pages on a stack, commands at work, and an eye on what others change."""

from __future__ import annotations

import asyncio
import gc
import shlex
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widgets import Input, Static

from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui import jobs, verbs
from mlops_tui.tui.finder import Finder
from mlops_tui.tui.keyboard import Keyboard
from mlops_tui.tui.outside import Outside
from mlops_tui.tui.page import WIDE, Page
from mlops_tui.tui.pages import PAGES, ROOTS
from mlops_tui.tui.themes import THEMES, pick
from mlops_tui.tui.views import command_of, only_reads
from mlops_tui.tui.widgets.dialogs import Line, Question
from mlops_tui.tui.widgets.plain import Plain

POLL = 0.25  # seconds between two looks at whether the catalogue changed
NOTICE = 4.0  # seconds that a notice covers what is at work
TOLD = 10.0  # seconds that it, or how a command ended, is told; J has that for longer
PATIENCE = 5.0  # seconds that a page waits for the catalogue, then it says who has it; acts wait as long as it takes
MEMORY = "64MB"  # that DuckDB may take: screens stay open for days
LITTER = 20_000  # objects since the collector was last at work that are worth its time
PAUSE = 1.0  # seconds without a key or a mouse after which there is time to tidy up
SHARE = 250  # a page that is loaded again by itself costs at most one part in so many of a core


class MissionControl(App[int]):
    """The screens of one workspace; see `make_app`."""

    CSS_PATH = "app.tcss"
    TITLE = "mlops"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {Finder}  # noqa: RUF012  # as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("0", "go(0)", "home", show=False),
        Binding("1", "go(1)", "build", show=False),
        Binding("2", "go(2)", "release", show=False),
        Binding("3", "go(3)", "watch", show=False),
        Binding("escape", "leave_page", "back", show=False),
        Binding("colon", "type", "type a command", show=False),
        Binding("J", "jobs", "commands at work", show=False),
        Binding("ctrl+x", "cancel", "cancel the newest command", show=False),
        Binding("T", "next_theme", "the next theme", show=False),
        Binding("q,ctrl+q", "leave", "quit", show=False, priority=False),
    ]

    def __init__(self, workspace: Workspace, *, read_only: bool = False, theme: str | None = None) -> None:
        super().__init__(ansi_color=None)
        self.workspace = workspace
        workspace.catalogue.memory = MEMORY
        workspace.catalogue.timeout = min(workspace.catalogue.timeout, PATIENCE)
        self.read_only = read_only
        self.jobs: list[jobs.Job] = []
        self.typed: list[str] = []  # commands, for the arrow keys
        self._tasks: set[asyncio.Task[None]] = set()
        self._stamp: tuple[int, ...] = ()
        self._loaded_at = self._touched_at = 0.0
        self._notice, self._told_at = "", -inf  # what was said last, and when
        self.outside = Outside(self)
        self._plain = Plain()
        pick(self, theme)

    # ── beginning and end ────────────────────────────────────────────────────────────────────────

    def on_mount(self) -> None:
        """Home, and the clock that looks for what others change."""
        gc.freeze()  # what was imported stays: a collection of all of it would hold the screen up for 100 ms
        gc.set_threshold(20_000, 2, 4)  # what pages leave behind goes in small pieces: a million at once take 500 ms
        self._stamp = self.workspace.catalogue.stamp()
        self._push(ROOTS[0]())
        self.set_interval(POLL, self._poll)

    def on_unmount(self) -> None:
        """Leave the collector as it was, and nothing open."""
        gc.unfreeze()
        self.workspace.catalogue.close()

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver for where the screens are shown; on a terminal with the keyboard of our own."""
        found = super().get_driver_class()
        return Keyboard if found is LinuxDriver else found

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line goes through before it is sent to the terminal."""
        return [*super().get_line_filters(), self._plain]

    async def on_event(self, event: events.Event) -> None:
        """As Textual does; and remember when somebody last did something."""
        if isinstance(event, events.InputEvent):
            self._touched_at = monotonic()
        await super().on_event(event)

    def _tidy(self) -> None:
        """Collect what closed pages left behind while nobody presses a key: it would be felt in the middle of one."""
        young, older, _ = gc.get_count()
        if (older or young > LITTER) and monotonic() - self._touched_at > PAUSE:
            gc.collect()

    def _poll(self) -> None:
        """Load the page again when the catalogue has changed; no more often than what that costs allows."""
        self._tidy()
        if self._working() or monotonic() - self._told_at < TOLD + 2 * POLL:
            self.tell_activity()
        if not (pages := self._pages()):
            return
        page = pages[-1]  # under a dialog, too: it is seen behind it
        since, stamp = monotonic() - self._loaded_at, self.workspace.catalogue.stamp()
        if stamp != self._stamp and since > 4 * page.cost:
            self._stamp, self._loaded_at = stamp, monotonic()
            page.reload()
        elif page.breathes and since > max(page.breathes, SHARE * page.cost):
            self._loaded_at = monotonic()
            page.reload()

    def action_leave(self) -> None:
        """Quit; commands at work are cancelled, after a question."""
        working = self._working()
        if not working:
            self.exit(0)
            return
        told = "\n".join(f"· {job.command}" for job in working)
        question = Question(f"Quit? {len(working)} at work, to be cancelled:", told, (), lambda _: "quit")
        self.push_screen(question, lambda answer: self._cancel_and_exit() if answer is not None else None)

    def _cancel_and_exit(self) -> None:
        for job in self._working():
            jobs.cancel(job)
        self.run_worker(self._exit_after_jobs(), exclusive=False)

    async def _exit_after_jobs(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*self._tasks, return_exceptions=True), timeout=20)
        self.exit(0)

    # ── pages ────────────────────────────────────────────────────────────────────────────────────

    def action_go(self, number: int) -> None:
        """To home (0), build, release or watch."""
        if not isinstance(self.screen, Page):
            return
        keep = 1 if number == 0 else 2
        while len(self._pages()) > keep:
            self.pop_screen()
        if number and len(self._pages()) == keep:
            self.switch_screen(self._fitting(ROOTS[number]()))  # home between the two is not drawn
        elif number:
            self._push(ROOTS[number]())

    def _pages(self) -> list[Page[Any]]:
        return [one for one in self.screen_stack if isinstance(one, Page)]

    def _push(self, page: Page[Any]) -> None:
        self.push_screen(self._fitting(page))

    def _fitting(self, page: Page[Any]) -> Page[Any]:
        """A page that knows from the start how wide it is: or else all of its styles were worked out twice."""
        page.add_class("-wide" if self.size.width >= WIDE else "-narrow", update=False)
        self._notice = ""
        return page

    def open(self, noun: str, ref: str) -> None:
        """Open the page of an object."""
        if noun in PAGES:
            self._push(PAGES[noun](ref))

    def open_list(self, name: str, tab: str) -> None:
        """Open a list from home on, as the number keys do: lists do not stack."""
        while isinstance(self.screen, Page) and len(self._pages()) > 1:
            self.pop_screen()
        self.open(name, tab)

    def action_leave_page(self) -> None:
        """Back to the page before; a filter goes first."""
        page = self.screen
        if isinstance(page, Page) and not page.leave_filter():
            if len(self._pages()) > 1:
                self.pop_screen()
            else:
                self.tell("this is home; q quits")

    def action_command_palette(self) -> None:
        """Find an act or an object; a question that is open is answered first."""
        if isinstance(self.screen, Page):
            super().action_command_palette()

    def came_back(self) -> None:
        """The terminal is ours again: draw all of it, and look whether something changed meanwhile."""
        self.refresh(layout=True)
        if isinstance(self.screen, Page):
            self.screen.reload()

    # ── acts ─────────────────────────────────────────────────────────────────────────────────────

    def do(self, verb: verbs.Verb, subject: verbs.Subject) -> None:
        """Do an act: ask where something must be known or changes, then start its command."""
        if self.read_only and not verb.reads:
            self.tell(f"read only: {verb.label} is not done here")
            return
        if not verb.asks and not verb.warns:
            self._act(verb, subject)
            return
        refs = {**subject.refs, subject.noun: subject.ref}
        text = verb.warns.format_map({**refs, "ref": subject.of(verb.noun) or subject.ref})
        fields = [(ask.label, ask.hint, ask.required) for ask in verb.asks]

        def done(answers: list[str] | None) -> None:
            if answers is not None:
                self._act(verb, subject, answers)

        name = subject.of(verb.noun)
        title = f"{verb.label[0].upper()}{verb.label[1:]}" + (f" · {name}" if verb.words and name else "")
        self.push_screen(
            Question(title, text, fields, lambda typed: shlex.join(["mlops", *verb.line(subject, typed)])), done
        )

    def _act(self, verb: verbs.Verb, subject: verbs.Subject, answers: Sequence[str] = ()) -> None:
        if verb.page:
            self.open(verb.page, shlex.join([subject.of(verb.noun) or subject.ref, *answers]))
        else:
            self.start(verb.line(subject, answers), shown=verb.reads)

    def start(self, words: Sequence[str], *, shown: bool = False, as_json: bool = False) -> jobs.Job:
        """Start a command; with `shown`, its text opens as a page when it ends, `as_json` is for a page to read."""
        job = jobs.Job(len(self.jobs) + 1, tuple(words), shown, as_json)
        self.jobs.append(job)
        self._notice = ""
        task = asyncio.get_running_loop().create_task(jobs.work(self.workspace.root, job, self._job_ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.tell_activity()
        return job

    def _job_ended(self, job: jobs.Job) -> None:
        jobs.drop_old(self.jobs)
        self._notice, self._told_at = "", monotonic()
        self.tell_activity()
        page = self.screen
        if not isinstance(page, Page) or isinstance(page.focused, Input):
            return  # a question is being answered, or a filter typed: J has the text
        if job.shown and (job.out or job.err):
            self._push(PAGES["output"](str(job.number)))
        else:
            page.reload()

    def _working(self) -> list[jobs.Job]:
        return [job for job in self.jobs if job.code is None]

    def action_cancel(self) -> None:
        """Cancel the newest command at work, as Ctrl-C would."""
        working = self._working()
        if working:
            jobs.cancel(working[-1])
            self.tell(f"cancelling: {working[-1].command}")
        else:
            self.tell("no command is at work")

    def action_jobs(self) -> None:
        """The list of commands."""
        self.open("jobs", "")

    def action_type(self) -> None:
        """Type any command."""

        def done(line: str | None) -> None:
            if line:
                self.typed.append(line)
                self._run_typed(line)

        self.push_screen(Line(":", command_of(), self.typed), done)

    def _run_typed(self, line: str) -> None:
        try:
            words = shlex.split(line.removeprefix("mlops "))
        except ValueError as error:
            self.tell(f"cannot read that: {error}")
            return
        if words[:1] in (["tui"], ["web"]) or (words[:2] == ["agent", "run"] and "--once" not in words):
            self.tell(f"'{' '.join(words[:2])}' does not end by itself: run it in a terminal of its own")
        elif self.read_only and words and not only_reads(words):
            self.tell("read only: only commands that change nothing")
        elif words:
            self.start(words, shown=True)

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    def tell(self, text: str) -> None:
        """Say something on the line at the bottom, which covers nothing."""
        self._notice, self._told_at = text, monotonic()
        self.tell_activity()

    def tell_activity(self) -> None:
        """The line of what is at work, or else, for a while, what was said last or how the last command ended."""
        for line in self.screen.query("#activity").results(Static):
            line.update(self._activity(), layout=False)

    def _activity(self) -> Content:
        working = self._working()
        told = monotonic() - self._told_at
        if self._notice and told < (NOTICE if working else TOLD):
            return Content(f" {self._notice}")
        if working:
            job = working[-1]
            count = f" {job.done}/{job.total}" if job.total else ""
            others = f" (+{len(working) - 1})" if len(working) > 1 else ""
            seconds = asyncio.get_running_loop().time() - job.started if job.started else 0.0
            step = f"{job.step}{count} {job.text}".strip() or "starting"
            head = Content.styled(f" ▶ {job.command}{others}", "bold $text-accent")
            return Content.assemble(head, f"  {step}  {seconds:.0f} s  ", Content.styled("Ctrl+X cancels", "dim"))
        if self.jobs and told < TOLD:
            job = self.jobs[-1]
            sign, tone = {"done": ("✓", "$text-success"), "cancelled": ("■", "$text-warning")}.get(
                job.word, ("✗", "$text-error")
            )
            if job.last_line.startswith("error:"):  # the reason first: the command may leave no room for it
                return Content.assemble(Content.styled(f" {sign} {job.last_line}", tone), f"  {job.command}")
            return Content.assemble(Content.styled(f" {sign} {job.command}", tone), f"  {job.last_line}")
        return Content("")

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────

    def action_next_theme(self) -> None:
        """Dark, light, high contrast, the terminal's own colours."""
        names = list(THEMES)
        self.theme = names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0]
        self.tell(f"theme: {self.theme}")

    def get_system_commands(self, screen: Screen[object]) -> list[SystemCommand]:
        """Our own palette has all there is."""
        return []


def make_app(workspace: Workspace, *, read_only: bool = False, theme: str | None = None) -> MissionControl:
    """Return the screens of a workspace, ready to run: for the CLI, the browser and the tests alike."""
    return MissionControl(workspace, read_only=read_only, theme=theme)
