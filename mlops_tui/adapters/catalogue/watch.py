"""Rows of the act watch: spool segments, predictions, labels, monitor reports, trials, decisions, notices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mlops_tui.adapters.catalogue.build import bodies, naive
from mlops_tui.adapters.catalogue.connection import Act
from mlops_tui.records import (
    Decision,
    LabelPart,
    Notice,
    PredictionPart,
    Trial,
    from_json,
    to_json,
)

# ── predictions and labels ───────────────────────────────────────────────────────────────────────


def gathered(act: Act, deployment: str) -> dict[str, int]:
    """Return how many bytes of each segment of a deployment's spool have been gathered."""
    return dict(act.query("SELECT name, gathered FROM segments WHERE deployment = ?", deployment))


def put_segment(act: Act, deployment: str, name: str, size: int) -> None:
    """Keep how many bytes of a segment have been gathered."""
    act.change("INSERT OR REPLACE INTO segments VALUES (?, ?, ?)", deployment, name, size)


def drop_segment(act: Act, deployment: str, name: str) -> None:
    """Forget a segment whose file is gone."""
    act.change("DELETE FROM segments WHERE deployment = ? AND name = ?", deployment, name)


def add_prediction_part(act: Act, part: PredictionPart) -> None:
    """Insert a part of a deployment's predictions."""
    values = (part.deployment, part.version, naive(part.first), naive(part.last), to_json(part).decode())
    act.change("INSERT INTO prediction_parts VALUES (?, ?, ?, ?, ?)", *values)


def drop_prediction_part(act: Act, part: PredictionPart) -> None:
    """Take out a part that was merged into another."""
    sql = "DELETE FROM prediction_parts WHERE deployment = ? AND json_extract_string(body, '$.hash') = ?"
    act.change(sql, part.deployment, part.hash)


def prediction_parts(act: Act, deployment: str | None = None) -> list[PredictionPart]:
    """Return the parts of a deployment's predictions, oldest first."""
    return bodies(act, "prediction_parts", PredictionPart, {"deployment": deployment}, "first, rowid", -1)


def add_label_part(act: Act, part: LabelPart) -> None:
    """Insert a part of a deployment's labels."""
    act.change("INSERT INTO label_parts VALUES (?, ?, ?)", part.deployment, part.number, to_json(part).decode())


def drop_label_part(act: Act, part: LabelPart) -> None:
    """Take out a part that was merged into another."""
    act.change("DELETE FROM label_parts WHERE deployment = ? AND number = ?", part.deployment, part.number)


def last_label_part(act: Act, deployment: str) -> int:
    """Return the number of the newest part of a deployment's labels; 0 where there is none."""
    found = act.one("SELECT max(number) FROM label_parts WHERE deployment = ?", deployment)
    return (found and found[0]) or 0


def label_parts(act: Act, deployment: str | None = None) -> list[LabelPart]:
    """Return the parts of a deployment's labels, in the order in which they came."""
    return bodies(act, "label_parts", LabelPart, {"deployment": deployment}, "deployment, number", -1)


# ── monitoring ───────────────────────────────────────────────────────────────────────────────────


def add_monitor_report(act: Act, id_: str, deployment: str, routine: bool, hash_: str) -> None:
    """Insert a monitor report, made at the act's moment; its content is an object."""
    act.change("INSERT INTO monitor_reports VALUES (?, ?, ?, ?, ?)", id_, deployment, naive(act.now), routine, hash_)


def monitor_reports(
    act: Act, deployment: str | None = None, limit: int = -1, *, routine: bool = False
) -> list[tuple[str, str, str]]:
    """Return (id, deployment, hash) of monitor reports, newest first; all, or those of nobody's own range only."""
    sql = (
        "SELECT id, deployment, hash FROM monitor_reports WHERE deployment = coalesce(?, deployment) "
        f"{'AND routine ' if routine else ''}ORDER BY created_at DESC, rowid DESC LIMIT ?"
    )
    return [(a, b, c) for a, b, c in act.query(sql, deployment, limit if limit >= 0 else 2**31)]


def old_monitor_reports(act: Act, before: datetime) -> list[tuple[str, str]]:
    """Return (id, hash) of the reports from before a moment, but the last of each day and deployment.

    Where a day has a report that nobody asked a range for, that is the last: rules and status read no others.
    """
    sql = (
        "SELECT id, hash FROM monitor_reports WHERE created_at < ? QUALIFY row_number() OVER "
        "(PARTITION BY deployment, created_at::DATE ORDER BY routine DESC, created_at DESC, rowid DESC) > 1"
    )
    return [(id_, hash_) for id_, hash_ in act.query(sql, naive(before))]


def drop_monitor_report(act: Act, id_: str) -> None:
    """Forget a monitor report; its content is an object."""
    act.change("DELETE FROM monitor_reports WHERE id = ?", id_)


# ── rules ────────────────────────────────────────────────────────────────────────────────────────


def put_trial(act: Act, trial: Trial) -> None:
    """Keep what a trial challenger showed."""
    act.change("INSERT OR REPLACE INTO trials VALUES (?, ?)", trial.key, to_json(trial).decode())


def trial(act: Act, key: str) -> Trial | None:
    """Return what the trial challenger of a key showed, or None."""
    row = act.one("SELECT body FROM trials WHERE key = ?", key)
    return from_json(row[0].encode(), Trial) if row else None


def put_decision(act: Act, decision: Decision) -> None:
    """Insert a decision, or replace it by what is known of it now."""
    answered, body = decision.answered_at is not None, to_json(decision).decode()
    if act.one("SELECT 1 FROM decisions WHERE id = ?", decision.id):
        # In its place: a row that is taken out moves up the rowids of all behind it, by which screens know them.
        act.change("UPDATE decisions SET answered = ?, body = ? WHERE id = ?", answered, body, decision.id)
        return
    values = (decision.id, decision.pipeline, naive(decision.at), decision.fires, answered, body)
    act.change("INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?)", *values)


def decisions(
    act: Act, pipeline: str | None = None, fires: bool | None = None, answered: bool | None = None, limit: int = -1
) -> list[Decision]:
    """Return decisions, newest first."""
    filters = {"pipeline": pipeline, "fires": fires, "answered": answered}
    return bodies(act, "decisions", Decision, filters, "created_at DESC, rowid DESC", limit)


def open_decision(act: Act, pipeline: str) -> Decision | None:
    """Return the newest decision that fired and that no cycle has answered yet, or None."""
    found = decisions(act, pipeline, fires=True, answered=False, limit=1)
    return found[0] if found else None


# ── notices ──────────────────────────────────────────────────────────────────────────────────────


def put_notice(act: Act, notice: Notice) -> None:
    """Insert a notice, or replace it by what is known of it now."""
    is_open = notice.delivered_at is None and notice.next_at is not None
    values = (notice.id, is_open, naive(notice.created_at), to_json(notice).decode())
    act.change("INSERT OR REPLACE INTO notices VALUES (?, ?, ?, ?)", *values)


def notices(act: Act, is_open: bool | None = None, limit: int = -1) -> list[Notice]:
    """Return notices, oldest first; open are those that are still to be delivered."""
    return bodies(act, "notices", Notice, {"open": is_open}, "created_at, rowid", limit)


# ── objects ──────────────────────────────────────────────────────────────────────────────────────


def named(act: Act) -> Iterator[str]:
    """Yield the hash of every object that this act's rows name."""
    yield from (part.hash for part in prediction_parts(act))
    yield from (part.hash for part in label_parts(act))
    yield from (hash_ for _, _, hash_ in monitor_reports(act))
