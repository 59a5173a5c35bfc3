"""The processes behind deployments: started, told what to serve while they run, and found again when orphaned."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters import ports, processes
from mlops_tui.errors import Busy, External, InvalidInput, MlopsError, NotFound
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, Challenger, Control, Deployment, Progress, Serves, Serving, hash_of

if TYPE_CHECKING:
    from mlops_tui.config import PipelineFile

READY_SECONDS = 90.0
CLOSING_SECONDS = 2.0
LEAVING_SECONDS = 1.0
LOOK = 0.01  # seconds between two looks at what a server says
LOG_BYTES = 20_000_000  # a log larger than this is set aside, once, when the next server starts


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a deployment is to be: its name, address, Bento, and what the model's pipeline says of serving."""

    name: str
    host: str
    port: int
    bento: Bento
    serving: Serving
    tls: tuple[Path, Path] | None = None
    spool_mb: int | None = None

    @property
    def ref(self) -> str:
        """The model version, as in `flight-delay:3`."""
        return f"{self.bento.model}:{self.bento.version}"


def wanted(workspace: Workspace, name: str, target: tuple[str, int], bento: Bento) -> Wanted:
    """Return what a deployment is to be by the pipeline of its model, whose pipeline may be gone or broken."""
    settings = pipeline_of(workspace, bento.model)
    serve = settings.serve if settings else None
    tls = None
    if serve is not None and serve.tls is not None:
        tls = _file(workspace, serve.tls.certificate), _file(workspace, serve.tls.key)
    limit = settings.monitor.spool_mb if settings else None
    return Wanted(name, *target, bento, serve.serving() if serve else Serving(), tls, limit)


def pipeline_of(workspace: Workspace, model: str) -> PipelineFile | None:
    """Return the pipeline of a model, or None if there is none that can be read."""
    try:
        return lookup.pipeline(workspace, model)[0]
    except MlopsError:
        return None


def _file(workspace: Workspace, name: str) -> Path:
    path = workspace.root / name
    if not path.is_file():
        raise InvalidInput(f"[serve.tls]: no file {name}", "name files in PEM format, from the workspace's root")
    return path


def runtimes(workspace: Workspace) -> Path:
    """Return the folder of the servers' own folders: NAME-TIME for a deployment."""
    return workspace.home / "bentos" / "runtime"


def runtime_of(workspace: Workspace, item: Deployment) -> Path:
    """Return a server's own folder."""
    return runtimes(workspace) / item.runtime


def log_of(workspace: Workspace, name: str) -> Path:
    """Return where the log of a deployment is, or will be."""
    return workspace.home / "log" / f"deployment-{name}.log"


def keys_of(workspace: Workspace, name: str) -> Path:
    """Return where the hashes of a deployment's API keys are, or would be."""
    return workspace.home / "keys" / name / "keys.json"


def start(workspace: Workspace, want: Wanted, beside: bool) -> Deployment:
    """Start a server and wait until it answers for its model; `beside` one of ours on the same port.

    Raises what `processes.start` and `wait_ready` do, and leaves no process behind then.
    """
    from mlops_tui.flows.release import bentos

    log, now = log_of(workspace, want.name), workspace.now()
    runtime = runtimes(workspace) / f"{want.name}-{now:%Y%m%d%H%M%S%f}"
    folder = folder_of(workspace, want.bento)
    control = Control(1, str(folder), want.ref, want.serving)
    spool = workspace.home / "spool" / want.name
    place = (want.host, want.port, spool, want.spool_mb, keys_of(workspace, want.name), want.tls, control)
    server = processes.Server(folder.parents[1], runtime, log, *place)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    workspace.report(Progress("deploy", f"starting {want.bento.tag} on {server.url}"))
    process = processes.start(server, beside)
    try:
        processes.wait_ready(server, process, want.ref, READY_SECONDS)
    except BaseException:
        processes.stop(process.pid, process.born)
        raise
    return Deployment(
        want.name, want.bento.model, want.bento.version, want.bento.tag, want.host, want.port, process.pid,
        process.born, "running", workspace.user, workspace.now(), runtime=runtime.name, tls=want.tls is not None,
        code=bentos.service_code(), serving=hash_of(want.serving),
    )  # fmt: skip


def folder_of(workspace: Workspace, bento: Bento) -> Path:
    """Return the folder of a Bento's model; raises NotFound if the Bento is gone."""
    from mlops_tui.adapters import bento as store

    return store.find(workspace.home / "bentos", bento.tag).folder / "src" / "model"


