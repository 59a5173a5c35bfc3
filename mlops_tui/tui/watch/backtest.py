"""A backtest: what each rule set would have done with a pipeline's history, and which one is recommended."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from mlops_tui.errors import External, MlopsError
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Backtest, PolicyResult, StepResult, from_json
from mlops_tui.texts import plots
from mlops_tui.texts.cells import day
from mlops_tui.texts.heat import FAULT, HEAT
from mlops_tui.texts.plots import Line
from mlops_tui.texts.rules import backtest_chart
from mlops_tui.texts.timeline import timeline
from mlops_tui.tui.detail import Detail, Part
from mlops_tui.tui.jobs import Job
from mlops_tui.tui.page import WIDE, Page
from mlops_tui.tui.verbs import VERBS, Subject
from mlops_tui.tui.widgets.columns import Cell, Column
from mlops_tui.tui.widgets.drawn import Draw, Drawn, Title, Words
from mlops_tui.tui.widgets.table import Table

BACKTEST = next(verb for verb in VERBS if verb.page == "backtest")
POLICIES = (
    Column("policy", "policy", 8, 18), Column("metric", "mean", 6, 8, right=True),
    Column("worst", "worst", 6, 8, right=True), Column("gain", "gain", 7, 8, right=True),
    Column("cycles", "cycles", 6, 8, right=True), Column("refused", "refused", 7, 9, right=True),
    Column("each", "a cycle", 7, 12, right=True), Column("cpu", "CPU s", 5, 9, right=True),
)  # fmt: skip
STEPS = (
    Column("start", "window", 10, 11, sorts=False), Column("rows", "rows", 5, 10, right=True),
    Column("value", "metric", 6, 8, right=True), Column("model", "model", 5, 7, right=True, sorts=False),
    Column("did", "then", 9, 11, sorts=False), Column("reason", "why", 12, 400, sorts=False),
)  # fmt: skip


class Loaded(NamedTuple):
    """A backtest, None before there is one; and how far the command at work is."""

    found: Backtest | None
    told: str = ""


class BacktestPage(Detail[Loaded]):
    """A backtest of "PIPELINE [STEP] [FROM] [TO] [POLICY]", as asked by its act, empty ones between single blanks.

    It is a command at work, whose answer is kept while the screens run.
    """

    breathes = 1.0  # progress is not in the catalogue

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.found: Backtest | None = None  # what is shown
        self.read: tuple[int, Backtest] | None = None  # the answer of a command, by its number

    def title_in_path(self) -> str:
        """What is replayed."""
        return " ".join(["backtest", *filter(None, shlex.split(self.ref))])

    def body(self) -> ComposeResult:
        """Policies, their metric by window, and what the policy under the cursor did."""
        with VerticalScroll(id="scroll"):
            yield Words("", id="head")
            with Container(classes="two"):
                with Vertical(id="policies-side"):
                    yield Part(POLICIES, id="policies")
                    yield Words("", id="chart")
                with Vertical(id="plot-side"):
                    yield Title("", id="plot-title")
                    yield Drawn(id="plot")
            yield Title("", id="steps-title")
            yield Part(STEPS, id="steps", most=20)
        yield Words("", id="reason")

    # ── the command ──────────────────────────────────────────────────────────────────────────────

    def words(self) -> list[str]:
        """The command's words."""
        pipeline, *answers = shlex.split(self.ref)
        return BACKTEST.line(Subject("pipeline", pipeline), answers)

    def job(self) -> Job | None:
        """The newest command that was started for this."""
        words, known = tuple(self.words()), reversed(self.app_.jobs)
        return next((one for one in known if one.words == words and one.as_json and not one.dropped), None)

    def on_mount(self) -> None:
        """Start it, unless it works or has answered already."""
        known = self.job()
        if known is None or known.code not in (None, 0):
            self.app_.start(self.words(), as_json=True)

    def action_reload(self) -> None:
        """Replay once more: the data, the rules or the code may be others now."""
        known = self.job()
        if known is None or known.code is not None:
            self.app_.start(self.words(), as_json=True)
        self.reload()

    def load(self, workspace: Workspace) -> Loaded:
        """The answer, once it is there; raises what the command refused with."""
        job = self.job()
        if job is None or job.code is None:
            told = f"{job.step} {f'{job.done}/{job.total}' if job.total else ''} {job.text}" if job else ""
            return Loaded(self.found, " ".join(told.split()))
        if job.code:
            raise _refusal(job)
        if self.read is None or self.read[0] != job.number:
            try:
                self.read = (job.number, from_json(job.out.encode(), Backtest))
            except msgspec.DecodeError as wrong:
                raise External(f"the answer cannot be read: {wrong}", f"look at it: {job.command}") from None
        return Loaded(self.read[1])

    def on_page_loaded(self, event: Page.Loaded) -> None:
        """Nothing is computing any more where it was cancelled or refused; the page says why."""
        if event.error is not None and self.found is None:
            self.query_one("#head", Words).update("")

    # ── what it says ─────────────────────────────────────────────────────────────────────────────

    def show(self, data: Loaded) -> None:
        """The policies; what they did follows the cursor."""
        found = data.found
        if found is None:
            head = "computing: the history is replayed under every rule set … Ctrl+X cancels it"
            self.query_one("#head", Words).update(Content(f"{head}\n{data.told}"))
        elif found is not self.found:
            self.found = found
            self.query_one("#head", Words).update(_head(found))
            names = [one.policy for one in found.policies]
            table = self.query_one("#policies", Part)
            table.put(names, {one.policy: _cells(one, found) for one in found.policies})
            table.go_to(found.recommended)
            chart = self.query_one("#chart", Words)
            chart.update(Content(f"\n{backtest_chart(found)}"))
            chart.display = max(len(one.windows) + len(one.policy) for one in found.policies) < self._room
            self._follow()

    @property
    def _room(self) -> int:
        return self.app.size.width // (2 if self.app.size.width >= WIDE else 1) - 6

    def policy(self) -> PolicyResult | None:
        """The policy under the cursor."""
        name = self.query_one("#policies", Table).current
        return next((one for one in self.found.policies if one.policy == name), None) if self.found else None

    def moved(self) -> None:
        """Another policy, or another of its windows."""
        if self.focused is None or self.focused.id != "steps":
            self._follow()
        step, policy = self.query_one("#steps", Table).current, self.policy()
        if policy is not None and isinstance(step, int) and step < len(policy.windows):
            self.query_one("#reason", Words).update(_step_text(policy.windows[step]))

    def _follow(self) -> None:
        policy = self.policy()
        if policy is None or self.found is None:
            return
        self.query_one("#plot-title", Words).update(f"{self.found.metric_name} by window; ┊ {policy.policy} retrained")
        self.query_one("#plot", Drawn).put(by_window(self.found, policy))
        bought = ", ".join(f"{one:+.4f}" for one in policy.bought[:12])
        more = f"; its new champions bought {bought}" if bought else ""
        self.query_one("#steps-title", Words).update(f"{policy.policy}, window by window{more}")
        self.query_one("#steps", Part).put(
            range(len(policy.windows)), {at: _step_cells(one) for at, one in enumerate(policy.windows)}
        )

    def subject(self) -> Subject | None:
        """The pipeline, and its data."""
        refs = {"dataset": self.found.dataset} if self.found else {}
        return Subject("pipeline", self.ref.partition(" ")[0], refs)

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return self.words()

    def keys(self) -> Sequence[tuple[str, str]]:
        """Its own keys."""
        return (("↑↓", "policy"), ("Tab", "its windows"), ("Ctrl+R", "replay again"))


