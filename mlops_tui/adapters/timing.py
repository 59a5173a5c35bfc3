"""How fast a Bento answers that is made for nothing else: built, served on a free port, driven, stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlops_tui.adapters import bento, ports, processes
from mlops_tui.adapters.load import Load, Measured, Target, build, drive
from mlops_tui.errors import External, InvalidInput

WARM_UP = 50  # requests before the first that counts


def p99(contents: bento.Contents, bodies: Sequence[bytes], workdir: Path, seconds: float) -> float:
    """Return the seconds within which 99 % of the requests to /predict are answered that one connection sends in turn.

    `workdir` keeps the Bento and the server's log, and is the caller's to remove. Raises External with the server's
    last words if it does not start, or if one request is not answered by a 200.
    """
    if not bodies:
        raise InvalidInput(f"there are no rows to measure {contents.model} with")
    name, _, version = contents.model.partition(":")
    built = bento.build(workdir / "store", contents, bento.tag_name(name), f"v{version}-gate")
    server = processes.Server(built.folder, workdir / "home", workdir / "gate.log", port=ports.free_port())
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, contents.model)
        target, requests = Target(server.host, server.port), [build("/predict", body, {}) for body in bodies]
        for load in (Load(1, seconds, WARM_UP), Load(1, seconds)):
            found = drive(target, requests, load)
            _check(server, contents.model, found)
    finally:
        processes.stop(process.pid, process.born)
    return found.quantile(0.99)


def _check(server: processes.Server, model: str, found: Measured) -> None:
    bad = found.failures | {str(status): count for status, count in found.statuses.items() if status != 200}
    if bad or not found.latencies:
        told = ", ".join(f"{count} {why}" for why, count in bad.items()) or "nothing came back"
        raise External(f"the server of {model} did not answer every request: {told}; {processes.tail(server.log)}")
