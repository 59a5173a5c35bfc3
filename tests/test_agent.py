"""The agent as a process: one a workspace, stopped at once, honest about itself; and the unit that keeps it running."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from mlops_tui import agent
from mlops_tui.adapters.catalogue import lock, release
from mlops_tui.errors import Busy
from mlops_tui.flows.watch import agent_file, notices
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import AgentState, Backoff, Deployment
from tests import workspaces
from tests.faults import agents

NAME = "flight-delay"


def settle(workspace: Workspace) -> None:
    """A pipeline that nothing is due of, and an agent that wakes every second."""
    (workspace.root / "mlops.toml").write_text('[agent]\nevery = "1s"\n', encoding="utf-8")
    workspaces.write_pipeline(workspace, more='[[rules]]\nwhen = "age"\ndays = 10000\n')


def state(workspace: Workspace) -> AgentState:
    found = agent_file.load(workspace)
    assert found is not None
    return found


def test_there_is_one_agent_a_workspace_and_it_ends_at_once_when_told_to(trained: Workspace) -> None:
    settle(trained)
    with agents.agent(trained.root) as running:
        agents.until(lambda: agent_file.load(trained) and state(trained).woke_at)
        assert agent_file.status(trained).alive
        with pytest.raises(Busy, match=f"in use by process {running.pid}"):
            agent.run(trained, once=True)
        assert state(trained).pid == running.pid
        first = state(trained).woke_at
        agents.until(lambda: state(trained).woke_at != first)
        began = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert time.monotonic() - began < 5
    after = agent_file.status(trained)
    assert (after.alive, state(trained).doing, state(trained).wakes_at) == (False, "", None)
    log = (trained.home / "log" / "agent.log").read_text(encoding="utf-8")
    assert "the agent of" in log
    assert "stopped" in log
    assert agent.run(trained, once=True) == 0  # the lock is free again


def test_one_wake_says_what_it_did_and_whether_all_went_well(
    trained: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    settle(trained)
    assert agent.run(trained, once=True) == 0
    said = capsys.readouterr().err
    assert "flight-delay: held: first: there is no champion yet" in said
    assert any("held" in line for line in state(trained).last)
    (trained.root / "pipelines" / "broken.toml").write_text("[", encoding="utf-8")
    assert agent.run(trained, once=True) == 1
    assert "broken: failed:" in capsys.readouterr().err


def test_who_was_given_up_is_remembered_by_the_next_agent(trained: Workspace) -> None:
    settle(trained)
    given_up = Backoff("gone", 5, None, "port taken")
    agent_file.save(trained, AgentState(1, 1.0, "ada", trained.now(), backoffs=(given_up,)))
    assert agent._fresh(trained).backoffs == (given_up,)
    (trained.home / "agent.json").write_bytes(b'{"another": "version"}')
    assert agent._fresh(trained).backoffs == ()


def test_a_settings_file_that_is_wrong_does_not_end_the_agent(trained: Workspace) -> None:
    settle(trained)
    with agents.agent(trained.root) as running:
        agents.until(lambda: agent_file.load(trained) and state(trained).woke_at)
        (trained.root / "mlops.toml").write_text("[agent]\nevry = 1\n", encoding="utf-8")
        agents.until(lambda: any("the wake failed" in line for line in state(trained).last))
        assert running.poll() is None


def test_the_log_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "LOG_BYTES", 100)
    log = tmp_path / "agent.log"
    for number in range(200):
        agent._append(log, f"line {number}\n")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["agent.log", "agent.log.1", "agent.log.2", "agent.log.3"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 500
    assert log.read_text().endswith("line 199\n")


def test_the_unit_is_written_where_the_user_s_systemd_looks(
    trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shown = agent.install(trained, write=False)
    assert not shown.path.exists()
    done = agent.install(trained)
    assert done.path.read_text(encoding="utf-8") == done.text == shown.text
    assert done.path.parent == tmp_path / "config" / "systemd" / "user"
    assert f"systemctl --user enable --now {done.path.name}" in done.next
    system = agent.install(trained, system=True)
    assert not system.written
    assert f"User={trained.user}" in system.text


def test_it_ends_whatever_it_does_when_it_is_told_to(trained: Workspace) -> None:
    settle(trained)
    for number in range(6):
        with agents.agent(trained.root) as running:
            agents.until(lambda pid=running.pid: agent_file.load(trained) and state(trained).pid == pid)
            time.sleep(0.05 + 0.13 * number)  # inside of a wake, of whose time queries take a good part
            running.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
            assert running.wait(15) == 0


def test_a_notice_leaves_at_once_and_not_at_the_next_wake(trained: Workspace) -> None:
    settle(trained)
    (trained.root / "mlops.toml").write_text(
        '[agent]\nevery = "1h"\n[notify]\ncommand = ["tee", "told"]\n', encoding="utf-8"
    )
    with agents.agent(trained.root) as running:
        agents.until(lambda: agent_file.load(trained) and state(trained).woke_at)
        woke = state(trained).woke_at
        notices.tell(trained, "failed", "flights", "no file matches")
        agents.until(lambda: notices.next_due(trained) is None)
        assert "no file matches" in (trained.root / "told").read_text(encoding="utf-8")
        assert state(trained).woke_at == woke
        running.terminate()
        assert running.wait(20) == 0


def test_the_keeper_of_a_deployment_that_was_given_up_is_at_rest(trained: Workspace) -> None:
    down = Deployment("d", NAME, 1, f"{NAME}:v1", "127.0.0.1", 1, 2**22 - 1, 1.0, "running", "ada", trained.now())
    with trained.catalogue.write(trained.now()) as act:
        release.put_deployment(act, down)
        act.record("deployment.started", "d")
    given_up = Backoff("d", 5, None, "port taken")
    at_work = agent._Agent(trained, AgentState(1, 1.0, "ada", trained.now(), backoffs=(given_up,)))
    look = agent._keeper(at_work)
    look(trained.catalogue.stamp())
    trained.catalogue.timeout = 0.1
    with lock.held(trained.catalogue.path, exclusive=True, timeout=5, user="ada"):
        look(trained.catalogue.stamp())  # a look into the catalogue would raise
    assert agent_file.load(trained) is None  # nothing changed, nothing was written
    with pytest.raises(Busy), lock.held(trained.catalogue.path, exclusive=True, timeout=5, user="ada"):
        look((0,))
