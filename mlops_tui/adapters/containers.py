"""Containers of Bentos' images: started with as few rights as they need, asked, stopped with grace, removed."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mlops_tui.adapters import engines, launches, ports, processes
from mlops_tui.adapters.engines import Engine
from mlops_tui.adapters.launches import DEPLOYMENT, WORKSPACE, Launch
from mlops_tui.adapters.processes import DRAIN_SECONDS
from mlops_tui.errors import Busy, External


@dataclass(frozen=True, slots=True)
class Container:
    """A container: its id, its name, and the engine that runs it."""

    id: str
    name: str
    engine: str


@dataclass(frozen=True, slots=True)
class State:
    """What an engine knows of a container; `pid` is 0 unless it runs, `health` "" where nobody checks it."""

    container: Container
    deployment: str
    image: str
    status: str  # created running restarting exited …
    running: bool
    pid: int
    exit_code: int
    restarts: int
    started_at: str
    health: str


def run(launch: Launch, engine: Engine | None = None) -> Container:
    """Start a container and return at once; raises External if the port is in use or the engine refuses."""
    chosen = engine or engines.find(known=engines.RUNNERS)
    if not launch.beside:
        ports.check(launch.host, launch.port)
    try:
        launch.spool.mkdir(parents=True, exist_ok=True)
        user = launches.user(chosen, launch.spool)
    except OSError as error:
        raise External(f"the container cannot have {launch.spool}: {error.strerror or error}") from None
    id_ = engines.call(chosen, "create", *user, *launches.words(chosen, launch), launch.image).split()[-1]
    try:
        engines.call(chosen, "start", id_)
        return Container(id_, _inspect(chosen, [id_])[0]["Name"].lstrip("/"), chosen.name)
    except BaseException:
        engines.attempt(chosen, "rm", "--force", id_)
        raise


def state(container: Container) -> State | None:
    """Return what the engine knows of a container, or None if it is gone."""
    engine = engines.find(container.engine, engines.RUNNERS)
    found = _inspect(engine, [container.id])
    return _state(engine, found[0]) if found else None


def alive(container: Container) -> bool:
    """Return whether a container runs, or is about to be started again."""
    found = state(container)
    return found is not None and (found.running or found.status == "restarting")


def list_containers(deployment: str = "", workspace: str = "", engine: Engine | None = None) -> list[State]:
    """Return our containers, running or not, of one deployment or workspace if they are named."""
    chosen = engine or engines.find(known=engines.RUNNERS)
    asked = ["--filter", f"label={DEPLOYMENT}{f'={deployment}' if deployment else ''}"]
    asked += ["--filter", f"label={WORKSPACE}={workspace}"] if workspace else []
    ids = engines.call(chosen, "ps", "--all", "--quiet", "--no-trunc", *asked).split()
    return [_state(chosen, one) for one in _inspect(chosen, ids)]


def stop(container: Container, grace: float = DRAIN_SECONDS + 2) -> bool:
    """Stop a container, kindly, then after `grace` seconds by force; returns whether it ran."""
    if not alive(container):
        return False
    engine = engines.find(container.engine, engines.RUNNERS)
    engines.call(engine, "stop", "--time", str(round(grace)), container.id, timeout=grace + engines.CALL_SECONDS)
    return True


def remove(container: Container) -> bool:
    """Remove a container with its log, running or not; returns whether there was one."""
    engine = engines.find(container.engine, engines.RUNNERS)
    there = bool(_inspect(engine, [container.id]))
    if there:
        engines.call(engine, "rm", "--force", "--volumes", container.id)
    return there


def logs(container: Container, lines: int = 100) -> list[str]:
    """Return the last lines that a container wrote, to stdout and stderr, in the order of their writing."""
    engine = engines.find(container.engine, engines.RUNNERS)
    command = [engine.program, "logs", "--tail", str(lines), container.id]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=engines.CALL_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise External(f"{engine.name} does not give the log of {container.name}: {error}") from None
    text = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode:
        raise engines.failed(engine, ("logs",), text)
    return text[-lines:]


def healthy(container: Container) -> bool:
    """Run the image's health check now, and return whether it passes; without systemd podman never does by itself.

    Docker has no command for it: there, what its daemon found last.
    """
    engine = engines.find(container.engine, engines.RUNNERS)
    if engine.name == "podman":
        return engines.attempt(engine, "healthcheck", "run", container.id).returncode == 0
    found = state(container)
    return found is not None and found.health == "healthy"


def wait_ready(launch: Launch, container: Container, model: str, deadline: float = 60) -> float:
    """Return the seconds until this very container answers for `model`, as in "flight-delay:3".

    Raises External as soon as it has ended, with the last lines of its log, and Busy after the deadline.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < deadline:
        found = state(container)
        if found is None or not found.running or found.restarts:
            raise External(f"the container of {model} ended while starting; {_last(container)}")
        about = processes.ask(launch.url, "/metadata") if _listens(launch, found.pid) else None
        if about is not None and processes.ask(launch.url, "/readyz") is not None:
            if about.get("model") != model:
                raise External(f"the server on port {launch.port} answers for {about.get('model')}, not for {model}")
            return time.monotonic() - begun
        time.sleep(0.1)
    raise Busy(f"the container of {model} was not ready after {deadline:g} s; {_last(container)}")


def _listens(launch: Launch, pid: int) -> bool:
    """Return whether the container itself listens; in the host's network another may answer on the same port."""
    import psutil  # type: ignore[import-untyped]

    if not launch.host_network:
        return True
    with contextlib.suppress(psutil.Error, OSError):
        return any(
            one.status == psutil.CONN_LISTEN and one.laddr.port == launch.port
            for one in psutil.Process(pid).net_connections("tcp")
        )
    return False


def _last(container: Container) -> str:
    with contextlib.suppress(External):
        return "its last lines:\n  " + "\n  ".join(logs(container, 8))
    return "its log is gone"


def _inspect(engine: Engine, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the engine tells of containers; those that are gone are left out."""
    if not ids:
        return []
    done = engines.attempt(engine, "inspect", "--type", "container", *ids)
    if done.returncode and not any(text in done.stderr.lower() for text in ("no such", "not found")):
        raise engines.failed(engine, ("inspect",), done.stderr.splitlines())
    try:
        return msgspec.json.decode(done.stdout or "[]", type=list[dict[str, Any]])
    except msgspec.MsgspecError as error:
        raise External(f"{engine.name} tells of its containers in an unknown way: {error}") from None


def _state(engine: Engine, told: dict[str, Any]) -> State:
    now, config = told["State"], told["Config"]
    health = now.get("Health") or now.get("Healthcheck") or {}
    return State(
        container=Container(told["Id"], told["Name"].lstrip("/"), engine.name),
        deployment=(config.get("Labels") or {}).get(DEPLOYMENT, ""),
        image=told.get("ImageName") or config["Image"],
        status=now["Status"],
        running=now["Running"],
        pid=now["Pid"],
        exit_code=now["ExitCode"],
        restarts=told.get("RestartCount", 0),
        started_at=str(now["StartedAt"]),
        health=health.get("Status", ""),
    )
