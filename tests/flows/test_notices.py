"""The outbox: told once, delivered at least once to each channel, tried again with patience, silent about secrets."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_tui.adapters import notify
from mlops_tui.flows import keep
from mlops_tui.flows.watch import notices
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Notice
from tests.adapters.receiver import receiver

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
APPEND = "import sys; open('told.jsonl', 'a').write(sys.stdin.read() + chr(10))"


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def forward(self, **span: float) -> None:
        self.time += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workspace(empty: Workspace, clock: Clock) -> Workspace:
    return replace(empty, now=clock)


def settle(workspace: Workspace, text: str) -> Workspace:
    """Write the team's settings, and return the workspace with them."""
    (workspace.root / "mlops.toml").write_text(f"[notify]\n{text}", encoding="utf-8")
    return replace(workspace)


def only(workspace: Workspace) -> Notice:
    (found,) = notices.notices(workspace)
    return found


def test_the_same_is_told_once(workspace: Workspace) -> None:
    assert notices.tell(workspace, "failed", "flights", "no file matches")
    assert not notices.tell(workspace, "failed", "flights", "no file matches")
    assert notices.tell(workspace, "failed", "weather", "no file matches")
    assert notices.tell(workspace, "waiting", "flights:1", "waits for one", key="flights:1")
    assert not notices.tell(workspace, "waiting", "flights:1", "waits for two", key="flights:1")
    assert [notice.subject for notice in notices.notices(workspace)] == ["flights:1", "weather", "flights"]
    assert len(notices.notices(workspace, limit=2)) == 2
    assert keep.verify(workspace).broken == ()


def test_where_nobody_is_to_be_told_it_is_kept_and_not_owed(workspace: Workspace) -> None:
    notices.tell(workspace, "failed", "flights", "no file matches")
    assert notices.deliver(workspace) == []
    assert only(workspace).next_at is None
    chosen = settle(workspace, 'command = ["true"]\nkinds = ["promoted"]')
    notices.tell(chosen, "failed", "weather", "no file matches")
    assert notices.deliver(chosen) == []


def test_a_notice_is_delivered_once_with_all_that_it_says(workspace: Workspace) -> None:
    with receiver() as there:
        team = settle(workspace, 'webhook_env = "HOOK"\nsecret_env = "KEY"')
        notices.tell(team, "promoted", "flight-delay", "größer → besser")
        environment = {"HOOK": f"{there.url}/T0/very-secret", "KEY": "a-key"}
        assert notices.deliver(team, environment)[0].delivered_at == START
        assert notices.deliver(team, environment) == []
    (got,) = there.got
    notice = only(workspace)
    assert json.loads(got.body) == {
        "id": notice.id,
        "kind": "promoted",
        "subject": "flight-delay",
        "text": "größer → besser",
        "workspace": str(team.root),
        "created_at": "2026-11-23T12:00:00Z",
    }
    timestamp = got.headers["X-Mlops-Timestamp"]
    assert timestamp == str(int(START.timestamp()))
    assert got.headers["X-Mlops-Signature"] == notify.signature(b"a-key", int(timestamp), got.body)


def test_a_failure_is_tried_again_later_and_later_until_it_is_given_up(workspace: Workspace, clock: Clock) -> None:
    with receiver() as there:
        team = settle(workspace, f'webhook = "{there.url}"\nattempts = 4')
        there.answers = [500, 429, 503, 500, 200]
        notices.tell(team, "failed", "flights", "no file matches")
        pauses = []
        while tried := notices.deliver(team):
            if tried[0].next_at is None:
                break
            pauses.append((tried[0].next_at - clock.time).total_seconds())
            assert notices.deliver(team) == []
            clock.time = tried[0].next_at
    assert pauses == [10, 20, 40]
    found = only(team)
    assert (found.attempts, found.next_at, found.delivered_at) == (4, None, None)
    assert found.error == "webhook: answered 500"


def test_what_recovers_is_delivered_with_the_same_id(workspace: Workspace, clock: Clock) -> None:
    with receiver() as there:
        team = settle(workspace, f'webhook = "{there.url}"')
        there.answers = [503]
        notices.tell(team, "failed", "flights", "no file matches")
        notices.deliver(team)
        clock.forward(seconds=10)
        assert notices.deliver(team)[0].delivered_at == clock.time
    assert [got.headers["X-Mlops-Id"] for got in there.got] == [only(team).id] * 2
    assert (only(team).error, only(team).attempts) == ("", 2)


def test_what_a_receiver_refuses_for_good_is_not_tried_again(workspace: Workspace) -> None:
    with receiver() as there:
        team = settle(workspace, f'webhook = "{there.url}"')
        there.answers = [404]
        notices.tell(team, "failed", "flights", "no file matches")
        assert notices.deliver(team)[0].next_at is None
    assert only(team).error == "webhook: answered 404, not tried again"


