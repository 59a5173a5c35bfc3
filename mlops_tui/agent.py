"""The agent, the face without a screen: it wakes, sees to every pipeline, and keeps deployments up meanwhile.

Three threads: one does a wake after the other, and may train for an hour; another looks after the deployments every
second, so that a server that falls meanwhile is up again at once; a third sends notices, and may wait for whoever gets
them. Whatever ends the process, also in the middle of a
cycle, leaves a consistent catalogue, and the next start goes on from there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mlops_tui.adapters import files, units
from mlops_tui.errors import Busy, External, MlopsError
from mlops_tui.flows import tend, wake
from mlops_tui.flows.release import deployments
from mlops_tui.flows.watch import agent_file, notices
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import parse_duration
from mlops_tui.records import AgentState, Deployment, Progress

LOOK = 1.0  # seconds between two looks at the deployments and at the outbox
PATIENCE = 10.0  # seconds that a restart in work may take to finish when the agent is stopped
LOG_BYTES, LOGS = 2_000_000, 3
REMEMBERED = 50  # lines of what the last wake did


def run(workspace: Workspace, once: bool = False, *, quiet: bool = False) -> int:
    """Work for the workspace until SIGTERM or SIGINT, or for one wake; return the exit code.

    `quiet` says nothing on stderr; the log has it all.

    Raises Busy, naming the other, if an agent works for it already. One wake returns 1 if a pipeline failed.
    """
    with _alone(workspace), _stoppable(_Agent(workspace, _fresh(workspace), quiet)) as agent:
        try:
            return _once(agent) if once else _loop(agent)
        except KeyboardInterrupt:
            agent.stopping = False
            agent.say("stopped; what was begun goes on at the next start")
            if once:
                raise
            return 0
        finally:
            agent.note(doing="", wakes_at=None)


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    from mlops_tui.adapters.catalogue import lock

    path = workspace.home / "locks" / "agent"
    try:
        # Not at once: whoever asks whether the lock is held, holds it for a moment.
        with lock.exclusive(path, "the agent of this workspace", timeout=1, user=workspace.user):
            yield
    except Busy as busy:
        raise Busy(busy.message, "mlops agent status") from None


@contextmanager
def _stoppable(agent: _Agent) -> Iterator[_Agent]:
    """Let SIGTERM and SIGINT interrupt the agent wherever it is, and make sure that it heeds them.

    Raised inside a query of DuckDB, an interruption comes out as an error of its own, which a wake takes for a
    pipeline's failure: so it is noted as well, and raised again by whatever the agent says next.
    """

    def stop(*_: object) -> None:
        agent.stopping = True
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # where Python takes no handlers
        yield agent
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield agent
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fresh(workspace: Workspace) -> AgentState:
    """What an agent says of itself when it starts; who was being restarted is known from the one before it."""
    import psutil  # type: ignore[import-untyped]

    before = agent_file.load(workspace)
    born = psutil.Process().create_time()
    backoffs = before.backoffs if before else ()
    return AgentState(os.getpid(), born, workspace.user, workspace.now(), backoffs=backoffs)


@dataclass
class _Agent:
    """An agent at work: what it says of itself, to the state file, to stderr and to its log; for all of its threads."""

    workspace: Workspace
    state: AgentState
    quiet: bool = False
    said: list[str] = field(default_factory=list)
    stopping: bool = False
    _one: threading.RLock = field(default_factory=threading.RLock)

    def heed(self) -> None:
        """Raise KeyboardInterrupt if the agent has been told to stop."""
        if self.stopping and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt

    def note(self, **changes: Any) -> None:
        """Change what it says of itself; a full disk does not stop it."""
        with self._one, suppress(OSError):
            self.state = replace(self.state, **changes)
            agent_file.save(self.workspace, self.state)

    def watch(self, event: Progress) -> None:
        """Say in the state file what is being done."""
        self.heed()
        doing = f"{event.step}: {event.text}" if event.text and not event.total else event.step
        if doing != self.state.doing:
            self.note(doing=doing)

    def say(self, text: str) -> None:
        """Say what was done: one line on stderr, and in the log."""
        self.heed()
        with self._one:
            self.said = [*self.said, text][-REMEMBERED:]
            line = f"{self.workspace.now():%Y-%m-%d %H:%M:%S} {text}\n"
            with suppress(OSError, ValueError):  # nobody reads, or nothing is left to write to
                if not self.quiet:
                    sys.stderr.write(line)
                    sys.stderr.flush()
            with suppress(OSError):
                _append(self.workspace.home / "log" / "agent.log", line)


def _append(log: Path, line: str) -> None:
    """Add a line to a log; one that is full is set aside as agent.log.1, and those before it move up."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        for number in range(LOGS - 1, 0, -1):
            older = log.with_name(f"{log.name}.{number}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{number + 1}"))
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("a", encoding="utf-8") as stream:
        stream.write(line)


