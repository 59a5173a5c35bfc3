"""Lists that a screen shows a page of: first the ids of all rows that a filter keeps, in order, then rows by id."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mlops_tui.adapters.catalogue.connection import Act
from mlops_tui.records import LOWER_IS_BETTER, Approval, Decision, Event, ModelVersion, Run, from_json

if TYPE_CHECKING:
    from mlops_tui.core.query import Term

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """How a table reads as a list: the SQL of its text fields and numbers, by the names that a filter has for them.

    `id` names a row as long as the catalogue's stamp stays as it is; `metric` is the SQL of a metric, its name bound.
    """

    table: str
    kind: type[T]
    newest: str
    texts: dict[str, str]
    numbers: dict[str, str] = field(default_factory=dict)
    metric: str | None = None
    id: str = "rowid"
    body: str = "body"


def _json(name: str) -> str:
    """The SQL of a text that only a row's body has."""
    return f"json_extract_string(body, '$.{name}')"


RUNS = View(
    "runs", Run, "started_at DESC, id",
    texts={"run": "id", "pipeline": "pipeline", "status": "status", "data": "data", "by": "author"},
    metric="(SELECT max(value) FROM run_metrics WHERE run = runs.id AND metric = ?)",
)  # fmt: skip
MODELS = View(
    "model_versions", ModelVersion, "created_at DESC, version DESC, model",
    texts={
        "model": "model", "aliases": "(SELECT string_agg(alias, ', ' ORDER BY alias) FROM aliases a "
                                     "WHERE a.model = model_versions.model AND a.version = model_versions.version)",
        "data": f"{_json('dataset')} || ':' || {_json('dataset_version')}", "run": "run", "by": _json("author"),
    },
    numbers={"version": "version"},
    metric="TRY_CAST(body -> 'metrics' ->> ? AS DOUBLE)",
)  # fmt: skip
EVENTS = View(
    "audit", Event, "number DESC",
    texts={"at": "replace(left(moment, 19), 'T', ' ')", "by": "user_name", "action": "action", "subject": "subject",
           "details": "details"},
    numbers={"number": "number"},
    id="number",
    body="json_object('number', number, 'at', moment, 'user', user_name, 'action', action, 'subject', subject, "
         "'details', details::JSON, 'previous', previous, 'hash', hash)",
)  # fmt: skip
DECISIONS = View(
    "decisions", Decision, "created_at DESC, rowid DESC",
    texts={
        "pipeline": "pipeline",
        "verdict": f"CASE WHEN {_json('held')} > '' THEN 'held' WHEN fires THEN 'fires' ELSE 'quiet' END",
        "why": f"coalesce(nullif({_json('held')}, ''), {_json('reason')})",
        "outcome": f"coalesce(nullif({_json('outcome')}, ''), if(fires AND NOT answered, 'open', '')) || "
                   f"coalesce(' by run ' || {_json('run')}, '')",
        "by": _json("user"), "decision": "id",
    },
)  # fmt: skip


def index(act: Act, view: View[Any], terms: Sequence[Term] = (), sort: str = "") -> array[int]:
    """Return the ids of the rows for which all terms hold, newest first, or by a field of the view or by a metric.

    A metric's best come first and rows without it last; "-" in front of `sort` turns the order round.
    """
    found = [_condition(view, term) for term in terms]
    where = " AND ".join(sql for sql, _ in found) or "true"
    order, bound = _order(view, sort)
    sql = f"SELECT {view.id} AS id FROM {view.table} WHERE {where} ORDER BY {order}{view.newest}"
    # As one list: as rows, 100,000 ids are as many tuples first.
    row = act.one(f"SELECT list(id) FROM ({sql})", *(value for _, values in found for value in values), *bound)
    return array("q", (row and row[0]) or ())


def page(act: Act, view: View[T], ids: Sequence[int]) -> list[T]:
    """Return the records of these rows, in this order; those that are gone are left out."""
    sql = f"SELECT {view.id}, {view.body} FROM {view.table} WHERE {view.id} IN (SELECT unnest(?::BIGINT[]))"
    bodies = dict(act.query(sql, list(ids)))
    return [from_json(bodies[one].encode(), view.kind) for one in ids if one in bodies]


def _condition(view: View[Any], term: Term) -> tuple[str, list[object]]:
    """The SQL of one term, never NULL, and the values to bind."""
    values: list[object]
    if term.field is None:
        sql = " OR ".join(f"contains(lower({text}), lower(?))" for text in view.texts.values())
        values = [term.value] * len(view.texts)
    else:
        field, bound = _field(view, term.field)
        sql = f"contains(lower({field}), lower(?))" if term.op == ":" else f"{field} {term.op} ?"
        values = [*bound, term.value]
    return f"{'NOT ' if term.negated else ''}coalesce({sql}, false)", values


def _field(view: View[Any], name: str) -> tuple[str, list[object]]:
    """The SQL of a text field, a number or a metric, and what it binds."""
    known = view.texts | view.numbers
    if name in known:
        return known[name], []
    assert view.metric is not None, f"{view.table} has no field {name}"
    return view.metric, [name]


