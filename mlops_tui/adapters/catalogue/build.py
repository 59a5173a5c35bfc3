"""Rows of the act build: datasets, runs, model versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from mlops_tui.adapters.catalogue.connection import Act
from mlops_tui.records import LOWER_IS_BETTER, DatasetVersion, ModelVersion, Run, SourceFile, from_json, to_json


def naive(moment: datetime) -> datetime:
    """Return a moment as the catalogue's TIMESTAMP columns hold it: UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


# ── datasets ─────────────────────────────────────────────────────────────────────────────────────


def put_dataset(act: Act, name: str, settings: str) -> None:
    """Keep a dataset's [data] section, as canonical JSON."""
    act.change("INSERT OR REPLACE INTO datasets VALUES (?, ?)", name, settings)


def dataset_settings(act: Act, name: str) -> str | None:
    """Return a dataset's [data] section as JSON, or None if there is no such dataset."""
    row = act.one("SELECT settings FROM datasets WHERE name = ?", name)
    return row[0] if row else None


def dataset_names(act: Act) -> list[str]:
    """Return all dataset names."""
    return [row[0] for row in act.query("SELECT name FROM datasets ORDER BY name")]


def add_dataset_version(act: Act, version: DatasetVersion, files: Sequence[SourceFile]) -> None:
    """Insert a version, and what its source files looked like."""
    columns = (version.dataset, version.version, version.hash, version.state, naive(version.created_at))
    act.change("INSERT INTO dataset_versions VALUES (?, ?, ?, ?, ?, ?)", *columns, to_json(version).decode())
    put_source_files(act, version.dataset, files)


def put_source_files(act: Act, dataset: str, files: Sequence[SourceFile]) -> None:
    """Replace what is known of a dataset's source files."""
    act.change("DELETE FROM source_files WHERE dataset = ?", dataset)
    for file in files:
        act.change("INSERT INTO source_files VALUES (?, ?, ?, ?, ?, ?)", dataset, *_fields(file))


def _fields(file: SourceFile) -> tuple[str, int, int, str, int]:
    return file.path, file.size, file.mtime_ns, file.hash, file.left_out


def source_files(act: Act, dataset: str) -> list[SourceFile]:
    """Return the source files that the newest version was made from."""
    columns = "path, size, mtime_ns, hash, left_out"
    rows = act.query(f"SELECT {columns} FROM source_files WHERE dataset = ? ORDER BY path", dataset)
    return [SourceFile(*row) for row in rows]


def all_source_files(act: Act) -> dict[str, dict[str, SourceFile]]:
    """Return the source files of every dataset, by their paths."""
    found: dict[str, dict[str, SourceFile]] = {}
    for dataset, *columns in act.query("SELECT dataset, path, size, mtime_ns, hash, left_out FROM source_files"):
        found.setdefault(dataset, {})[columns[0]] = SourceFile(*columns)
    return found


def dataset_versions(act: Act, dataset: str | None = None, limit: int = -1) -> list[DatasetVersion]:
    """Return versions, newest first; of one dataset or of all."""
    return bodies(act, "dataset_versions", DatasetVersion, {"dataset": dataset}, "created_at DESC, version DESC", limit)


def dataset_version(act: Act, dataset: str, version: int | None = None) -> DatasetVersion | None:
    """Return one version, or the newest."""
    filters = {"dataset": dataset, "version": version}
    found = bodies(act, "dataset_versions", DatasetVersion, filters, "version DESC", 1)
    return found[0] if found else None


def good_dataset_version(act: Act, dataset: str) -> DatasetVersion | None:
    """Return the newest version that keeps its contract."""
    found = bodies(act, "dataset_versions", DatasetVersion, {"dataset": dataset, "state": "ok"}, "version DESC", 1)
    return found[0] if found else None


# ── pipelines ────────────────────────────────────────────────────────────────────────────────────


def put_pipeline(act: Act, name: str, path: str) -> None:
    """Keep where a pipeline's file lies."""
    act.change("INSERT OR REPLACE INTO pipelines VALUES (?, ?)", name, path)


def pipelines(act: Act) -> dict[str, str]:
    """Return every known pipeline's path by its name."""
    return dict(act.query("SELECT name, path FROM pipelines ORDER BY name"))


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────


