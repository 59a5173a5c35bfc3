"""Deployments as their clients meet them: rows sent and answered, and requests that a person can copy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from mlops_tui.adapters.client import Answer, Client, connected
from mlops_tui.errors import Busy, External, InvalidInput, MlopsError, NotFound, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.release import deployments, keys
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment, Golden, Progress, Signature, from_json

ROWS = 1_000  # of one request
PATIENCE = 60.0  # seconds that one call waits altogether when it is told to come later
TOLD = 3  # problems of a refused request that a message names
JSON_LINES = (".jsonl", ".ndjson")
Endpoint = Literal["/predict", "/explain"]
Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Called:
    """What a deployment answered: one item a row, in their order; the models that did; columns that were left out.

    `warnings` are the service's, each with the number of its row in the file.
    """

    items: Rows = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    requests: int = 0
    left_out: tuple[str, ...] = ()
    warnings: Rows = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Snippets:
    """How to ask a deployment: a line for a shell, a Python script, the address of its OpenAPI document."""

    curl: str
    python: str
    openapi: str


def call(workspace: Workspace, name: str, source: Path | bytes, endpoint: Endpoint, key: str | None) -> Called:
    """Have a deployment answer the rows of a file, or of JSON bytes, in requests of 1,000 rows.

    Columns that the model does not know are left out. Raises InvalidInput for rows that it cannot read, Refused
    without a key that it knows, Busy where it has no time for them, External where nothing answers.
    """
    item = running(workspace, name)
    signature = lookup.signature(workspace, lookup.model_version(workspace, item.ref))
    sent, left_out = _known(signature, _rows(source, signature))
    found, waits = Called(left_out=left_out), _Patience()
    with connected(item.url, key) as client:
        for start in range(0, len(sent), ROWS):
            _send(item, client, (endpoint, waits), (start, sent[start : start + ROWS]), found)
            workspace.report(Progress("call", item.name, len(found.items), len(sent)))
    return found


def running(workspace: Workspace, name: str) -> Deployment:
    """Return a deployment that runs; raises External, with how to start it, for one that does not."""
    item = deployments.get(workspace, name)
    state = deployments.state(item)
    if state != "running":
        raise External(f"'{name}' is {state}", f"mlops deployments start {item.ref} --name {name}")
    return item


def snippets(workspace: Workspace, item: Deployment) -> Snippets:
    """Return how to ask a deployment, with a row that works."""
    from mlops_tui.core.snippets import Place, curl, python

    place = Place(item.url, keys.show(workspace, item.name).required)
    row = golden_rows(workspace, item)[0]
    return Snippets(curl(place, row), python(place, row), f"{item.url}/openapi.json")


def golden_rows(workspace: Workspace, item: Deployment) -> Rows:
    """Return the golden rows of what a deployment serves, as clients would send them."""
    version = lookup.model_version(workspace, item.ref)
    return list(from_json(workspace.objects.get(version.golden), Golden).rows)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────


def _rows(source: Path | bytes, signature: Signature) -> Rows:
    if isinstance(source, bytes):
        return _json_rows(source, "stdin")
    if source.suffix.lower() == ".json" or source.suffix.lower() in JSON_LINES:
        return _json_rows(_read(source), str(source), lines=source.suffix.lower() in JSON_LINES)
    from mlops_tui.adapters import sources
    from mlops_tui.core import requests
    from mlops_tui.records import Column

    schema = tuple(Column(one.name, one.dtype) for one in signature.inputs)
    return requests.to_json_rows(sources.read(source, schema))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no file {path}") from None
    except OSError as error:
        raise External(f"cannot read {path}: {error.strerror or error}") from None


def _json_rows(data: bytes, name: str, lines: bool = False) -> Rows:
    """Return the rows of JSON: a list of objects, {"rows": …} around one, one object, or one object a line."""
    try:
        found: Any = _lines(data) if lines else msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        what = "lines of JSON" if lines else "JSON"
        raise InvalidInput(f"{name}: is no {what}: {error}", 'send [{…}, …] or {"rows": [{…}, …]}') from None
    if isinstance(found, dict):
        found = found["rows"] if list(found) == ["rows"] else [found]
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        raise InvalidInput(f"{name}: holds no list of rows", 'rows are objects: [{…}, …] or {"rows": [{…}, …]}')
    return found


def _lines(data: bytes) -> list[Any]:
    return [msgspec.json.decode(line) for line in data.split(b"\n") if line.strip()]


def _known(signature: Signature, rows: Rows) -> tuple[Rows, tuple[str, ...]]:
    """Return rows of the model's columns only, and the names of the others, in their order."""
    known = {one.name for one in signature.inputs}.union(signature.extras)
    others = dict.fromkeys(name for row in rows for name in row if name not in known)
    if not others:
        return rows, ()
    return [{name: value for name, value in row.items() if name in known} for row in rows], tuple(others)


