"""Deployments in containers: the image of a Bento, run in this machine's network with as few rights as it needs.

They share the port as processes do, so that one takes over from another without a lost request. A container serves
what its image holds: it is replaced, never told to serve another model.
"""

from __future__ import annotations

import psutil  # type: ignore[import-untyped]

from mlops_tui.adapters import containers, engines, launches, processes
from mlops_tui.adapters.containers import Container
from mlops_tui.adapters.engines import Engine
from mlops_tui.adapters.images import Image
from mlops_tui.errors import External, InvalidInput, MlopsError
from mlops_tui.flows.release import bentos, images, servers
from mlops_tui.flows.release.servers import READY_SECONDS, Wanted
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment, Progress, hash_of, to_json


def prepare(workspace: Workspace, want: Wanted) -> tuple[Image, Engine]:
    """Return a Bento's image, built now if the engine that will run it has none; raises InvalidInput, External."""
    if want.tls is not None:
        raise InvalidInput("[serve.tls] is for processes", "put a proxy that speaks HTTPS before the container")
    engine = engines.find(known=engines.RUNNERS)
    usual = images.Options(engine=engine.name)
    return images.current(want.bento, usual) or images.build(workspace, want.bento, usual), engine


def start(workspace: Workspace, want: Wanted, beside: bool) -> Deployment:
    """Run a Bento's image and wait until it answers; `beside` one of ours on the same port."""
    image, engine = prepare(workspace, want)
    variables = {"MLOPS_SERVING": to_json(want.serving).decode()}
    if want.spool_mb is not None:
        variables["MLOPS_SPOOL_MB"] = str(want.spool_mb)
    keys = servers.keys_of(workspace, want.name)
    keys.parent.mkdir(parents=True, exist_ok=True)
    keys.parent.chmod(0o755)  # the container's user looks there, whatever the umask
    launch = launches.Launch(
        image.reference, want.name, workspace.home / "spool" / want.name, want.host, want.port, variables, keys,
        str(workspace.root), host_network=True, beside=beside,
    )  # fmt: skip
    workspace.report(Progress("deploy", f"starting {image.reference} on {launch.url}"))
    made = containers.run(launch, engine)
    try:
        containers.wait_ready(launch, made, want.ref, READY_SECONDS)
        found = containers.state(made)
        if found is None:
            raise External(f"the container of {want.ref} is gone")
        born = psutil.Process(found.pid).create_time()
    except BaseException:
        containers.remove(made)
        raise
    return Deployment(
        want.name, want.bento.model, want.bento.version, want.bento.tag, want.host, want.port, found.pid, born,
        "running", workspace.user, workspace.now(), container=f"{made.engine}:{made.id}:{made.name}",
        code=bentos.service_code(), serving=hash_of(want.serving),
    )  # fmt: skip


def container_of(item: Deployment) -> Container:
    """Return the container that a deployment is."""
    engine, id_, name = item.container.split(":", 2)
    return Container(id_, name, engine)


def alive(item: Deployment) -> bool:
    """Return whether a deployment's container runs; the engine is asked only where its process is gone."""
    if processes.alive(item.pid, item.born):
        return True
    if item.wanted == "stopped":
        return False
    try:
        return containers.alive(container_of(item))  # started again after a crash, by the engine
    except External:
        return False


def stop(item: Deployment) -> bool:
    """Stop a deployment's container and return whether it ran; its log stays until the next one starts."""
    return containers.stop(container_of(item))


def sweep(workspace: Workspace, name: str, keep: str = "") -> None:
    """Remove the containers of a deployment that nobody wrote down, but for the one that is to stay, as it is kept."""
    try:
        engine = engines.find(keep.partition(":")[0] or None, engines.RUNNERS)
    except MlopsError:
        return
    for one in containers.list_containers(name, str(workspace.root), engine):
        if one.container.id not in keep.split(":"):
            containers.remove(one.container)