def add_run(act: Act, run: Run) -> None:
    """Insert a run that starts."""
    values = (run.id, run.pipeline, run.status, run.key, naive(run.started_at), to_json(run).decode())
    data = f"{run.dataset}:{run.dataset_version}"
    act.change("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *values, data, run.author)


def end_run(act: Act, run: Run) -> None:
    """Update a run that ended, and keep its metrics for sorting."""
    act.change("UPDATE runs SET status = ?, body = ? WHERE id = ?", run.status, to_json(run).decode(), run.id)
    act.change("DELETE FROM run_metrics WHERE run = ?", run.id)
    for metric, value in run.metrics.items():
        act.change("INSERT INTO run_metrics VALUES (?, ?, ?)", run.id, metric, value)


def runs(
    act: Act, pipeline: str | None = None, status: str | None = None, sort: str | None = None, limit: int = -1
) -> list[Run]:
    """Return runs, newest first, or best first by a metric (`sort`, "-" in front for worst first)."""
    filters = {"pipeline": pipeline, "status": status}
    if sort is None:
        return bodies(act, "runs", Run, filters, "started_at DESC, id", limit)
    where, values = _where(filters)
    metric = sort.lstrip("-")
    order = "ASC" if sort.startswith("-") != (metric in LOWER_IS_BETTER) else "DESC"
    sql = (
        "SELECT r.body FROM runs r JOIN (SELECT run, value FROM run_metrics WHERE metric = ?) m ON m.run = r.id"
        f"{where} ORDER BY m.value {order}, r.started_at DESC LIMIT ?"
    )
    rows = act.query(sql, metric, *values, limit if limit >= 0 else 2**31)
    return [from_json(row[0].encode(), Run) for row in rows]


def run_metrics(act: Act) -> list[str]:
    """Return the metrics that any run has."""
    return [row[0] for row in act.query("SELECT DISTINCT metric FROM run_metrics ORDER BY metric")]


def runs_by_prefix(act: Act, prefix: str) -> list[Run]:
    """Return the runs whose id starts with a text; at most 10."""
    rows = act.query("SELECT body FROM runs WHERE starts_with(id, ?) ORDER BY started_at DESC LIMIT 10", prefix)
    return [from_json(row[0].encode(), Run) for row in rows]


# ── model versions ───────────────────────────────────────────────────────────────────────────────


def add_model_version(act: Act, version: ModelVersion) -> None:
    """Insert a model version."""
    created = naive(version.created_at)
    values = (version.model, version.version, version.key, version.run, created, to_json(version).decode())
    act.change("INSERT INTO model_versions VALUES (?, ?, ?, ?, ?, ?)", *values)


def update_model_version(act: Act, version: ModelVersion) -> None:
    """Replace a model version's content: a new gate report."""
    sql = "UPDATE model_versions SET body = ? WHERE model = ? AND version = ?"
    act.change(sql, to_json(version).decode(), version.model, version.version)


def model_versions(act: Act, model: str | None = None, limit: int = -1) -> list[ModelVersion]:
    """Return model versions, newest first; of one model or of all."""
    return bodies(act, "model_versions", ModelVersion, {"model": model}, "created_at DESC, version DESC", limit)


def model_version(act: Act, model: str, version: int | None = None) -> ModelVersion | None:
    """Return one model version, or the newest."""
    filters = {"model": model, "version": version}
    found = bodies(act, "model_versions", ModelVersion, filters, "version DESC", 1)
    return found[0] if found else None


def model_versions_of(act: Act, keys: Sequence[tuple[str, int]]) -> list[ModelVersion]:
    """Return the model versions with these (model, version)."""
    sql = (
        "SELECT body FROM model_versions SEMI JOIN "
        "(SELECT unnest(?::VARCHAR[]) AS model, unnest(?::INTEGER[]) AS version) USING (model, version)"
    )
    rows = act.query(sql, [model for model, _ in keys], [number for _, number in keys])
    return [from_json(row[0].encode(), ModelVersion) for row in rows]


def model_version_by_key(act: Act, model: str, key: str) -> ModelVersion | None:
    """Return the newest version of a model that was trained under this key."""
    found = bodies(act, "model_versions", ModelVersion, {"model": model, "key": key}, "version DESC", 1)
    return found[0] if found else None


def next_version(act: Act, table: str, noun: str, name: str) -> int:
    """Return the number that the next version of a dataset or a model gets."""
    row = act.one(f"SELECT coalesce(max(version), 0) + 1 FROM {table} WHERE {noun} = ?", name)
    return int(row[0]) if row else 1


def count(act: Act, table: Literal["runs", "model_versions"]) -> int:
    """Return how many rows a table has."""
    row = act.one(f"SELECT count(*) FROM {table}")
    return int(row[0]) if row else 0


def newest_versions(act: Act) -> dict[str, int]:
    """Return the number of every model's newest version."""
    return dict(act.query("SELECT model, max(version) FROM model_versions GROUP BY model"))


def model_names(act: Act) -> list[str]:
    """Return all model names."""
    return [row[0] for row in act.query("SELECT DISTINCT model FROM model_versions ORDER BY model")]


# ── what all tables share ────────────────────────────────────────────────────────────────────────


def _where(filters: dict[str, Any]) -> tuple[str, list[Any]]:
    given = {column: value for column, value in filters.items() if value is not None}
    clause = " AND ".join(f"{column} = ?" for column in given)
    return (f" WHERE {clause}" if clause else ""), list(given.values())


def bodies(act: Act, table: str, kind: type[Any], filters: dict[str, Any], order: str, limit: int) -> list[Any]:
    """Return the records of a table whose columns equal the filters that are not None."""
    where, values = _where(filters)
    sql = f"SELECT body FROM {table}{where} ORDER BY {order} LIMIT ?"
    return [from_json(row[0].encode(), kind) for row in act.query(sql, *values, limit if limit >= 0 else 2**31)]