def _refusal(job: Job) -> MlopsError:
    """What a command that failed said."""
    try:
        error = msgspec.json.decode(job.out)["error"]
        return MlopsError(str(error["message"]), str(error.get("hint", "")))
    except (msgspec.DecodeError, KeyError, TypeError):
        return MlopsError(f"{job.command} was {job.word}: {job.last_line}", "Ctrl+R starts it again")


def _head(found: Backtest) -> Content:
    better = "higher is better" if found.higher else "lower is better"
    lines = [
        Content(
            f"{found.dataset}, {day(found.start)} to {day(found.end)} by {found.step}: {found.metric_name} ({better}), "
            f"labels after {found.label_delay}"
        ),
        Content.assemble(Content.styled(f"✓ recommended: {found.recommended}", "bold $text-success"), f"  {found.why}"),
    ]
    return Content("\n").join([*lines, *(Content.styled(remark, "dim") for remark in found.remarks)])


def _cells(one: PolicyResult, found: Backtest) -> tuple[Cell, ...]:
    best = one.policy == found.recommended
    each = "" if one.gain_per_cycle is None else f"{one.gain_per_cycle:+.4f}"
    return (
        Cell(f"{'✓' if best else ' '} {one.policy}", "ok" if best else "lit", one.policy),
        Cell(f"{one.metric:.4f}", "", one.metric), Cell(f"{one.worst:.4f}", "", one.worst),
        Cell(f"{one.gain:+.4f}", "", one.gain), Cell(str(one.cycles), "", one.cycles),
        Cell(str(one.refused), "warn" if one.refused else "", one.refused), Cell(each, "", one.gain_per_cycle),
        Cell(f"{one.cpu_seconds:,.1f}", "", one.cpu_seconds),
    )  # fmt: skip


def by_window(found: Backtest, chosen: PolicyResult) -> Draw:
    """Return the plot of every policy's metric by window, the chosen one first, marked where it retrained."""
    ordered = [chosen, *(one for one in found.policies if one is not chosen)]
    dates = timeline((step.start, step.end) for one in ordered for step in one.windows)
    series = [
        Line(one.policy, *dates.curve([step.start for step in one.windows], [step.value for step in one.windows]))
        for one in ordered
    ]
    marks = [dates.places[step.start] for step in chosen.windows if step.passed]
    return lambda width, height: plots.lines(series, width, height, marks=marks, dates=dates)


def _did(one: StepResult) -> tuple[str, str]:
    """What was decided after a window, with its sign, and its tone."""
    if one.fires:
        return ("▲ retrained", "due") if one.passed else ("△ refused", "warn")
    return (f"{HEAT[FAULT]} fault", "fail") if one.faults else ("· kept", "dim")


def _step_cells(one: StepResult) -> tuple[Cell, ...]:
    word, tone = _did(one)
    value = "" if one.value is None else f"{one.value:.4f}"
    return (
        Cell(day(one.start)), Cell(f"{one.rows:,}", "", one.rows), Cell(value, "", one.value),
        Cell(f"#{one.model}", "dim"), Cell(word, tone), Cell(one.reason),
    )  # fmt: skip


def _step_text(one: StepResult) -> Content:
    faults = f"; faults: {'; '.join(one.faults)}" if one.faults else ""
    head = Content.styled(f" {day(one.start)} to {day(one.end)} {_did(one)[0]}: ", "bold")
    return Content.assemble(head, f"{one.reason}{faults}")
