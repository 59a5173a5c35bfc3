"""Rows of the act release: approvals, aliases, Bentos, deployments."""

from __future__ import annotations

from mlops_tui.adapters.catalogue.build import bodies, naive
from mlops_tui.adapters.catalogue.connection import Act
from mlops_tui.records import AliasChange, Approval, Bento, Deployment, from_json, to_json


def add_approval(act: Act, approval: Approval) -> None:
    """Insert a person's word on a model version."""
    values = (approval.model, approval.version, naive(approval.created_at), to_json(approval).decode())
    act.change("INSERT INTO approvals VALUES (?, ?, ?, ?)", *values)


def approvals(act: Act, model: str | None = None, version: int | None = None) -> list[Approval]:
    """Return what was said of a model version, of a model or of all, oldest first."""
    return bodies(act, "approvals", Approval, {"model": model, "version": version}, "created_at, rowid", -1)


def aliases(act: Act, model: str | None = None) -> dict[tuple[str, str], int]:
    """Return the version behind every (model, alias)."""
    rows = act.query("SELECT model, alias, version FROM aliases WHERE model = coalesce(?, model)", model)
    return {(name, alias): version for name, alias, version in rows}


def move_alias(act: Act, change: AliasChange) -> None:
    """Point an alias to a version, or take it away, and keep that it was so."""
    act.change("DELETE FROM aliases WHERE model = ? AND alias = ?", change.model, change.alias)
    if change.version is not None:
        act.change("INSERT INTO aliases VALUES (?, ?, ?)", change.model, change.alias, change.version)
    values = (change.model, change.alias, naive(change.created_at), to_json(change).decode())
    act.change("INSERT INTO alias_changes VALUES (?, ?, ?, ?)", *values)


def alias_changes(act: Act, model: str, alias: str | None = None) -> list[AliasChange]:
    """Return how the aliases of a model moved, newest first."""
    return bodies(
        act, "alias_changes", AliasChange, {"model": model, "alias": alias}, "created_at DESC, rowid DESC", -1
    )


def champions(act: Act, model: str | None = None) -> dict[str, list[int | None]]:
    """Return of each model the versions that were made champion, oldest first; None where nothing was any more."""
    version = "list(CAST(body->>'version' AS INTEGER) ORDER BY created_at, rowid)"
    moved = "alias_changes WHERE alias = 'champion' AND model = coalesce(?, model)"
    return dict(act.query(f"SELECT model, {version} FROM {moved} GROUP BY model", model))


def put_bento(act: Act, bento: Bento) -> None:
    """Insert a proven Bento, or replace the one of the same tag."""
    created = naive(bento.created_at)
    values = (bento.tag, bento.model, bento.version, bento.key, created, to_json(bento).decode())
    act.change("INSERT OR REPLACE INTO bentos VALUES (?, ?, ?, ?, ?, ?)", *values)


def bentos(act: Act, model: str | None = None, version: int | None = None, key: str | None = None) -> list[Bento]:
    """Return Bentos, newest first."""
    return bodies(act, "bentos", Bento, {"model": model, "version": version, "key": key}, "created_at DESC", -1)


def put_deployment(act: Act, deployment: Deployment) -> None:
    """Insert or replace what a deployment's name stands for now."""
    act.change("INSERT OR REPLACE INTO deployments VALUES (?, ?)", deployment.name, to_json(deployment).decode())


def end_deployment(act: Act, deployment: Deployment) -> None:
    """Add what served until now to the name's history."""
    values = (deployment.name, naive(deployment.started_at), to_json(deployment).decode())
    act.change("INSERT INTO deployment_history VALUES (?, ?, ?)", *values)


def deployments(act: Act) -> list[Deployment]:
    """Return what every deployment's name stands for now."""
    rows = act.query("SELECT body FROM deployments ORDER BY name")
    return [from_json(row[0].encode(), Deployment) for row in rows]


def deployment(act: Act, name: str) -> Deployment | None:
    """Return what a deployment's name stands for now."""
    row = act.one("SELECT body FROM deployments WHERE name = ?", name)
    return from_json(row[0].encode(), Deployment) if row else None


def put_challenger(act: Act, challenger: Deployment) -> None:
    """Insert or replace the challenger beside what a deployment serves."""
    act.change("INSERT OR REPLACE INTO challengers VALUES (?, ?)", challenger.name, to_json(challenger).decode())


def drop_challenger(act: Act, name: str) -> None:
    """Remove the challenger of a deployment, if it has one."""
    act.change("DELETE FROM challengers WHERE name = ?", name)


def challengers(act: Act) -> dict[str, Deployment]:
    """Return the challenger of every deployment that has one, by the deployment's name."""
    rows = act.query("SELECT name, body FROM challengers ORDER BY name")
    return {name: from_json(body.encode(), Deployment) for name, body in rows}


def deployment_history(act: Act, name: str) -> list[Deployment]:
    """Return what served under a name before, newest first."""
    return bodies(act, "deployment_history", Deployment, {"name": name}, "started_at DESC", -1)
