"""Local server processes: started apart from us, told from strangers by birth, stopped with grace.

A server is a keeper, which holds a socket that we bound, and BentoML's own worker process below it. The socket has
SO_REUSEPORT, and listens only once the model is loaded: so a new version can be started on the port of the old one
(`beside=True`), and no request is lost between them. Which models the worker serves stands in a file of its runtime
folder, `control.json`; it answers to that in `serves.json`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from mlops_tui.adapters.files import unfinished
from mlops_tui.errors import Busy, External
from mlops_tui.records import Control, Serves, from_json, to_json

if TYPE_CHECKING:
    import subprocess
    from http.client import HTTPConnection

T = TypeVar("T")
DRAIN_SECONDS = 10
CONTROL, SERVES = "control.json", "serves.json"
KEPT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
BIRTH_TOLERANCE = 2.0  # seconds; the kernel's boot time, from which births are counted, moves with the clock
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Server:
    """What to serve and where: a Bento's folder, a folder of the server's own, a log to append to.

    `spool` is where it keeps what it answered, or None; `spool_mb` its bound in megabytes, if not the default; `keys`
    the file of API keys, which need not be there; `tls` the files of its certificate and private key.
    """

    bento: Path
    runtime: Path
    log: Path
    host: str = "127.0.0.1"
    port: int = 3000
    spool: Path | None = None
    spool_mb: int | None = None
    keys: Path | None = None
    tls: tuple[Path, Path] | None = None
    control: Control | None = None

    @property
    def url(self) -> str:
        """The address that answers, for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"{'https' if self.tls else 'http'}://{bracketed}:{self.port}"


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from a later one of the same pid by when it was born (epoch seconds)."""

    pid: int
    born: float
    home: Path | None = None  # its own folder, where it was found by it


def start(server: Server, beside: bool = False) -> Process:
    """Start a server and return at once; `beside` lets it share the port with one of ours that it will replace.

    Raises External if the port is somebody else's or the log cannot be written.
    """
    import psutil  # type: ignore[import-untyped]

    from mlops_tui.adapters import ports

    if not beside:
        ports.check(server.host, server.port)
    command = [sys.executable, "-m", "_bentoml_impl.worker.service", str(server.bento.resolve())]
    command += ["--worker-id", "1", "--timeout-graceful-shutdown", str(DRAIN_SECONDS)]
    if server.tls is not None:
        command += ["--ssl-certfile", str(server.tls[0].resolve()), "--ssl-keyfile", str(server.tls[1].resolve())]
    try:
        with ports.bound(server.host, server.port, beside) as listener:
            server.runtime.mkdir(parents=True, exist_ok=True)
            server.log.parent.mkdir(parents=True, exist_ok=True)
            if server.spool is not None:
                server.spool.mkdir(parents=True, exist_ok=True)
            if server.control is not None:
                tell(server.runtime, server.control)
            child = _spawn(server, [*command, "--fd", str(listener.fileno())], listener.fileno())
    except OSError as error:
        raise External(f"the server of {server.bento.name} did not start: {error}") from None
    _children[child.pid] = child
    with contextlib.suppress(psutil.NoSuchProcess):
        return Process(child.pid, psutil.Process(child.pid).create_time())
    raise External(f"the server died at once; {tail(server.log)}")


def _spawn(server: Server, command: list[str], listener: int) -> subprocess.Popen[bytes]:
    import subprocess

    variables = environment(server.runtime) | {"MLOPS_CONTROL": str(server.runtime.resolve() / CONTROL)}
    if server.keys is not None:
        variables["MLOPS_KEYS"] = str(server.keys.resolve())
    if server.spool is not None:
        variables["MLOPS_SPOOL"] = str(server.spool.resolve())
    if server.spool_mb is not None:
        variables["MLOPS_SPOOL_MB"] = str(server.spool_mb)
    with server.log.open("ab") as log:
        keeper = [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py")), str(listener)]
        return subprocess.Popen(
            [*keeper, str(server.runtime.resolve()), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=server.bento,
            env=variables,
            pass_fds=[listener],
            start_new_session=True,
        )


def tell(runtime: Path, control: Control) -> None:
    """Write down what a server is to serve, whole or not at all; its worker looks at it twenty times a second."""
    part = unfinished(runtime / CONTROL)
    part.write_bytes(to_json(control))
    part.replace(runtime / CONTROL)


def told(runtime: Path) -> Control | None:
    """Return what a server was told to serve last, or None."""
    return _read(runtime / CONTROL, Control)


def serves(runtime: Path) -> Serves | None:
    """Return what a server says that it serves, or None before it is ready."""
    return _read(runtime / SERVES, Serves)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return from_json(path.read_bytes(), kind)
    except (OSError, msgspec.MsgspecError):
        return None


def environment(home: Path) -> dict[str, str]:
    """Return the variables that a BentoML child gets: what it needs to run, and none of the caller's secrets."""
    kept = {key: value for key, value in os.environ.items() if key in KEPT or key.startswith(("LC_", "PYTHON"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # a cold start without compiled code takes three times the CPU
    return kept | {"BENTOML_HOME": str(home.resolve()), "BENTOML_DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1"}


def alive(pid: int, born: float) -> bool:
    """Return whether the process that was born then still runs; a stranger with its pid does not count."""
    if pid in _children:
        _children[pid].poll()  # a child of ours that ended stays a zombie until somebody asks
    with contextlib.suppress(PermissionError):  # it lives, and is another user's
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False  # seen without psutil, which costs a listing 10 ms
    import psutil

    try:
        process = psutil.Process(pid)
        ours = abs(process.create_time() - born) < BIRTH_TOLERANCE
        return bool(ours and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def serving_from(folder: Path, prefix: str) -> list[Process]:
    """Return our servers whose own folder lies in `folder` and is named with the prefix: their BENTOML_HOME tells."""
    import psutil

    start, found = f"{folder.resolve()}{os.sep}{prefix}", []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            home = process.environ().get("BENTOML_HOME", "")
            if not home.startswith(start) or process.status() == psutil.STATUS_ZOMBIE:
                continue
            leader = os.getpgid(process.pid)  # the keeper, whose worker ends with it
            if leader == process.pid or not psutil.pid_exists(leader):
                found.append(Process(process.pid, process.create_time(), Path(home)))
    return found


def stop(pid: int, born: float, grace: float = DRAIN_SECONDS + 2) -> bool:
    """Stop our process and its children, kindly, then after `grace` seconds by force; returns whether it ran."""
    if not alive(pid, born):
        return False
    _signal(pid, signal.SIGTERM)
    if not _gone(pid, born, grace):
        _signal(pid, signal.SIGKILL)
        if not _gone(pid, born, 10):
            raise External(f"process {pid} does not end, not even by force")
    _children.pop(pid, None)
    return True


def wait_ready(server: Server, process: Process, model: str, deadline: float = 60) -> float:
    """Return the seconds until this very process answers for `model`, as in "flight-delay:3".

    Raises External as soon as the process dies, with the last lines of its log, and Busy after the deadline.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < deadline:
        if not alive(process.pid, process.born):
            raise External(f"the server of {model} died while starting; {tail(server.log)}")
        about = ask(server.url, "/metadata")
        said = serves(server.runtime)
        # Beside an old server, either may answer: only the new one has this pid.
        if about is not None and said is not None and about.get("pid") == said.pid:
            if about.get("model") != model:
                raise External(f"the server on port {server.port} answers for {about.get('model')}, not for {model}")
            return time.monotonic() - begun
        time.sleep(0.03)
    raise Busy(f"the server of {model} was not ready after {deadline:g} s; {tail(server.log)}")


def ask(url: str, path: str, timeout: float = 2) -> dict[str, Any] | None:
    """Return what a GET of the server answers, {} if that is no JSON object, or None if it is not a 200."""
    import http.client

    connection = connected(url, timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            return None
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(body, type=dict[str, Any])
        return {}
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def connected(url: str, timeout: float) -> HTTPConnection:
    """Return a connection to a server of this machine, by HTTP or HTTPS, which is made when it is used."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    # Not urllib.request: it would ask the proxies of the environment about this machine's own ports.
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # its certificate names the host that clients know, not loopback
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout, context=context)


def tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log, as the end of a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return f"there is no log {log}"
    last = "\n  ".join(text.strip().splitlines()[-lines:])
    return f"the last lines of {log}:\n  {last}" if last else f"its log {log} is empty"


def _signal(pid: int, number: int) -> None:
    """Signal a process of ours with all of its group; one that leads no group of its own is signalled alone."""
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _gone(pid: int, born: float, seconds: float) -> bool:
    """Wait until a process has ended, at most so many seconds; returns whether it has."""
    end = time.monotonic() + seconds
    while alive(pid, born):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
