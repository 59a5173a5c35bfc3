"""Bentos that answer: started as processes that outlive the command, found again, and told from strangers.

What stands beside a deployment, a canary or a shadow, and how it becomes the one that serves: see `rollouts`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlops_tui.adapters import processes
from mlops_tui.adapters.catalogue import Act, release
from mlops_tui.errors import External, NotFound, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.release import approvals, servers
from mlops_tui.flows.release.servers import READY_SECONDS
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import valid_name
from mlops_tui.records import Bento, Deployment, Progress, hash_of

if TYPE_CHECKING:
    from mlops_tui.config import Serve

State = Literal["running", "stopped", "down"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment answers; None is what [serve] of its pipeline says, else what it had, else a default.

    `container` says whether it is one; None leaves that as it was.
    """

    name: str | None = None
    host: str | None = None
    port: int | None = None
    container: bool | None = None


def start(
    workspace: Workspace,
    reference: str,
    place: Place = Place(),
    *,
    unapproved: bool = False,
    expected: Deployment | None = None,
    reason: str = "",
) -> tuple[Deployment, bool]:
    """Serve a model version's Bento, built now if it has none; returns the deployment and whether it was started.

    A deployment of that name that serves another version changes between two requests; where its code or place are
    others too, a new server is ready on the port before the old one is stopped. Raises Refused for what is not
    approved unless `unapproved` is said. `expected` is the deployment as the caller saw it: if somebody has started
    or stopped it since, nothing is done.
    """
    from mlops_tui.flows.release import bentos

    version = lookup.model_version(workspace, reference)
    name = valid_name("deployment", version.model if place.name is None else place.name)
    with locked(workspace, name):
        known = find(workspace, name)
        if expected is not None and (known is None or _is_changed(known, expected)):
            return known or expected, False
        running = known is not None and servers.alive(known)
        servers.reap(workspace, name, known)
        if place.container or (known is not None and known.container):
            from mlops_tui.flows.release import contained

            contained.sweep(workspace, name, known.container if known else "")
        target = _target(known, place, _serve(workspace, version.model, name))
        stays = known if known and running and (known.host, known.port) == target else None
        if stays is None:
            was_ours = known is not None and (known.host, known.port) == target
            _check_port(workspace, name, target, servers.CLOSING_SECONDS if was_ours else 0)
        bento, _ = bentos.build(workspace, version.ref, unapproved=unapproved)
        want = servers.wanted(workspace, name, target, bento)
        boxed = bool(known and known.container) if place.container is None else place.container
        if stays and bool(stays.container) == boxed and serves(stays, bento) and stays.serving == hash_of(want.serving):
            return stays, False
        if stays and not boxed and serves(stays, bento) and servers.can_change(workspace, stays, want):
            return retune(workspace, stays, want), True
        if stays and not boxed and servers.can_change(workspace, stays, want):
            return change(workspace, stays, want, reason), True
        with workspace.exclusive(f"port-{target[1]}", f"the port {target[1]}", timeout=READY_SECONDS):
            return replace_server(workspace, want, known if running else None, reason, boxed), True


def locked(workspace: Workspace, name: str) -> AbstractContextManager[None]:
    """Hold a deployment while it is started, changed or stopped, which may take a while."""
    return workspace.exclusive(f"deployment-{name}", f"the deployment '{name}'", timeout=2 * READY_SECONDS)


def change(workspace: Workspace, item: Deployment, want: servers.Wanted, reason: str = "") -> Deployment:
    """Have a running server serve another model version, between two requests, and write that down."""
    workspace.report(Progress("deploy", f"changing '{item.name}' to {want.ref}"))
    before = processes.told(servers.runtime_of(workspace, item))
    servers.tell(workspace, item, servers.control_of(workspace, want, reason="promoted"))
    deployment = dataclasses.replace(
        item, model=want.bento.model, version=want.bento.version, bento=want.bento.tag, user=workspace.user,
        started_at=workspace.now(), serving=hash_of(want.serving), reason=reason,
    )  # fmt: skip
    try:
        _write(workspace, deployment, want.bento)
    except BaseException:
        if before is not None:  # what nobody wrote down must not go on
            servers.tell(workspace, item, before)
        raise
    return deployment


