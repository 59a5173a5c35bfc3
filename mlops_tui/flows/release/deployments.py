"""Bentos that answer: started as processes that outlive the command, found again, and told from strangers."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlops_tui.adapters import ports, processes
from mlops_tui.adapters.catalogue import release
from mlops_tui.errors import External, InvalidInput, MlopsError, NotFound, Refused, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.release import approvals
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import valid_name
from mlops_tui.records import Bento, Deployment, Progress

if TYPE_CHECKING:
    from mlops_tui.config import PipelineFile, Serve

READY_SECONDS = 90.0
CLOSING_SECONDS = 2.0
LOG_BYTES = 20_000_000  # a log larger than this is set aside, once, when the next server starts
State = Literal["running", "stopped", "down"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment answers; None is what [serve] of its pipeline says, else what it had, else a default."""

    name: str | None = None
    host: str | None = None
    port: int | None = None


def start(
    workspace: Workspace,
    reference: str,
    place: Place = Place(),
    *,
    unapproved: bool = False,
    expected: Deployment | None = None,
) -> tuple[Deployment, bool]:
    """Serve a model version's Bento, built now if it has none; returns the deployment and whether it was started.

    A deployment of that name that serves another version is replaced: on the same port the new server is ready
    before the old one is stopped. Raises Refused for what is not approved unless `unapproved` is said. `expected` is
    the deployment as the caller saw it: if somebody has started or stopped it since, nothing is done.
    """
    from mlops_tui.flows.release import bentos

    version = lookup.model_version(workspace, reference)
    name = valid_name("deployment", version.model if place.name is None else place.name)
    with workspace.exclusive(f"deployment-{name}", f"the deployment '{name}'", timeout=2 * READY_SECONDS):
        known = _find(workspace, name)
        if expected is not None and (known is None or _is_changed(known, expected)):
            return known or expected, False
        running = known is not None and processes.alive(known.pid, known.born)
        _reap(workspace, name, known)
        target = _target(known, place, _serve(workspace, version.model, name))
        stays = known if known and running and (known.host, known.port) == target else None
        if stays is None:
            was_ours = known is not None and (known.host, known.port) == target
            _check_port(workspace, name, target, CLOSING_SECONDS if was_ours else 0)
        bento, _ = bentos.build(workspace, version.ref, unapproved=unapproved)
        if stays and serves(stays, bento):
            return stays, False
        with workspace.exclusive(f"port-{target[1]}", f"the port {target[1]}", timeout=READY_SECONDS):
            return _replace(workspace, name, bento, target, known if running else None), True


def _runtime(workspace: Workspace) -> Path:
    """The folder of the servers' own folders: NAME-TIME for a deployment."""
    return workspace.home / "bentos" / "runtime"


def _reap(workspace: Workspace, name: str, known: Deployment | None) -> None:
    """Stop servers of this deployment that nobody wrote down: whoever started them was killed. Remove their folders.

    They are told by the folder that only we give them; nobody else can be starting one, for we hold the lock.
    """
    for process in processes.serving_from(_runtime(workspace), f"{name}-"):
        if known is None or process.pid != known.pid:
            processes.stop(process.pid, process.born)
    live = {one.home for one in processes.serving_from(_runtime(workspace), f"{name}-")}
    for folder in _runtime(workspace).glob(f"{name}-*"):
        if folder.name.removeprefix(f"{name}-").isdigit() and folder not in live:
            shutil.rmtree(folder, ignore_errors=True)


def _is_changed(known: Deployment, expected: Deployment) -> bool:
    return any(getattr(known, name) != getattr(expected, name) for name in ("pid", "born", "wanted"))


def _check_port(workspace: Workspace, name: str, target: tuple[str, int], patience: float) -> None:
    """Raise External, before anything is built, if the port is not ours to take, and name the deployment on it.

    Looks again for `patience` seconds: of a server that was killed the kernel closes the sockets a moment later.
    """
    host, port = target
    for other in list_deployments(workspace):
        if other.name != name and other.port == port and state(other) == "running":
            raise External(f"port {port} is taken by the deployment '{other.name}'", "choose another: --port")
    end = time.monotonic() + patience
    while True:
        try:
            return ports.check(host, port)
        except External:
            if time.monotonic() >= end:
                raise
        time.sleep(0.05)


def _target(known: Deployment | None, place: Place, serve: Serve | None) -> tuple[str, int]:
    usual = serve or known
    host, port = (usual.host, usual.port) if usual else ("127.0.0.1", 3000)
    return place.host or host, place.port or port


def _serve(workspace: Workspace, model: str, name: str) -> Serve | None:
    """What the model's pipeline says of a deployment, if that is its own: a trial beside it has another name."""
    settings = _pipeline(workspace, model)
    return settings.serve if settings and settings.deployment == name else None


def _pipeline(workspace: Workspace, model: str) -> PipelineFile | None:
    """The pipeline of a model, which can be served where its pipeline is gone or broken, too."""
    try:
        return lookup.pipeline(workspace, model)[0]
    except MlopsError:
        return None