def _once(agent: _Agent) -> int:
    """Do one wake, as cron has it."""
    begun = agent.workspace.now()
    backoffs, good = wake.wake(replace(agent.workspace, report=agent.watch), agent.state.backoffs, agent.say)
    agent.note(backoffs=backoffs, woke_at=begun, last=tuple(agent.said))
    return 0 if good else 1


def _loop(agent: _Agent) -> int:
    """Wake, sleep until the next wake, and so on."""
    stop = threading.Event()
    keeper = _beside(agent, stop, _keeper(agent), "the deployments cannot be looked after")
    messenger = _beside(agent, stop, _messenger(agent), "notices cannot be delivered")
    agent.say(f"the agent of {agent.workspace.root} works as process {agent.state.pid}")
    try:
        while True:
            next_at = _wake(agent)
            agent.heed()
            stop.wait(max(0.0, (next_at - agent.workspace.now()).total_seconds()))
    finally:
        stop.set()
        keeper.join(PATIENCE)
        messenger.join(LOOK)  # a notice that is on its way is sent again


def _wake(agent: _Agent) -> datetime:
    """Do one wake and return when the next is due; what fails is said, and tried again then."""
    begun, every = agent.workspace.now(), 60.0
    agent.said = []
    watched = replace(agent.workspace, report=agent.watch)  # a new one, which reads mlops.toml again
    try:
        every = parse_duration(watched.settings.agent.every)
        wake.work(watched, agent.say)
    except Exception as error:
        agent.say(f"the wake failed: {_told(error)}")
    next_at = begun + timedelta(seconds=every)
    agent.note(doing="", woke_at=begun, wakes_at=next_at, last=tuple(agent.said))
    return next_at


def _beside(
    agent: _Agent, stop: threading.Event, look: Callable[[tuple[int, ...]], None], trouble: str
) -> threading.Thread:
    """Look every second in a thread of its own, until told to stop; the same failure is said once.

    A look gets the catalogue's stamp, so that it reads the catalogue only after it has changed.
    """

    def again() -> None:
        failed = ""
        while not stop.wait(LOOK):
            try:
                look(agent.workspace.catalogue.stamp())
                failed = ""
            except Exception as error:
                if failed != (failed := _told(error)):
                    agent.say(f"{trouble}: {failed}")

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    return thread


def _keeper(agent: _Agent) -> Callable[[tuple[int, ...]], None]:
    """Return a look that restarts what is down."""
    known: list[Deployment] = []
    seen: tuple[int, ...] = ()

    def look(stamp: tuple[int, ...]) -> None:
        nonlocal known, seen
        changed = stamp != seen
        if changed:
            known, seen = deployments.list_deployments(agent.workspace), stamp
        before, now = {one.deployment: one for one in agent.state.backoffs}, agent.workspace.now()
        if not changed and not any(tend.is_due(item, before.get(item.name), now) for item in known):
            return
        after = tend.tend(replace(agent.workspace), agent.state.backoffs, agent.say)
        if after != agent.state.backoffs:
            agent.note(backoffs=after)

    return look


def _messenger(agent: _Agent) -> Callable[[tuple[int, ...]], None]:
    """Return a look that delivers notices when they are due."""
    next_at: datetime | None = None
    seen: tuple[int, ...] = ()

    def look(stamp: tuple[int, ...]) -> None:
        nonlocal next_at, seen
        if stamp != seen:
            next_at, seen = notices.next_due(agent.workspace), stamp
        if next_at is not None and next_at <= agent.workspace.now():
            for notice in notices.deliver(replace(agent.workspace)):
                agent.say(f"notices: {notices.delivery(notice)}")

    return look


def _told(error: Exception) -> str:
    if isinstance(error, MlopsError):
        return error.message
    return str(error) if isinstance(error, OSError) else f"a bug: {''.join(traceback.format_exception(error))}"


# ── as a service of the machine ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Installed:
    """A systemd unit: its text, where it belongs, whether it was written there, and what to type next."""

    path: Path
    text: str
    written: bool
    next: tuple[str, ...]


def install(workspace: Workspace, *, system: bool = False, write: bool = True) -> Installed:
    """Write the systemd user unit that keeps the agent running; the system's own is only shown, for root to write."""
    root, python = workspace.root, Path(os.path.abspath(sys.executable))
    name, text = units.unit_name(root), units.unit_text(root, python, workspace.user if system else None)
    if system:
        path = Path("/etc/systemd/system") / name
        control = "sudo systemctl"
        return Installed(path, text, False, (f"{control} daemon-reload", f"{control} enable --now {name}"))
    path = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user" / name
    if write:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = files.unfinished(path)
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        except OSError as error:
            raise External(f"cannot write {path}: {error.strerror}", "mlops agent install --print") from None
    steps = (
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {name}",
        f"loginctl enable-linger {workspace.user}",  # else it ends when its user logs out
    )
    return Installed(path, text, write, steps)
