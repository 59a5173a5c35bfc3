"""Every act, by keys alone and through to what it changes; a new verb must be added below."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from mlops_tui.adapters import ports
from mlops_tui.adapters.catalogue import build, release
from mlops_tui.core import requests
from mlops_tui.flows import keep, lookup
from mlops_tui.flows.build import datasets, runs
from mlops_tui.flows.release import approvals, bentos, deployments, rollouts
from mlops_tui.flows.release import models as versions
from mlops_tui.flows.watch import agent_file, monitor, rules
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment, Golden, from_json, to_json
from mlops_tui.tui.app import MissionControl, make_app
from mlops_tui.tui.output import Output
from mlops_tui.tui.pages import PAGES
from mlops_tui.tui.verbs import VERBS, Verb
from mlops_tui.tui.widgets.dialogs import Line, Question
from tests import workspaces
from tests.tui import made
from tests.tui.driven import commands, ended, home, page_of, settled, text, typed, until

NAME = "flight-delay"
ROWS = "data/flights/2013-01.parquet"
HOME, PALETTE = ("home", ""), ("palette", "")
Changes = Callable[[Workspace], object]


@dataclass(frozen=True)
class Act:
    """An act: the noun of its verb, the command that it becomes, what that does, the answers it needs, where it is.

    `key` tells which verb is meant where several of a noun have one command. `does` is true of the workspace
    afterwards and was not before; or it is what the command says.
    """

    noun: str
    line: str
    does: Changes | str
    answers: tuple[str, ...] = ()
    at: tuple[str, str] = HOME
    key: str = ""

    @property
    def verb(self) -> Verb:
        """The verb of that noun with that command."""
        own = [one for one in VERBS if one.noun == self.noun and f"{self.line} ".startswith(f"{one.command} ")]
        (found,) = (one for one in own if self.key in ("", one.key))
        return found

    def words(self, workspace: Workspace) -> list[str]:
        """The words of the command; RUN and BENTO stand for the newest."""
        return shlex.split(told(workspace, self.line))


def told(workspace: Workspace, line: str) -> str:
    """Return a text with the newest run's id for RUN, and the newest Bento's tag for BENTO."""
    run, tags = runs.list_runs(workspace, None, None, 1)[0].id, bentos.list_bentos(workspace, None)
    return line.replace("RUN", run).replace("BENTO", tags[0].tag if tags else "")


# ── what acts change ─────────────────────────────────────────────────────────────────────────────


def is_there(path: str) -> Changes:
    return lambda workspace: (workspace.root / path).exists()


def has_dataset(name: str, version: int) -> Changes:
    return lambda workspace: (
        (name, version) in [(one.dataset, one.version) for one in datasets.list_versions(workspace, None, 50)]
    )


def has_model(version: int) -> Changes:
    return lambda workspace: version in [one.version.version for one in versions.list_models(workspace, NAME, 50)]


def has_alias(alias: str, version: int) -> Changes:
    return lambda workspace: (
        (version, True)
        in [(one.version.version, alias in one.aliases) for one in versions.list_models(workspace, NAME, 50)]
    )


def stands(version: int, state: str, comment: str) -> Changes:
    def found(workspace: Workspace) -> bool:
        shown = versions.show(workspace, f"{NAME}:{version}")
        return shown.standing.state == state and comment in [one.comment for one in shown.approvals]

    return found


def happened(action: str) -> Changes:
    return lambda workspace: action in [event.action for event in keep.events(workspace, None, 100)]


def serves(version: int) -> Changes:
    def found(workspace: Workspace) -> bool:
        item = deployments.get(workspace, NAME)
        return (item.version, deployments.state(item)) == (version, "running")

    return found


def stands_beside(mode: str | None, share: float | None = None) -> Changes:
    def found(workspace: Workspace) -> bool:
        rival = rollouts.challenger(workspace, NAME)
        return mode == (rival and rival.mode) and (share is None or (rival is not None and rival.share == share))

    return found


def is_stopped(workspace: Workspace) -> bool:
    return deployments.state(deployments.get(workspace, NAME)) == "stopped"


def is_backup(workspace: Workspace) -> bool:
    file = workspace.root / "all.tar"
    return file.exists() and any("catalogue" in name for name in tarfile.open(file).getnames())


def has_no_garbage(workspace: Workspace) -> bool:
    return not keep.collect(workspace, remove=False).objects


# ── the acts, in the order of five lives ─────────────────────────────────────────────────────────

BUILD = (
    Act("pipeline", f"plan {NAME}", "▶ data "),
    Act("pipeline", f"pipelines check {NAME}", f"{NAME}: no mistake"),
    Act("dataset", "datasets refresh flights", has_dataset("flights", 2)),
    Act("dataset", "datasets check flights:2", "flights:2 keeps its contract"),
    Act("dataset", "datasets export flights:1 old.csv --yes", is_there("old.csv"),
        ("old.csv",), ("dataset", "flights:1")),
    Act("pipeline", f"run {NAME}", has_model(2)),
    Act("run", "runs reproduce RUN", "run RUN: identical, byte for byte"),
    Act("workspace", f"pipelines new guess {ROWS} --target late", is_there("pipelines/guess.toml"),
        ("guess", ROWS, "late"), PALETTE),
    Act("workspace", f"datasets add extra {ROWS} --key flight_id --time time_hour", has_dataset("extra", 1),
        ("extra", ROWS, "flight_id", "time_hour"), PALETTE),
)  # fmt: skip
RELEASE = (
    Act("model", f"models alias {NAME}:1 tested", has_alias("tested", 1), ("tested",)),
    Act("model", f"models explain {NAME}:1", "share of gain", ("",)),
    Act("model", f"models card {NAME}:1", f"# {NAME}:1"),
    Act("model", f"models predict {NAME}:1 {ROWS} scored.csv --yes", is_there("scored.csv"), (ROWS, "scored.csv")),
    Act("model", f"models export {NAME}:1 model.zip --yes", is_there("model.zip"),
        ("model.zip",), ("model", f"{NAME}:1")),
    Act("workspace", "models import model.zip", has_model(2), ("model.zip",), PALETTE),
    Act("model", f"models reject {NAME}:1 --comment 'too few'", stands(1, "rejected", "too few"),
        ("too few",), ("model", f"{NAME}:1")),
)  # fmt: skip
SERVE = (
    Act("model", f"models approve {NAME}:1 --comment good", stands(1, "approved", "good"), ("good",),
        ("model", f"{NAME}:1")),
    Act("model", f"bentos build {NAME}:1", lambda workspace: bentos.list_bentos(workspace, NAME),
        (), ("model", f"{NAME}:1")),
    Act("bento", "bentos export BENTO one.bento --yes", is_there("one.bento"), ("one.bento",), ("bento", "BENTO")),
    Act("champion", f"deployments start {NAME}:1", serves(1)),
    Act("deployment", f"monitor run {NAME} --window 1d", lambda workspace: monitor.reports(workspace, NAME, 9),
        ("", "", "1d")),
    Act("deployment", f"labels add {NAME} labels.csv", happened("labels.added"), ("labels.csv",)),
    Act("model", f"deployments start {NAME}:2 --name {NAME}", serves(2), ("", NAME), ("model", f"{NAME}:2"),
        "s"),
    Act("former", f"deployments rollback {NAME} --comment 'too slow'", serves(1), ("", "too slow")),
    Act("deployment", f"deployments rollback {NAME} --to {NAME}:2", serves(2), (f"{NAME}:2", "")),
    Act("deployment", f"deployments stop {NAME}", is_stopped, (), ("deployment", NAME), "t"),
)  # fmt: skip
ROLLOUT = (
    Act("model", f"deployments start {NAME}:2 --canary 25% --name {NAME}", stands_beside("canary", 0.25),
        ("25%", NAME), ("model", f"{NAME}:2"), "n"),
    Act("deployment", f"deployments stop {NAME} --challenger", stands_beside(None), (), ("deployment", NAME), "X"),
    Act("model", f"deployments start {NAME}:2 --shadow --name {NAME}", stands_beside("shadow"),
        (NAME,), ("model", f"{NAME}:2"), "S"),
    Act("deployment", f"deployments promote {NAME} --comment calm", serves(2), ("calm",), ("deployment", NAME)),
    Act("deployment", f"deployments call {NAME} --rows rows.json", "probability", ("rows.json",)),
    Act("deployment", f"deployments bench {NAME} --requests 50", "50 of 50 requests", ("", "", "", "50")),
)  # fmt: skip
WATCH = (
    Act("pipeline", f"rules check {NAME}", lambda workspace: rules.history(workspace, NAME, None, 9)),
    Act(
        "pipeline",
        f"rules backtest {NAME} --step 14d --to 2013-02-15 --policy often=often.toml",
        "often",
        ("14d", "", "2013-02-15", "often=often.toml"),
    ),
    Act("workspace", "agent run --once", has_dataset("flights", 2), (), PALETTE),
)
KEEP = (
    Act("workspace", "audit verify", "every link holds", (), PALETTE),
    Act("workspace", "doctor", "✓ catalogue", (), PALETTE),
    Act("workspace", "backup all.tar --yes", is_backup, ("all.tar",), PALETTE),
    Act("workspace", "gc --yes", has_no_garbage, (), PALETTE),
)
ELSEWHERE = ("runs stop", "bentos containerize")
"""Commands that need a training to be at work, or a container engine; see below."""


def test_every_verb_is_done_below() -> None:
    done = {act.verb for act in (*BUILD, *RELEASE, *SERVE, *ROLLOUT, *WATCH, *KEEP)}
    assert {verb for verb in VERBS if verb.command not in ELSEWHERE} == done


# ── doing them ───────────────────────────────────────────────────────────────────────────────────


async def begin(pilot: Pilot[Any], app: MissionControl, act: Act) -> None:
    """Go to where an act is done, wait until it can be, and press its key; or find it in the palette by its name."""
    verb, words = act.verb, act.words(app.workspace)
    if act.at == PALETTE:
        await pilot.press("ctrl+p")
        await typed(pilot, verb.label)
        await until(pilot, lambda: commands(app)[:1] == [verb.label])
        await pilot.press("down", "enter")
        return
    if act.at != HOME and page_of(app).name_in_path == "home":
        app.open(act.at[0], told(app.workspace, act.at[1]))
    await until(pilot, lambda: offered(app, verb, act.answers) == words)
    await pilot.press(verb.key)


def offered(app: MissionControl, verb: Verb, answers: Sequence[str]) -> list[str] | None:
    """The command that a verb's key would run here, now."""
    page = page_of(app)
    subject = page.subject() if page.data is not None else None
    return verb.line(subject, answers) if subject and verb in page.acts() else None


