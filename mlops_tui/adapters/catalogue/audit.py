"""The audit chain: every event covers the hash of the one before it, so that a changed line shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_tui.records import Event, hash_of, to_json

if TYPE_CHECKING:
    from mlops_tui.adapters.catalogue.connection import Act

START = "0" * 64
COLUMNS = "number, moment, user_name, action, subject, details, previous, hash"


def append(act: Act, action: str, subject: str, details: Mapping[str, object]) -> None:
    """Add an event at the end of the chain, in the act's transaction."""
    last = act.one("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
    number, previous = (last[0] + 1, last[1]) if last else (1, START)
    event = Event(number, act.now, act.user, action, subject, dict(details), previous, "")
    act.change(
        f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(number, act.now.isoformat(), act.user, action, subject, to_json(event.details).decode(), previous),
        hash_of(event),
    )


def events(act: Act, subject: str | None = None, limit: int = 100) -> list[Event]:
    """Return the newest events first; `subject` keeps those about one thing."""
    where = "WHERE subject = ?" if subject else ""
    rows = act.query(
        f"SELECT {COLUMNS} FROM audit {where} ORDER BY number DESC LIMIT ?", *([subject] if subject else []), limit
    )
    return [_event(row) for row in rows]


def count(act: Act) -> int:
    """Return how many events the chain has."""
    row = act.one("SELECT count(*) FROM audit")
    return int(row[0]) if row else 0


def broken_links(act: Act) -> list[int]:
    """Return the numbers of events that were changed, put in, or follow one that was taken out; empty if all hold.

    Events cut off at the end of the chain leave no trace in it.
    """
    broken, previous, expected = [], START, 1
    for row in act.query(f"SELECT {COLUMNS} FROM audit ORDER BY number"):
        event = _event(row)
        computed = hash_of(dataclasses.replace(event, hash=""))
        if (event.number, event.previous, event.hash) != (expected, previous, computed):
            broken.append(event.number)
        previous, expected = event.hash, event.number + 1
    return broken


def _event(row: tuple[Any, ...]) -> Event:
    number, moment, user, action, subject, details, previous, hash_ = row
    values: dict[str, Any] = {"number": number, "at": moment, "user": user, "action": action, "subject": subject}
    values |= {"details": msgspec.json.decode(details), "previous": previous, "hash": hash_}
    return msgspec.convert(values, Event)
