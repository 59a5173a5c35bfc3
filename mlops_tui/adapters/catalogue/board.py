"""Rows of the overview: of every pipeline, dataset, model and deployment the newest, in a handful of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops_tui.adapters.catalogue import release
from mlops_tui.adapters.catalogue.connection import Act
from mlops_tui.records import (
    AliasChange,
    Approval,
    Bento,
    DatasetVersion,
    Decision,
    Deployment,
    ModelVersion,
    Run,
    from_json,
)

MOMENT = "(created_at, rowid)"


@dataclass(frozen=True, slots=True)
class Trained:
    """The newest run of a pipeline: its id and status; the run itself only where it has not completed."""

    id: str
    status: str
    run: Run | None


@dataclass(frozen=True, slots=True)
class Newest:
    """What is newest of everything, each by the name it belongs to."""

    datasets: dict[str, DatasetVersion]
    runs: dict[str, Trained]  # by pipeline
    models: dict[str, ModelVersion]
    champions: dict[str, ModelVersion]
    approvals: dict[tuple[str, int], list[Approval]]  # of the newest model versions and the champions, oldest first
    moved: dict[str, AliasChange]  # by model: how its champion came to be so
    bentos: dict[str, tuple[Bento, ...]]  # by model, newest first
    deployments: dict[str, Deployment]
    challengers: dict[str, Deployment]
    reports: dict[str, tuple[str, str]]  # by deployment: the (id, hash) of its newest routine monitor report
    decisions: dict[str, Decision]  # by pipeline


def newest(act: Act) -> Newest:
    """Return the newest of everything, in one act; the cost follows the number of names, not of versions."""
    champions = "SELECT model, version FROM aliases WHERE alias = 'champion'"
    said: dict[tuple[str, int], list[Approval]] = {}
    crowned = "alias = 'champion'"
    both = f"{_newest_models()} UNION {champions}"
    words = f"SELECT a.body FROM approvals a SEMI JOIN ({both}) n USING (model, version)"
    for word in _records(act, f"{words} ORDER BY a.created_at, a.rowid", Approval):
        said.setdefault((word.model, word.version), []).append(word)
    bentos: dict[str, tuple[Bento, ...]] = {}
    for bento in release.bentos(act):
        bentos[bento.model] = (*bentos.get(bento.model, ()), bento)
    return Newest(
        datasets={one.dataset: one for one in _last(act, "dataset_versions", "dataset", "version", DatasetVersion)},
        runs=_runs(act),
        models={one.model: one for one in _versions(act, _newest_models())},
        champions={one.model: one for one in _versions(act, champions)},
        approvals=said,
        moved={one.model: one for one in _last(act, "alias_changes", "model", MOMENT, AliasChange, crowned)},
        bentos=bentos,
        deployments={one.name: one for one in release.deployments(act)},
        challengers=release.challengers(act),
        reports=reports(act),
        decisions=decisions(act),
    )  # fmt: skip


def decisions(act: Act) -> dict[str, Decision]:
    """Return the newest decision of each pipeline."""
    return {one.pipeline: one for one in _last(act, "decisions", "pipeline", MOMENT, Decision)}


def _versions(act: Act, which: str) -> list[ModelVersion]:
    return _records(act, f"SELECT body FROM model_versions JOIN ({which}) n USING (model, version)", ModelVersion)


def _newest_models() -> str:
    return "SELECT model, max(version) AS version FROM model_versions GROUP BY model"


def _runs(act: Act) -> dict[str, Trained]:
    """Return the newest run of each pipeline; of the many that completed only what stands beside their bodies."""
    sql = (
        "SELECT pipeline, arg_max(id, started_at), arg_max(status, started_at), arg_max(rowid, started_at) "
        "FROM runs GROUP BY pipeline"
    )
    found = act.query(sql)
    told = [rowid for _, _, status, rowid in found if status != "completed"]
    bodies = "SELECT body FROM runs SEMI JOIN (SELECT unnest(?::BIGINT[]) AS id) n ON runs.rowid = n.id"
    runs = {one.id: one for one in _records(act, bodies, Run, told)} if told else {}
    return {pipeline: Trained(id_, status, runs.get(id_)) for pipeline, id_, status, _ in found}


def _last(act: Act, table: str, name: str, order: str, kind: type[Any], where: str = "true") -> list[Any]:
    """Return of each name the last row; `arg_max` finds their ids without reading any other row's body."""
    ids = f"SELECT arg_max(rowid, {order}) FROM {table} WHERE {where} GROUP BY {name}"
    return _records(act, f"SELECT body FROM {table} WHERE rowid IN ({ids})", kind)


def _records(act: Act, sql: str, kind: type[Any], *values: object) -> list[Any]:
    return [from_json(row[0].encode(), kind) for row in act.query(sql, *values)]


def reports(act: Act) -> dict[str, tuple[str, str]]:
    """Return (id, hash) of the newest routine monitor report of each deployment."""
    sql = (
        "SELECT deployment, arg_max(id, (created_at, rowid)), arg_max(hash, (created_at, rowid)) "
        "FROM monitor_reports WHERE routine GROUP BY deployment"
    )
    return {name: (id_, hash_) for name, id_, hash_ in act.query(sql)}