def _is_changed(known: Deployment, expected: Deployment) -> bool:
    return any(getattr(known, name) != getattr(expected, name) for name in ("pid", "born", "wanted"))


def _check_port(workspace: Workspace, name: str, target: tuple[str, int], patience: float) -> None:
    """Raise External, before anything is built, if the port is not ours to take, and name the deployment on it."""
    for other in list_deployments(workspace):
        if other.name != name and other.port == target[1] and state(other) == "running":
            raise External(f"port {target[1]} is taken by the deployment '{other.name}'", "choose another: --port")
    servers.check_port(*target, patience)


def _target(known: Deployment | None, place: Place, serve: Serve | None) -> tuple[str, int]:
    usual = serve or known
    host, port = (usual.host, usual.port) if usual else ("127.0.0.1", 3000)
    return place.host or host, place.port or port


def _serve(workspace: Workspace, model: str, name: str) -> Serve | None:
    """What the model's pipeline says of a deployment, if that is its own: a trial beside it has another name."""
    settings = servers.pipeline_of(workspace, model)
    return settings.serve if settings and settings.deployment == name else None


def retune(workspace: Workspace, item: Deployment, want: servers.Wanted) -> Deployment:
    """Have a running server serve what it serves by other policies, limits or bounds; its challenger stays."""
    before = processes.told(servers.runtime_of(workspace, item))
    rival = before.challenger if before else None
    servers.tell(workspace, item, servers.control_of(workspace, want, rival, "retuned"))
    after = dataclasses.replace(item, serving=hash_of(want.serving))
    with workspace.catalogue.write(workspace.now()) as act:
        release.put_deployment(act, after)
        act.record("deployment.retuned", item.name, model=item.ref)
    return after


def replace_server(
    workspace: Workspace, want: servers.Wanted, old: Deployment | None, reason: str = "", boxed: bool = False
) -> Deployment:
    """Start a server, wait until it answers for its model, write it down, then stop the one it replaces."""
    from mlops_tui.flows.release import contained

    was_boxed = old is not None and bool(old.container)
    beside = old is not None and (old.host, old.port) == (want.host, want.port)
    if old is not None and beside and bool(old.container) != boxed:
        if boxed:
            contained.prepare(workspace, want)  # what takes long, or cannot be, comes before anything is stopped
        servers.stop(old)  # the kernel lets only one user's servers share a port, and a container's is another
        old, beside = None, False
        servers.check_port(want.host, want.port, servers.CLOSING_SECONDS)
    started = (contained.start if boxed else servers.start)(workspace, want, beside)
    deployment = dataclasses.replace(started, reason=reason)
    try:
        _write(workspace, deployment, want.bento)
    except BaseException:
        servers.stop(deployment)
        raise
    if old is not None:
        servers.stop_replaced(workspace, old)
    servers.reap(workspace, want.name, deployment)
    if boxed or was_boxed:
        contained.sweep(workspace, want.name, deployment.container)
    return deployment


def _write(workspace: Workspace, deployment: Deployment, bento: Bento) -> None:
    """Put a deployment in the place of what served under its name, whose time ends now.

    The alias `live` moves to it if it is approved: a trial of what is not must not change what a bare name means.
    """
    with workspace.catalogue.write(deployment.started_at) as act:
        former = release.deployment(act, deployment.name)
        if former is not None and former.stopped_at is None:
            release.end_deployment(act, dataclasses.replace(former, stopped_at=act.now))
        again = former is not None and former.ref == deployment.ref
        why = f"'{deployment.name}' was started again" if again else f"{deployment.ref} serves"
        end_challenger(act, deployment.name, why)
        release.put_deployment(act, deployment)
        told = {"url": deployment.url, "pid": deployment.pid} | (
            {"reason": deployment.reason} if deployment.reason else {}
        )
        act.record("deployment.started", deployment.name, model=deployment.ref, **told)
        if bento.approved:
            approvals.point(act, deployment.model, "live", deployment.version, f"deployment {deployment.name}")