def _order(view: View[Any], sort: str) -> tuple[str, list[object]]:
    """The beginning of ORDER BY, up to its comma."""
    if not sort:
        return "", []
    name = sort.removeprefix("-")
    field, bound = _field(view, name)
    best_is_highest = bool(bound) and name not in LOWER_IS_BETTER
    return f"{field} {'ASC' if sort.startswith('-') == best_is_highest else 'DESC'} NULLS LAST, ", bound


def approvals(act: Act, versions: Sequence[ModelVersion]) -> list[Approval]:
    """Return what was said of these model versions, oldest first."""
    sql = (
        "SELECT body FROM approvals SEMI JOIN (SELECT unnest(?::VARCHAR[]) AS model, unnest(?::INTEGER[]) AS version) "
        "USING (model, version) ORDER BY created_at, approvals.rowid"
    )
    rows = act.query(sql, [one.model for one in versions], [one.version for one in versions])
    return [from_json(row[0].encode(), Approval) for row in rows]


# ── everything that has a name ───────────────────────────────────────────────────────────────────

# noun, its reference, a word on it, when it was made; the order is the one in which equally good hits are shown
NAMES = """
    SELECT 'pipeline' AS noun, unnest(?::VARCHAR[]) AS ref, '' AS about, NULL::TIMESTAMP AS made, 0 AS rank
    UNION ALL SELECT 'dataset', name, '', NULL, 1 FROM datasets
    UNION ALL SELECT 'model', model, 'newest :' || max(version), max(created_at), 2 FROM model_versions GROUP BY model
    UNION ALL SELECT 'deployment', name, concat_ws(':', body ->> 'model', body ->> 'version'), NULL, 3 FROM deployments
    UNION ALL SELECT 'dataset version', dataset || ':' || version, state, created_at, 4 FROM dataset_versions
    UNION ALL SELECT 'model version', model || ':' || version, 'run ' || run, created_at, 5 FROM model_versions
    UNION ALL SELECT 'bento', tag, model || ':' || version, created_at, 6 FROM bentos
"""
# What is part of another object: its reference is the object's and its own name.
PARTS = """
    SELECT 'feature' AS noun, report || ' ' || name AS ref, 'in the newest report of ' || deployment AS about,
        NULL::TIMESTAMP AS made, 7 AS rank, name
    FROM (SELECT unnest(?::VARCHAR[]) AS report, unnest(?::VARCHAR[]) AS deployment, unnest(?::VARCHAR[]) AS name)
    UNION ALL SELECT 'column', dataset || ' ' || name, 'of the dataset ' || dataset, NULL, 8, name
    FROM (SELECT dataset, unnest(json_extract_string(body, '$.schema[*].name')) AS name FROM dataset_versions
          SEMI JOIN (SELECT dataset, max(version) AS version FROM dataset_versions GROUP BY dataset) newest
          USING (dataset, version))
"""
IDS = """
    SELECT 'run', id, pipeline || ', ' || status, started_at, 9, id FROM runs WHERE starts_with(id, nullif(?, ''))
    UNION ALL SELECT 'decision', id, pipeline, created_at, 10, id FROM decisions WHERE starts_with(id, nullif(?, ''))
    UNION ALL SELECT 'report', id, deployment, created_at, 11, id FROM monitor_reports
        WHERE starts_with(id, nullif(?, ''))
"""
EACH = 8  # hits of one noun before those of the next


Part = tuple[str, str, str]
"""A monitor report, its deployment, and a feature in it."""


def search(
    act: Act, text: str, pipelines: Sequence[str], features: Sequence[Part], limit: int
) -> list[tuple[str, str, str, str]]:
    """Return (noun, reference, about, name) of what has the text's letters in its name or begins so with its id.

    Whole names come first, then names that begin with it, that have it in them, and the rest; among equals up to 8 of
    each noun, newest first. `text` is in lower case; names that the catalogue does not know are given.
    """
    letters = "%".join(f"\\{letter}" if letter in "%_\\" else letter for letter in text)
    sql = (
        f"WITH named AS (SELECT *, ref AS name FROM ({NAMES}) UNION ALL {PARTS}), "
        f"hits AS (SELECT * FROM named WHERE lower(name) LIKE ? ESCAPE '\\' UNION ALL {IDS}), "
        "told AS (SELECT *, CASE WHEN lower(name) = ? THEN 0 WHEN starts_with(lower(name), ?) THEN 1 "
        "WHEN contains(lower(name), ?) THEN 2 ELSE 3 END AS fit FROM hits) "
        "SELECT noun, ref, about, name FROM told ORDER BY fit, "
        f"row_number() OVER (PARTITION BY noun, fit ORDER BY made DESC, ref) > {EACH}, rank, made DESC, ref LIMIT ?"
    )
    parts = ([one[at] for one in features] for at in range(3))
    found = act.query(sql, list(pipelines), *parts, f"%{letters}%", *(text,) * 6, limit)
    return [(noun, ref, about, name) for noun, ref, about, name in found]