def told(workspace: Workspace) -> list[str]:
    """The subjects that the command was given."""
    path = workspace.root / "told.jsonl"
    return [json.loads(line)["subject"] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("answers", [[500, 200], [404]])
def test_a_channel_that_took_it_is_not_told_again(workspace: Workspace, clock: Clock, answers: list[int]) -> None:
    with receiver() as there:
        words = json.dumps([sys.executable, "-c", APPEND])
        team = settle(workspace, f'webhook = "{there.url}"\ncommand = {words}')
        there.answers = list(answers)
        notices.tell(team, "failed", "flights", "no file matches")
        while tried := notices.deliver(team):
            clock.time = tried[0].next_at or clock.time
    assert len(there.got) == len(answers)
    assert told(team) == ["flights"]


def test_the_channel_that_refused_for_good_is_left_alone_while_the_other_is_tried_again(
    workspace: Workspace, clock: Clock
) -> None:
    with receiver() as there:
        team = settle(workspace, f'webhook = "{there.url}"\ncommand = ["false"]\nattempts = 3')
        there.answers = [400]
        notices.tell(team, "failed", "flights", "no file matches")
        while tried := notices.deliver(team):
            clock.time = tried[0].next_at or clock.time
    assert len(there.got) == 1
    assert only(team).error == "webhook: answered 400, not tried again\ncommand: exit code 1"
    assert only(team).attempts == 3


def test_a_missing_variable_is_told_and_tried_again(workspace: Workspace, clock: Clock) -> None:
    with receiver() as there:
        team = settle(workspace, 'webhook_env = "HOOK"')
        notices.tell(team, "failed", "flights", "no file matches")
        assert "the variable HOOK" in notices.deliver(team, {})[0].error
        clock.forward(seconds=10)
        assert notices.deliver(team, {"HOOK": there.url})[0].delivered_at == clock.time


def test_channels_that_were_taken_away_owe_nothing(workspace: Workspace) -> None:
    team = settle(workspace, 'command = ["true"]')
    notices.tell(team, "failed", "flights", "no file matches")
    found = notices.deliver(settle(workspace, ""))[0]
    assert (found.delivered_at, found.next_at) == (None, None)


def test_a_dead_receiver_takes_a_bounded_time_however_much_is_owed(workspace: Workspace, clock: Clock) -> None:
    team = settle(workspace, 'command = ["false"]')
    for number in range(20):
        notices.tell(team, "failed", f"p{number}", "no file matches")

    def slow() -> datetime:
        clock.forward(seconds=2)  # every look at the clock costs two seconds: a delivery a few
        return clock.time

    assert 0 < len(notices.deliver(replace(team, now=slow))) < 10


def test_what_did_not_arrive_is_listed_for_a_week(workspace: Workspace, clock: Clock) -> None:
    team = settle(workspace, 'command = ["false"]\nattempts = 2')
    assert notices.next_due(team) is None
    notices.tell(team, "failed", "flights", "no file matches")
    assert notices.next_due(team) == clock.time
    (tried,) = notices.deliver(team)
    assert notices.next_due(team) == tried.next_at == clock.time + timedelta(seconds=10)
    assert notices.undelivered(team, START) == [tried]
    clock.forward(seconds=10)
    (given_up,) = notices.deliver(team)
    assert notices.next_due(team) is None
    assert notices.undelivered(team, START) == [given_up]
    assert notices.delivery(given_up) == "failed of flights: command: exit code 1"
    assert notices.undelivered(team, START + timedelta(seconds=1)) == []
    notices.tell(settle(workspace, ""), "failed", "weather", "no file matches")  # nobody was to be told
    assert notices.undelivered(team, START) == [given_up]


def test_what_somebody_delivers_already_is_left_to_them(workspace: Workspace) -> None:
    team = settle(workspace, 'command = ["true"]')
    notices.tell(team, "failed", "flights", "no file matches")
    with team.exclusive("notices", "the outbox"):
        assert notices.deliver(team) == []
    assert len(notices.deliver(team)) == 1


def test_nothing_that_is_written_down_holds_the_address_or_the_key(workspace: Workspace, clock: Clock) -> None:
    with receiver() as there:
        team = settle(workspace, 'webhook_env = "HOOK"\nsecret_env = "KEY"\nattempts = 3')
        there.answers = [500, 302, 404]
        environment = {"HOOK": f"{there.url}/T0/very-secret", "KEY": "wholly-secret"}
        notices.tell(team, "failed", "flights", "no file matches")
        notices.deliver(team, environment)
        clock.forward(seconds=10)
        notices.deliver(team, {"HOOK": "http://very-secret.invalid/", "KEY": "wholly-secret"})
    assert only(team).attempts == 2
    written = [path.read_bytes() for path in Path(team.home).rglob("*") if path.is_file()]
    assert written
    assert not any(b"-secret" in data for data in written)