def stop(workspace: Workspace, name: str) -> tuple[Deployment, bool]:
    """Stop a deployment's process and return whether it ran; one that stopped already stays so."""
    valid_name("deployment", name)
    with locked(workspace, name):
        known = get(workspace, name)
        ran = servers.stop(known)
        servers.reap(workspace, name, None)
        if known.wanted == "stopped":
            return known, ran
        with workspace.catalogue.write(workspace.now()) as act:
            end_challenger(act, name, f"'{name}' was stopped")
            ended = dataclasses.replace(known, wanted="stopped", stopped_at=act.now)
            release.put_deployment(act, ended)
            release.end_deployment(act, ended)
            act.record("deployment.stopped", name, model=f"{known.model}:{known.version}", was_running=ran)
            approved = {one.tag for one in release.bentos(act, known.model) if one.approved}
            others = [one for one in release.deployments(act) if one.wanted == "running" and one.bento in approved]
            approvals.point(act, known.model, "live", others[0].version if others else None, f"{name} stopped")
    return ended, ran


def end_challenger(act: Act, name: str, reason: str) -> Deployment | None:
    """Move the challenger of a deployment, if it has one, to the history; returns it."""
    known = release.challengers(act).get(name)
    if known is None:
        return None
    ended = dataclasses.replace(known, wanted="stopped", stopped_at=act.now, reason=reason)
    release.drop_challenger(act, name)
    release.end_deployment(act, ended)
    act.record("challenger.ended", name, model=known.ref, mode=known.mode, reason=reason)
    return ended


def get(workspace: Workspace, name: str) -> Deployment:
    """Return a deployment; raises NotFound naming the known ones."""
    valid_name("deployment", name)
    known = list_deployments(workspace)
    for item in known:
        if item.name == name:
            return item
    raise unknown("deployment", name, [item.name for item in known], "mlops deployments list")


def find(workspace: Workspace, name: str) -> Deployment | None:
    try:
        return get(workspace, name)
    except NotFound:
        return None


def list_deployments(workspace: Workspace) -> list[Deployment]:
    """Return all deployments as the catalogue has them."""
    with workspace.catalogue.read() as act:
        return release.deployments(act)


def history(workspace: Workspace, name: str) -> list[Deployment]:
    """Return what served under a name before, newest first."""
    with workspace.catalogue.read() as act:
        return release.deployment_history(act, name)


def state(deployment: Deployment) -> State:
    """Return whether a deployment runs, was stopped, or is down though it should run."""
    if servers.alive(deployment):
        return "running"
    return "stopped" if deployment.wanted == "stopped" else "down"


def serves(deployment: Deployment, bento: Bento) -> bool:
    """Return whether a deployment serves a Bento as it is now: one that is built anew keeps its tag."""
    return deployment.bento == bento.tag and deployment.started_at >= bento.created_at


def outdated(deployment: Deployment, bento: Bento) -> str:
    """Return how what a deployment serves differs from the Bento that it should serve, for `serves` is false."""
    older = "an older build of " if deployment.bento == bento.tag else ""
    return f"'{deployment.name}' serves {older}{deployment.bento}"


def log_file(workspace: Workspace, name: str) -> Path:
    """Return the log of a deployment; raises NotFound if there is none."""
    get(workspace, name)
    return servers.log_file(workspace, name)


def log_lines(workspace: Workspace, name: str, count: int) -> list[str]:
    """Return the last lines of a deployment's log, or of its container's; raises NotFound if there is none."""
    item = get(workspace, name)
    if item.container:
        from mlops_tui.adapters import containers
        from mlops_tui.flows.release import contained

        return containers.logs(contained.container_of(item), count)
    return list(last_lines(servers.log_file(workspace, name), count))


def last_lines(path: Path, count: int) -> Iterator[str]:
    """Yield the last lines of a file, read from its end in bounded memory."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 400 * count))
        yield from stream.read().decode(errors="replace").splitlines()[-count:]