def can_change(workspace: Workspace, item: Deployment, want: Wanted) -> bool:
    """Return whether a running server can serve another model as it is: by the same code, at the same place."""
    from mlops_tui.flows.release import bentos

    same = (item.host, item.port, item.tls, item.code) == (
        want.host, want.port, want.tls is not None, bentos.service_code(),
    )  # fmt: skip
    return same and not item.container and processes.serves(runtime_of(workspace, item)) is not None


def tell(workspace: Workspace, item: Deployment, control: Control) -> Serves:
    """Tell a running server what to serve and wait until it does; raises External if it cannot, Busy after a minute.

    What it was told before stands again if it cannot serve this.
    """
    runtime = runtime_of(workspace, item)
    before = processes.told(runtime)
    said = processes.serves(runtime)
    after = replace(control, number=max(before.number if before else 0, said.number if said else 0) + 1)
    processes.tell(runtime, after)
    try:
        return _obeyed(workspace, item, after)
    except BaseException:
        if before is not None:
            kept = None if said is not None and said.withdrawn else before.challenger
            processes.tell(runtime, replace(before, number=after.number + 1, challenger=kept))
        raise


def _obeyed(workspace: Workspace, item: Deployment, control: Control) -> Serves:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        said = processes.serves(runtime_of(workspace, item))
        if said is not None and said.number == control.number:
            if said.error:
                raise External(f"'{item.name}' cannot serve {control.model}: {said.error}")
            return said
        if not processes.alive(item.pid, item.born):
            raise External(f"the server of '{item.name}' is down; {processes.tail(log_of(workspace, item.name))}")
        time.sleep(LOOK)
    raise Busy(f"'{item.name}' did not change to {control.model} within {READY_SECONDS:g} s")


def alive(item: Deployment) -> bool:
    """Return whether a deployment's process, or its container, runs."""
    if item.container:
        from mlops_tui.flows.release import contained

        return contained.alive(item)
    return processes.alive(item.pid, item.born)


def stop(item: Deployment) -> bool:
    """Stop a deployment's process, or its container; returns whether it ran."""
    if item.container:
        from mlops_tui.flows.release import contained

        return contained.stop(item)
    return processes.stop(item.pid, item.born)


def stop_replaced(workspace: Workspace, old: Deployment) -> None:
    """Stop a server that another has taken over from, once busy connections have ended with an answer.

    A connection that is closed while its client sends a request would lose it.
    """
    before = None if old.container else processes.told(runtime_of(workspace, old))
    if before is not None:
        with contextlib.suppress(MlopsError):  # one that hears nothing any more is stopped all the same
            tell(workspace, old, replace(before, challenger=None, leaving=True, reason="replaced"))
            time.sleep(LEAVING_SECONDS)
    stop(old)


def control_of(workspace: Workspace, want: Wanted, rival: Challenger | None = None, reason: str = "") -> Control:
    """Return what a server is told to serve what is wanted, with a challenger beside it or none."""
    return Control(0, str(folder_of(workspace, want.bento)), want.ref, want.serving, rival, reason or "started")


def reap(workspace: Workspace, name: str, known: Deployment | None) -> None:
    """Stop servers of this deployment that nobody wrote down: whoever started them was killed. Remove their folders.

    They are told by the folder that only we give them; nobody else can be starting one, for we hold the lock.
    """
    for process in processes.serving_from(runtimes(workspace), f"{name}-"):
        if known is None or process.pid != known.pid:
            processes.stop(process.pid, process.born)
    live = {one.home for one in processes.serving_from(runtimes(workspace), f"{name}-")}
    for folder in runtimes(workspace).glob(f"{name}-*"):
        is_known = known is not None and folder.name == known.runtime
        if folder.name.removeprefix(f"{name}-").isdigit() and folder not in live and not is_known:
            shutil.rmtree(folder, ignore_errors=True)


def check_port(host: str, port: int, patience: float) -> None:
    """Raise External if a port is taken; look again for `patience` seconds.

    Of a server that was killed the kernel closes the sockets a moment later.
    """
    end = time.monotonic() + patience
    while True:
        try:
            return ports.check(host, port)
        except External:
            if time.monotonic() >= end:
                raise
        time.sleep(0.05)


def log_file(workspace: Workspace, name: str) -> Path:
    """Return the log of a deployment; raises NotFound if there is none."""
    path = log_of(workspace, name)
    if not path.exists():
        raise NotFound(f"the deployment '{name}' has no log yet")
    return path
