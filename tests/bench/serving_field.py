"""Who takes part in bench_serving.py: how each is started, asked and stopped. All are there during the whole run."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from mlops_tui.adapters import processes
from mlops_tui.adapters.ports import free_port
from tests.bench import serving_model

HERE, ROOT = Path(__file__).parent / "contestants", Path(__file__).parents[2]
MLFLOW = ROOT / ".venv-mlflow" / "bin" / "python"
KEY = "bench-key"
UVICORN = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header", "--lifespan", "off"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that runs: its process (with those below it), where to send to, and how a body names its rows."""

    name: str
    pid: int
    port: int
    path: str = "/predict"
    rows: str = "rows"
    headers: tuple[tuple[str, str], ...] = ()

    def requests(self, count: int, of: int) -> list[bytes]:
        """Return so many whole HTTP requests of so many rows each."""
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        bodies = serving_model.bodies(count, of, self.rows)
        return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]

    def tree(self) -> list[psutil.Process]:
        """Return its process and all below it."""
        own = psutil.Process(self.pid)
        return [own, *own.children(recursive=True)]

    def cpu(self) -> float:
        """Return the seconds of CPU that all of its processes have taken."""
        return sum(sum(one.cpu_times()[:2]) for one in self.tree())

    def may_use(self, cores: list[int]) -> None:
        """Let all of its threads run on these cores only, and those that they will start."""
        for thread in (thread for one in self.tree() for thread in one.threads()):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, cores)

    def worker(self) -> psutil.Process:
        """Return the process that answers: the largest."""
        return max(self.tree(), key=lambda one: one.memory_info().rss)

    def answer(self) -> tuple[int, bytes]:
        """Send one request; returns its status, 0 where nobody listens, and the body."""
        head, body = self.requests(1, 1)[0].split(b"\r\n\r\n", 1)
        lines = [line.split(": ", 1) for line in head.decode().splitlines()[1:]]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("POST", self.path, body, dict(line for line in lines if len(line) == 2))
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                return 0, b""

    def ready(self, seconds: float = 120) -> float:
        """Return the seconds until it answers; raises TimeoutError, or ChildProcessError if it ended."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if self.answer()[0] == 200:
                return time.monotonic() - begun
            if psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE:
                raise ChildProcessError(f"{self.name} ended while starting")
            time.sleep(0.02)
        raise TimeoutError(f"{self.name} was not ready after {seconds:g} s")

    def stop(self) -> None:
        """End it and wait; by force if it does not."""
        below = self.tree()
        os.killpg(self.pid, signal.SIGTERM)
        _, left = psutil.wait_procs(below, timeout=15)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=5)


def ours(folder: Path, bento: Path) -> Contestant:
    """Start the Bento as `deployments start` does, with the spool, keys, metrics, limits and checks on."""
    keys, port = folder / "keys.json", free_port()
    entry = {"name": "bench", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    keys.write_text(json.dumps({"keys": [entry], "required": True}))
    place = (folder / f"runtime-{port}", folder / "ours.log", "127.0.0.1", port, folder / "spool", 10_000, keys)
    started = processes.start(processes.Server(bento, *place))
    return Contestant("ours", started.pid, port, headers=(("Authorization", f"Bearer {KEY}"),))


def bare(folder: Path, app: str = "bare") -> Contestant:
    """Start a bare ASGI application under uvicorn: the same loop and parser as BentoML's worker has here."""
    port = free_port()
    command = ["-m", "uvicorn", f"{app}:app", "--app-dir", str(HERE), "--port", str(port), *UVICORN]
    return Contestant(app, _spawn(folder, app, [sys.executable, *command]), port)


def plain_bento(folder: Path, supervised: bool = True) -> Contestant:
    """Start an ordinary service with `bentoml serve`; not supervised, its worker alone, on a socket of ours."""
    import socket

    port, variables = free_port(), {"BENTOML_HOME": str(folder / "plain-home"), "BENTOML_DO_NOT_TRACK": "true"}
    service, path = "plain_bento:Plain", ("--working-dir", str(HERE))
    if supervised:
        command = ["-m", "bentoml", "serve", service, *path, "--host", "127.0.0.1", "--port", str(port)]
        return Contestant("BentoML", _spawn(folder, "bentoml", [sys.executable, *command], variables), port)
    with socket.create_server(("127.0.0.1", port)) as listener:
        command = ["-m", "_bentoml_impl.worker.service", service, "--fd", str(listener.fileno()), "--worker-id", "1"]
        variables["PYTHONPATH"] = str(HERE)
        pid = _spawn(folder, "worker", [sys.executable, *command], variables, (listener.fileno(),))
    return Contestant("BentoML's worker", pid, port)


def mlflow(folder: Path, how: str = "signature") -> Contestant | None:
    """Start `mlflow models serve` of the same booster where `make bench` has installed MLflow, else None.

    `how` is "signature", by which MLflow checks requests as we do ours, or "plain": it checks nothing, and is faster.
    """
    if not MLFLOW.exists():
        return None
    saved, port, name = folder / f"mlflow-{how}", free_port(), "MLflow" if how == "signature" else f"MLflow {how}"
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{MLFLOW.parent}:{os.environ['PATH']}"}
    if not saved.exists():
        command = [str(MLFLOW), str(HERE / "save_mlflow.py"), _booster(folder), str(saved), how]
        subprocess.run(command, env=_environment(folder, variables), cwd=folder, check=True, capture_output=True)
    command = ["-m", "mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local", "--host", "127.0.0.1"]
    started = _spawn(folder, saved.name, [str(MLFLOW), *command, "--port", str(port), "--workers", "1"], variables)
    return Contestant(name, started, port, "/invocations", "dataframe_records")


def _booster(folder: Path) -> str:
    (folder / "booster.txt").write_text(serving_model.booster(), encoding="utf-8")
    return str(folder / "booster.txt")


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return kept | {"OMP_NUM_THREADS": "1", "BENCH_MODEL": _booster(folder)} | more


def _spawn(
    folder: Path, name: str, command: list[str], more: dict[str, str] | None = None, kept: tuple[int, ...] = ()
) -> int:
    variables = _environment(folder, more or {})
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            command, env=variables, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=kept,
            start_new_session=True,
        ).pid  # fmt: skip