# ── requests and answers ─────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Patience:
    """How long a call may still wait because it was told to come later."""

    left: float = PATIENCE

    def wait(self, answer: Answer) -> bool:
        """Wait as the answer says, if there is time; returns whether that was so."""
        text = answer.headers.get("retry-after", "")
        seconds = float(text) if text.isdecimal() else 1.0
        if seconds > self.left:
            return False
        self.left -= seconds
        time.sleep(seconds)
        return True


def _send(
    item: Deployment, client: Client, how: tuple[Endpoint, _Patience], part: tuple[int, Rows], found: Called
) -> None:
    """Send some rows, the first of which has a number in the file; in halves if the service takes fewer."""
    (endpoint, waits), (start, rows) = how, part
    body = msgspec.json.encode({"rows": rows})
    answer = client.post(endpoint, body)
    # The first request is told at once that it is not welcome; a file that is half sent is worth a wait.
    while answer.status in (429, 503) and found.requests and waits.wait(answer):
        answer = client.post(endpoint, body)
    if answer.status == 413 and len(rows) > 1:
        half = len(rows) // 2
        _send(item, client, how, (start, rows[:half]), found)
        return _send(item, client, how, (start + half, rows[half:]), found)
    if answer.status != 200:
        raise refused(item, answer, start)
    _take(item, answer, found, start)


def _take(item: Deployment, answer: Answer, found: Called, start: int) -> None:
    try:
        said = msgspec.json.decode(answer.body, type=dict[str, Any])
        found.items += said.get("predictions") or said["explanations"]
        model = str(said["model"])
        found.warnings += [problem | {"row": problem["row"] + start} for problem in said.get("warnings", [])]
    except (msgspec.MsgspecError, LookupError, TypeError) as error:
        raise External(f"what answers at {item.url} is no service of ours: {type(error).__name__}") from None
    found.requests += 1
    if model not in found.models:
        found.models.append(model)


def refused(item: Deployment, answer: Answer, start: int = 0) -> MlopsError:
    """Return what a service said instead of an answer, as an error; `start` is added to the rows that it names."""
    error = _error(answer.body)
    message = str(error.get("message", "")) or f"status {answer.status}"
    if answer.status == 422:
        return InvalidInput(
            _problems(item, error, start, message), f"curl -s {item.url}/openapi.json tells the columns"
        )
    if answer.status in (401, 403):
        hint = f"set MLOPS_API_KEY, or name a file: --key-file; a new key: mlops deployments keys {item.name} --add"
        return Refused(f"'{item.name}' answers only with an API key that it knows", f"{hint} NAME")
    if answer.status in (429, 503):
        later = answer.headers.get("retry-after", "")
        return Busy(f"'{item.name}' has no time: {message}", f"try again in {later} s" if later else "try again later")
    if answer.status in (400, 408, 413):
        return InvalidInput(f"'{item.name}' did not take the rows: {message}")
    return External(
        f"'{item.name}' answered {answer.status}: {message}", f"mlops deployments logs {item.name}"
    )  # fmt: skip


def _error(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)["error"]
        return found if isinstance(found, dict) else {}
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}


def _problems(item: Deployment, error: Mapping[str, Any], start: int, message: str) -> str:
    """The first problems of a refused request, with the rows' numbers in the file, from 0."""
    problems: Sequence[Mapping[str, Any]] = error.get("problems") or ()
    told = list(_told(problems[:TOLD], start))
    if not told:
        return f"'{item.name}' cannot read the rows: {message}"
    more = f" (and {len(problems) - TOLD} more)" if len(problems) > TOLD else ""
    return f"'{item.name}' cannot read the rows, counted from 0: {'; '.join(told)}{more}"


def _told(problems: Sequence[Mapping[str, Any]], start: int) -> Iterator[str]:
    for one in problems:
        column = f", column '{one['column']}'" if one.get("column") else ""
        yield f"row {int(one['row']) + start}{column}: expected {one['expected']}, found {one['found']}"
