"""The proof that a Bento answers over HTTP as its model does in-process."""

from __future__ import annotations

import http.client
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mlops_tui import golden
from mlops_tui.adapters import bento, ports, processes
from mlops_tui.errors import External, InvalidInput, Refused
from mlops_tui.records import Golden, Parity

SINGLE_REQUESTS = 200
WARM_UP = 20


def prove(home: Path, tag: str, proof: Golden, workdir: Path) -> Parity:
    """Serve a Bento on a free loopback port and compare its answers to golden rows, all at once and one by one.

    Numbers may differ by golden.TOLERANCE at most. Raises Refused naming row and field that are not equal, and
    External with the server's last words if it does not start or answer. `workdir` keeps its log.
    """
    if not proof.rows:
        raise InvalidInput(f"there are no golden rows to prove Bento {tag} with")
    built = bento.find(home, tag)
    server = processes.Server(built.folder, workdir / "home", workdir / "proof.log", port=ports.free_port())
    process = processes.start(server)
    try:
        ready = processes.wait_ready(server, process, built.model)
        batch = _post(server, [list(proof.rows)])[0][1]
        count = max(SINGLE_REQUESTS + WARM_UP, len(proof.rows))
        singles = _post(server, [[proof.rows[i % len(proof.rows)]] for i in range(count)])
    finally:
        processes.stop(process.pid, process.born)
    one_by_one = [answers[0] for _, answers in singles[: len(proof.rows)]]
    largest = max(_equal(tag, proof, batch, "at once"), _equal(tag, proof, one_by_one, "one by one"))
    times = sorted(seconds * 1000 for seconds, _ in singles[WARM_UP:])
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    return Parity(len(proof.rows), largest, ready, p50, p99, datetime.now(UTC))


def _equal(tag: str, proof: Golden, answers: list[dict[str, Any]], how: str) -> float:
    difference = golden.compare(proof.answers, answers)
    if difference.where:
        raise Refused(f"Bento {tag} does not answer as its model does ({how}): {difference.where}")
    return difference.largest


def _post(server: processes.Server, batches: list[list[dict[str, Any]]]) -> list[tuple[float, list[dict[str, Any]]]]:
    """Return seconds and predictions of each batch of rows, sent one after the other on one connection."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    found = []
    try:
        for rows in batches:
            body = msgspec.json.encode({"rows": rows})
            begun = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            seconds = time.perf_counter() - begun
            if answer.status != 200:
                raise External(
                    f"the server answered {answer.status} to golden rows: {said[:300].decode(errors='replace')}"
                )
            found.append((seconds, msgspec.json.decode(said)["predictions"]))
    except (OSError, http.client.HTTPException) as error:
        raise External(f"the server did not answer: {error!r}; {processes.tail(server.log)}") from None
    finally:
        connection.close()
    return found