def _replace(
    workspace: Workspace, name: str, bento: Bento, target: tuple[str, int], old: Deployment | None
) -> Deployment:
    """Start a server, wait until it answers for its model, write it down, then stop the one it replaces."""
    from mlops_tui.adapters import bento as store

    host, port = target
    home = workspace.home / "bentos"
    log = workspace.home / "log" / f"deployment-{name}.log"
    runtime = _runtime(workspace) / f"{name}-{workspace.now():%Y%m%d%H%M%S%f}"
    folder, spool = store.find(home, bento.tag).folder, workspace.home / "spool" / name
    settings = _pipeline(workspace, bento.model)
    limit = settings.monitor.spool_mb if settings else None
    server = processes.Server(folder, runtime, log, host, port, spool, limit)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    workspace.report(Progress("deploy", f"starting {bento.tag} on {server.url}"))
    process = processes.start(server, beside=old is not None and (old.host, old.port) == target)
    try:
        processes.wait_ready(server, process, f"{bento.model}:{bento.version}", READY_SECONDS)
        now = workspace.now()
        deployment = Deployment(
            name, bento.model, bento.version, bento.tag, host, port, process.pid, process.born,
            "running", workspace.user, now,
        )  # fmt: skip
        _write(workspace, deployment, bento)
    except BaseException:
        processes.stop(process.pid, process.born)
        raise
    if old is not None:
        processes.stop(old.pid, old.born)
    _reap(workspace, name, deployment)
    return deployment


def _write(workspace: Workspace, deployment: Deployment, bento: Bento) -> None:
    """Put a deployment in the place of what served under its name, whose time ends now.

    The alias `live` moves to it if it is approved: a trial of what is not must not change what a bare name means.
    """
    with workspace.catalogue.write(deployment.started_at) as act:
        former = release.deployment(act, deployment.name)
        if former is not None and former.stopped_at is None:
            release.end_deployment(act, dataclasses.replace(former, stopped_at=act.now))
        release.put_deployment(act, deployment)
        model = f"{deployment.model}:{deployment.version}"
        act.record("deployment.started", deployment.name, model=model, url=deployment.url, pid=deployment.pid)
        if bento.approved:
            approvals.point(act, deployment.model, "live", deployment.version, f"deployment {deployment.name}")


def stop(workspace: Workspace, name: str) -> tuple[Deployment, bool]:
    """Stop a deployment's process and return whether it ran; one that stopped already stays so."""
    valid_name("deployment", name)
    with workspace.exclusive(f"deployment-{name}", f"the deployment '{name}'", timeout=READY_SECONDS):
        known = get(workspace, name)
        ran = processes.stop(known.pid, known.born)
        _reap(workspace, name, None)
        if known.wanted == "stopped":
            return known, ran
        with workspace.catalogue.write(workspace.now()) as act:
            ended = dataclasses.replace(known, wanted="stopped", stopped_at=act.now)
            release.put_deployment(act, ended)
            release.end_deployment(act, ended)
            act.record("deployment.stopped", name, model=f"{known.model}:{known.version}", was_running=ran)
            approved = {one.tag for one in release.bentos(act, known.model) if one.approved}
            others = [one for one in release.deployments(act) if one.wanted == "running" and one.bento in approved]
            approvals.point(act, known.model, "live", others[0].version if others else None, f"{name} stopped")
    return ended, ran


def rollback(
    workspace: Workspace, name: str, reference: str | None = None, comment: str = ""
) -> tuple[Deployment, bool]:
    """Make the former approved champion, or a named version, champion again and serve it; the comment says why."""
    from mlops_tui.flows.release import bentos

    known = get(workspace, name)
    version = lookup.model_version(workspace, _former(workspace, known) if reference is None else reference)
    if version.model != known.model:
        raise InvalidInput(f"the deployment '{name}' serves {known.model}, not {version.model}")
    bento, _ = bentos.build(workspace, version.ref)
    with workspace.catalogue.read() as act:
        left = approvals.champion(act, known.model)
    reason = f"rollback of {name} from :{left or known.version}" + (f": {comment}" if comment else "")
    approvals.set_alias(workspace, version.ref, "champion", reason)
    return start(workspace, f"{bento.model}:{bento.version}", Place(name, known.host, known.port))


def _former(workspace: Workspace, known: Deployment) -> str:
    """The champion before the present one; raises Refused, which names one that came after it where there is any."""
    model = known.model
    with workspace.catalogue.read() as act:
        former, now = approvals.formers(act, model).get(model), approvals.champion(act, model)
        were = {one for one in release.champions(act, model).get(model, ()) if one not in (None, now)}
        left = approvals.approved(act, [(model, one) for one in were if one])
    if former is not None:
        return former.ref
    why = f"no champion before {model}:{now} is still approved" if now else f"no champion of {model} is still approved"
    if not left:
        raise Refused(why, f"mlops models list {model}")
    ref = max(left, key=lambda one: one.version).ref
    raise Refused(f"{why}; {ref}, which came after it, is", f"mlops deployments rollback {known.name} --to {ref}")


def get(workspace: Workspace, name: str) -> Deployment:
    """Return a deployment; raises NotFound naming the known ones."""
    valid_name("deployment", name)
    known = list_deployments(workspace)
    for item in known:
        if item.name == name:
            return item
    raise unknown("deployment", name, [item.name for item in known], "mlops deployments list")


def _find(workspace: Workspace, name: str) -> Deployment | None:
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
    if processes.alive(deployment.pid, deployment.born):
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
    path = workspace.home / "log" / f"deployment-{name}.log"
    if not path.exists():
        raise NotFound(f"the deployment '{name}' has no log yet")
    return path


def last_lines(path: Path, count: int) -> Iterator[str]:
    """Yield the last lines of a file, read from its end in bounded memory."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 400 * count))
        yield from stream.read().decode(errors="replace").splitlines()[-count:]