async def answer(pilot: Pilot[Any], app: MissionControl, act: Act) -> None:
    """Leave the question once, which does nothing; let it hold what is empty; then fill it in and say yes."""
    count, command = len(app.jobs), shlex.join(["mlops", *act.words(app.workspace)])
    await until(pilot, lambda: isinstance(app.screen, Question))
    await pilot.press("escape")
    await until(pilot, lambda: not isinstance(app.screen, Question))
    await begin(pilot, app, act)
    await until(pilot, lambda: isinstance(app.screen, Question))
    needed = [one.required for one in act.verb.asks]
    if any(needed):
        await pilot.press("enter")
        fields = list(app.screen.query(Input))
        assert app.screen.focused is fields[needed.index(True)]
    assert len(app.jobs) == count
    for at, one in enumerate(act.answers):
        await pilot.press(*(["tab"] if at else []))
        await typed(pilot, one)
    await until(pilot, lambda: f"$ {command}" in plain(app.screen, "#command"))
    await pilot.press("enter")


def plain(screen: Any, selector: str) -> str:
    """The text of a static widget."""
    return str(screen.query_one(selector).render())


async def do(pilot: Pilot[Any], app: MissionControl, act: Act) -> None:
    """Do an act by keys, see that it does what it should, and go home."""
    workspace, count, words = app.workspace, len(app.jobs), act.words(app.workspace)
    assert isinstance(act.does, str) or not act.does(workspace), f"{act.line}: already"
    await begin(pilot, app, act)
    if act.verb.asks or act.verb.warns:
        await answer(pilot, app, act)
    await until(pilot, lambda: len(app.jobs) > count)
    job = await ended(pilot, app)
    own = job.words[: len(words)] if act.verb.page else job.words  # a page may ask for JSON
    assert (list(own), job.code) == (words, 0), job.err
    assert len(app.jobs) == count + 1
    if not isinstance(act.does, str):
        assert act.does(workspace), f"{act.line}: {job.out}{job.err}"
    elif act.verb.reads:
        await until(pilot, lambda: page_of(app).name_in_path != "home" and act.does in text(app))
    else:
        assert told(workspace, act.does) in job.out
    await home(pilot, app)


