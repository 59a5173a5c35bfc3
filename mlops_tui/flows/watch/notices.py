"""Notices to the team: written to an outbox first, then delivered, each channel at least once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlops_tui.adapters import notify
from mlops_tui.adapters.catalogue import lock
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.errors import Busy, InvalidInput
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Notice, NoticeKind, hash_of, to_json

if TYPE_CHECKING:
    from mlops_tui.adapters.notify import Channel, Failure
    from mlops_tui.config import NotifySettings

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=1)
BUDGET = timedelta(seconds=30)  # no delivery starts later than this in one go
FINAL = ", not tried again"


def tell(workspace: Workspace, kind: NoticeKind, subject: str, text: str, key: str | None = None) -> bool:
    """Put a notice into the outbox and return whether it is new: what was told once is not told again.

    `key` says what makes it the same; by default its text. Where nobody is to be told, it is kept for who looks.
    """
    id_ = hash_of((kind, subject, text if key is None else key))[:16]
    with workspace.catalogue.read() as act:
        if any(notice.id == id_ for notice in rows.notices(act)):
            return False
    now = workspace.now()
    with workspace.catalogue.write(now) as act:
        due = now if _is_wanted(workspace.settings.notify, kind) else None
        rows.put_notice(act, Notice(id_, kind, subject, text, now, next_at=due))
        act.record("notice.told", subject, notice=id_, kind=kind)
    return True


def _is_wanted(settings: NotifySettings, kind: NoticeKind) -> bool:
    anyone = settings.webhook or settings.webhook_env or settings.command
    return bool(anyone) and (settings.kinds is None or kind in settings.kinds)


def deliver(workspace: Workspace, environment: Mapping[str, str] = os.environ) -> list[Notice]:
    """Send what is due in the outbox, oldest first, and return those that were tried, as they stand now.

    What fails is tried again after 10 s, 20 s, 40 s … up to an hour, as often as `[notify] attempts` says. Takes half
    a minute and one delivery's timeout at most; what is left then is for the next time. Where somebody delivers
    already, it is left to them.
    """
    try:
        with lock.exclusive(workspace.home / "locks" / "notices", "the outbox", timeout=0, user=workspace.user):
            return _deliver(workspace, environment)
    except Busy:
        return []


def next_due(workspace: Workspace) -> datetime | None:
    """Return when the next notice is to be sent, or None where nothing is owed."""
    with workspace.catalogue.read() as act:
        return min((notice.next_at for notice in rows.notices(act, is_open=True) if notice.next_at), default=None)


def undelivered(workspace: Workspace, since: datetime) -> list[Notice]:
    """Return what is still to be delivered, and what was told since a moment and given up; oldest first."""
    with workspace.catalogue.read() as act:
        told = rows.notices(act)
    owed = [notice for notice in told if notice.delivered_at is None]
    return [notice for notice in owed if notice.next_at or (notice.error and notice.created_at >= since)]


def delivery(notice: Notice) -> str:
    """How a delivery went, in words."""
    return f"{notice.kind} of {notice.subject}: {'delivered' if notice.delivered_at else notice.error}"


def _deliver(workspace: Workspace, environment: Mapping[str, str]) -> list[Notice]:
    begun = workspace.now()
    with workspace.catalogue.read() as act:
        due = [notice for notice in rows.notices(act, is_open=True) if notice.next_at and notice.next_at <= begun]
    if not due:
        return []
    settings = workspace.settings.notify
    try:
        channels = notify.channels(settings, workspace.root, environment)
    except InvalidInput as error:
        return [_keep(workspace, notice, {"settings": notify.Failure(error.message)}) for notice in due]
    if not channels:
        return [_keep(workspace, notice, {"settings": notify.Failure("nobody is to be told", True)}) for notice in due]
    tried = []
    for notice in due:
        if workspace.now() - begun > BUDGET:
            break
        tried.append(_keep(workspace, notice, _send(workspace, notice, channels)))
    return tried


def _send(workspace: Workspace, notice: Notice, channels: dict[str, Channel]) -> dict[str, Failure]:
    """Send a notice by every channel that has not taken it yet, and return what failed, by channel."""
    before = {name: text for name, _, text in (line.partition(": ") for line in notice.error.splitlines())}
    lost = {name: notify.Failure(text, final=True) for name, text in before.items() if text.endswith(FINAL)}
    body = to_json(_content(workspace, notice))
    found = {}
    for name in (before.keys() - lost.keys()) & channels.keys() or channels.keys() - lost.keys():
        failure = channels[name].send(notice.id, int(workspace.now().timestamp()), body)
        if failure is not None:
            found[name] = failure
    return lost | found


def _content(workspace: Workspace, notice: Notice) -> dict[str, str | datetime]:
    """What a receiver gets."""
    return {
        "id": notice.id,
        "kind": notice.kind,
        "subject": notice.subject,
        "text": notice.text,
        "workspace": str(workspace.root),
        "created_at": notice.created_at,
    }


def _keep(workspace: Workspace, notice: Notice, failed: dict[str, Failure]) -> Notice:
    """Write down how a delivery ended: delivered, to be tried again, or given up."""
    now, attempts = workspace.now(), notice.attempts + 1
    told = {name: failure.error.removesuffix(FINAL) + FINAL * failure.final for name, failure in failed.items()}
    error = "\n".join(f"{name}: {text}" for name, text in told.items())
    over = all(failure.final for failure in failed.values()) or attempts >= workspace.settings.notify.attempts
    known = replace(
        notice,
        attempts=attempts,
        error=error,
        next_at=None if over else now + min(FIRST_PAUSE * 2 ** min(attempts - 1, 20), LONGEST_PAUSE),
        delivered_at=None if failed else now,
    )
    with workspace.catalogue.write(now) as act:
        rows.put_notice(act, known)
        outcome = "delivered" if not failed else "given_up" if over else "delayed"
        act.record(f"notice.{outcome}", notice.subject, notice=notice.id, attempt=attempts, error=error)
    return known


def notices(workspace: Workspace, limit: int = -1) -> list[Notice]:
    """Return what was told, newest first."""
    with workspace.catalogue.read() as act:
        return rows.notices(act)[::-1][: limit if limit >= 0 else None]