async def live(workspace: Workspace, acts: Sequence[Act], between: Callable[[Act], object] = lambda _: None) -> None:
    """Do acts one after the other, on the screens of one workspace."""
    app = make_app(workspace)
    async with app.run_test(size=(120, 50)) as pilot:
        await settled(pilot)
        for act in acts:
            await do(pilot, app, act)
            between(act)


async def test_acts_of_build(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    await live(trained, BUILD)
    exported = pl.read_csv(trained.root / "old.csv").height
    assert exported == lookup.dataset_version(trained, "flights:1").rows


async def test_acts_of_release(trained: Workspace) -> None:
    await live(trained, RELEASE)
    assert pl.read_csv(trained.root / "scored.csv").height == pl.read_parquet(trained.root / ROWS).height


async def test_an_image_is_asked_for_and_what_it_lacks_is_said(built: Workspace) -> None:
    (tag,) = [one.tag for one in bentos.list_bentos(built)]
    act = Act("bento", f"bentos containerize {tag} --tag localhost/x:1 --base localhost/base --wheels none", "",
              ("localhost/x:1", "localhost/base", "", "none"), ("bento", tag))  # fmt: skip
    app = make_app(built)
    async with app.run_test(size=(120, 50)) as pilot:
        await settled(pilot)
        await begin(pilot, app, act)
        await answer(pilot, app, act)
        job = await ended(pilot, app)
    assert (list(job.words), job.code) == (act.words(built), 2)
    assert "no wheels in none" in job.err


async def test_acts_of_watch(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    (trained.root / "often.toml").write_text('[[rules]]\nwhen = "new_data"\nrows = 1\n', encoding="utf-8")
    await live(trained, WATCH)
    assert agent_file.load(trained) is not None


async def test_acts_that_keep_a_workspace(trained: Workspace) -> None:
    hash_ = trained.objects.put(b"nobody names this")
    os.utime(trained.objects.path(hash_), (0, 0))
    await live(trained, KEEP)


# ── one server ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def prepared(trained: Workspace) -> Iterator[Workspace]:
    """A workspace with a second version, and a deployment on a free port that was stopped; it is stopped at the end."""
    first = lookup.model_version(trained, f"{NAME}:1")
    place = ("127.0.0.1", ports.free_port(), 1, 0.0, "stopped", "test")
    with trained.catalogue.write(trained.now()) as act:
        build.add_model_version(act, replace(first, version=2, key="the same again"))
        release.put_deployment(act, Deployment(NAME, NAME, 1, "", *place, act.now, act.now))
        act.record("test.prepared", NAME)
    yield trained
    deployments.stop(trained, NAME)


@pytest.mark.slow
async def test_acts_on_what_is_served(prepared: Workspace) -> None:
    def between(act: Act) -> None:
        if act.noun == "champion":
            ask(prepared)
        elif act.noun == "deployment" and "labels" in act.line:
            approvals.approve(prepared, f"{NAME}:2", "the same again")

    await live(prepared, SERVE, between)
    assert [one.version for one in deployments.history(prepared, NAME)] == [2, 1, 2, 1]
    assert lookup.model_version(prepared, f"{NAME}@champion").version == 2


@pytest.mark.slow
async def test_acts_on_what_stands_beside(prepared: Workspace) -> None:
    approvals.approve(prepared, f"{NAME}:1", "good")
    deployments.start(prepared, f"{NAME}:1")
    approvals.approve(prepared, f"{NAME}:2", "the same again")
    golden = from_json(prepared.objects.get(lookup.model_version(prepared, f"{NAME}:1").golden), Golden)
    (prepared.root / "rows.json").write_bytes(to_json(golden.rows))
    await live(prepared, ROLLOUT)
    modes = sorted((one.version, one.mode) for one in deployments.history(prepared, NAME))
    assert modes == [(1, "live"), (2, "canary"), (2, "shadow")]
    assert lookup.model_version(prepared, f"{NAME}@champion").version == 2


def ask(workspace: Workspace) -> None:
    """Send the server rows of January, and write a file of labels for them."""
    rows = pl.read_parquet(workspace.root / ROWS).filter(pl.col("late").is_not_null()).head(300)
    signature = lookup.signature(workspace, lookup.model_version(workspace, f"{NAME}:1"))
    columns = [*(one.name for one in signature.inputs), *signature.extras]
    sent = {"rows": requests.to_json_rows(rows.select(columns))}
    with httpx.Client(base_url=deployments.get(workspace, NAME).url, trust_env=False) as client:
        assert client.post("/predict", json=sent).status_code == 200
        workspaces.until_written(client)
    rows.select("flight_id", "late").write_csv(workspace.root / "labels.csv")


# ── commands at work ─────────────────────────────────────────────────────────────────────────────


def endless(workspace: Workspace) -> None:
    """Let new data arrive on which training takes minutes."""
    workspaces.arrive(workspace, 3)
    path = workspaces.write_pipeline(workspace)
    text = path.read_text(encoding="utf-8").replace("rounds = 30", "rounds = 100000")
    path.write_text(text.replace("early_stopping = 10", "early_stopping = 0"), encoding="utf-8")


async def train(pilot: Pilot[Any], app: MissionControl) -> None:
    """Start the pipeline from home, and wait until it is in its first rounds."""
    await settled(pilot)
    await begin(pilot, app, Act("pipeline", f"run {NAME}", ""))
    await until(pilot, lambda: isinstance(app.screen, Question))
    await pilot.press("enter")
    await until(pilot, lambda: bool(app.jobs) and app.jobs[0].step == "train" and app.jobs[0].done > 0, 60)


def last_run(workspace: Workspace) -> str:
    """How the newest run ended."""
    return runs.list_runs(workspace, None, None, 1)[0].status


@pytest.mark.usefixtures("deaf")
async def test_ctrl_x_cancels_a_training_and_the_screens_answer_meanwhile(trained: Workspace) -> None:
    endless(trained)
    app = make_app(trained)
    async with app.run_test(size=(120, 40)) as pilot:
        await train(pilot, app)
        await until(pilot, lambda: "▶ mlops run flight-delay  train " in plain(app.screen, "#activity"))
        taken = []
        for _ in range(5):
            for key in ("right", "left"):
                started = time.perf_counter()
                await pilot.press(key)
                taken.append(time.perf_counter() - started)
        assert sorted(taken)[len(taken) // 2] < 0.25, taken
        await pilot.press("J")
        await until(pilot, lambda: "working" in text(app))
        await pilot.press("ctrl+x")
        job = await ended(pilot, app, 30)
        assert (job.code, job.word) == (130, "cancelled")
        await until(pilot, lambda: "cancelled" in text(app))
        await until(pilot, lambda: plain(app.screen, "#activity").startswith(" ■ error: interrupted; what was"))
        assert f"what was finished is kept  mlops run {NAME}" in plain(app.screen, "#activity")
        assert last_run(trained) == "interrupted"
        await pilot.press("ctrl+x")
        assert "no command is at work" in plain(app.screen, "#activity")


async def test_a_command_can_be_cancelled_before_it_has_begun(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    app = make_app(trained)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await command(pilot, app, f"run {NAME}")
        await pilot.press("ctrl+x")
        job = await ended(pilot, app)
        assert (job.code, job.word) == (130, "cancelled"), job
        assert job.last_line.startswith("error: interrupted")
    assert has_model(1)(trained)
    assert not has_model(2)(trained)


async def test_t_stops_a_training_wherever_it_was_started(trained: Workspace) -> None:
    endless(trained)
    app = make_app(trained)
    async with app.run_test(size=(120, 40)) as pilot:
        await train(pilot, app)
        await do(pilot, app, Act("run", "runs stop RUN", lambda workspace: last_run(workspace) == "interrupted"))
        await until(pilot, lambda: app.jobs[0].code is not None)
        assert app.jobs[0].word == "cancelled"


@pytest.mark.usefixtures("deaf")
async def test_quitting_asks_first_and_cancels_what_is_at_work(trained: Workspace) -> None:
    endless(trained)
    app = make_app(trained)
    async with app.run_test(size=(120, 40)) as pilot:
        await train(pilot, app)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert f"mlops run {NAME}" in text(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Question))
        assert app.jobs[0].code is None
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("enter")
        await until(pilot, lambda: app.return_code is not None and not app.is_running, 30)
    assert (app.return_value, app.jobs[0].code, last_run(trained)) == (0, 130, "interrupted")


# ── what is typed ────────────────────────────────────────────────────────────────────────────────


async def command(pilot: Pilot[Any], app: MissionControl, line: str) -> None:
    """Type a command after a colon."""
    await pilot.press("colon")
    await until(pilot, lambda: isinstance(app.screen, Line))
    await typed(pilot, line)
    await pilot.press("enter")
    await until(pilot, lambda: not isinstance(app.screen, Line))


async def test_any_command_can_be_typed_and_comes_back_by_the_arrow(trained: Workspace) -> None:
    app = make_app(trained)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await command(pilot, app, f"mlops models alias {NAME}:1 tested")
        assert (await ended(pilot, app)).code == 0
        assert has_alias("tested", 1)(trained)
        await until(pilot, lambda: isinstance(app.screen, Output) and "tested" in text(app))
        await command(pilot, app, "modls list")
        assert (await ended(pilot, app)).code == 2
        await until(pilot, lambda: "error: no command 'modls'; did you mean 'models'" in text(app))
        assert "next:" in text(app)
        for line in ("tui", "mlops web", "agent run", "models 'list"):
            await command(pilot, app, line)
            said = plain(app.screen, "#activity")
            assert "run it in a terminal of its own" in said or "No closing quotation" in said
        assert len(app.jobs) == 2
        await pilot.press("colon", *["up"] * 6)
        assert app.screen.query_one(Input).value == f"mlops models alias {NAME}:1 tested"
        await pilot.press("down")
        assert app.screen.query_one(Input).value == "modls list"
        await pilot.press("escape")
        assert len(app.jobs) == 2


async def test_y_copies_the_command_that_shows_the_page(trained: Workspace) -> None:
    app = make_app(trained)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        for noun, ref, line in (
            ("", "", "mlops status"),
            ("model", f"{NAME}:1", f"mlops models show {NAME}:1"),
            ("dataset", "flights:1", "mlops datasets show flights:1"),
        ):
            app.open(noun, ref)
            await settled(pilot)
            await pilot.press("y")
            assert app.clipboard == line
            assert f"copied: {line}" in plain(app.screen, "#activity")
            shown = await asyncio.to_thread(run, trained, *shlex.split(line)[1:])
            assert shown.returncode == 0, shown.stderr


def run(workspace: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as a process of its own, as from another terminal."""
    line = [sys.executable, "-m", "mlops_tui", "-C", str(workspace.root), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


# ── read only ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def everything(tmp_path: Path) -> Workspace:
    """A workspace that has an object of every kind."""
    return made.normal(tmp_path / "flights")


async def test_a_read_only_tui_offers_no_act_that_writes(everything: Workspace) -> None:
    before = everything.catalogue.stamp()
    app = make_app(everything, read_only=True)
    async with app.run_test(size=(120, 50)) as pilot:
        await settled(pilot)
        refs = page_of(app).subject().refs
        assert {verb.noun for verb in VERBS} <= {*refs, "pipeline", "workspace"}
        for noun in ("pipeline", *refs):
            if noun in PAGES and noun != "champion":
                app.open(noun, refs.get(noun, NAME))
                await settled(pilot)
            page = page_of(app)
            assert "READ ONLY" in text(app)
            assert all(verb.reads for verb in page.acts()), noun
            reading = {verb.key for verb in page.acts()}
            await typed(pilot, "".join(dict.fromkeys(verb.key for verb in VERBS if verb.key not in reading)))
            assert not any(isinstance(one, Question) for one in app.screen_stack), noun
            await home(pilot, app)
        assert not app.jobs
    assert everything.catalogue.stamp() == before


async def test_a_read_only_tui_finds_and_runs_nothing_that_writes(everything: Workspace) -> None:
    app = make_app(everything, read_only=True)
    async with app.run_test(size=(120, 50)) as pilot:
        await settled(pilot)
        page = page_of(app)
        subject = page.subject()
        assert subject is not None
        await pilot.press("ctrl+p")
        await until(pilot, lambda: bool(commands(app)))
        here = {verb.label for verb in VERBS if verb.reads and verb.noun in (*subject.refs, "pipeline", "workspace")}
        assert {one.split(" flight")[0] for one in commands(app)} == here
        await pilot.press("escape")
        for verb in VERBS:
            if not verb.reads:
                app.do(verb, subject)
                assert f"read only: {verb.label} is not done here" in plain(page, "#activity")
                await command(pilot, app, shlex.join(verb.line(subject)))
                assert "read only: only commands that change nothing" in plain(page, "#activity"), verb.command
        for line in ("rules backtest churn --out here.parquet", "restore all.tar --yes", "init .", "--quiet run churn"):
            await command(pilot, app, line)
            assert "read only" in plain(page, "#activity"), line
        assert not app.jobs
        await command(pilot, app, "models list")
        assert (await ended(pilot, app)).code == 0


# ── what others do ───────────────────────────────────────────────────────────────────────────────


async def shown_after(pilot: Pilot[Any], workspace: Workspace, shown: Callable[[], bool]) -> float:
    """The seconds from the next commit until something is shown."""
    before = workspace.catalogue.stamp()
    await until(pilot, lambda: workspace.catalogue.stamp() != before, 60)
    committed = max(path.stat().st_mtime for path in workspace.home.glob("catalogue.duckdb*"))
    await until(pilot, shown, 5)
    return time.time() - committed


async def test_what_others_change_is_shown_within_a_second_and_without_a_key(trained: Workspace) -> None:
    ours, theirs = make_app(trained), make_app(trained)
    reject = Act("model", f"models reject {NAME}:1 --comment bad", stands(1, "rejected", "bad"), ("bad",))
    async with ours.run_test(size=(120, 40)) as pilot, theirs.run_test(size=(80, 24)) as other:
        await settled(pilot)
        await settled(other)
        assert "approve or reject" in text(ours)
        process = asyncio.create_task(asyncio.to_thread(run, trained, "models", "approve", NAME, "-m", "good"))
        first = await shown_after(pilot, trained, lambda: "approve or reject" not in text(ours))
        assert (await process).returncode == 0
        assert "✗" not in text(ours)
        act = asyncio.create_task(do(other, theirs, reject))
        second = await shown_after(pilot, trained, lambda: "✗" in text(ours))
        await act
    print(f"\nshown after {first:.2f} s what a command changed, {second:.2f} s what other screens changed")
    assert max(first, second) < 1.5
