"""The face inside a Bento: loads one model version and answers requests about it over HTTP.

`make` gives BentoML its service; `handle` answers one request from bytes to bytes and knows no server, so that
it is tested alone. What a client sends can never cause a 500, and no answer tells a path of this machine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_tui import counters, golden
from mlops_tui.core import openapi, requests, scoring, sent_labels
from mlops_tui.errors import Refused
from mlops_tui.records import Calibration, Golden, Signature, Transform, from_json
from mlops_tui.spool import REASONS, Spool, from_environment

if TYPE_CHECKING:
    from anyio import CapacityLimiter

BODY_LIMIT = 8 * 2**20
ROW_LIMITS = {"/predict": 100_000, "/explain": 2_000, "/labels": 100_000}
LARGE_AT_ONCE = 2
INLINE_BYTES = 64 * 2**10  # larger bodies are answered in a thread, so that they don't hold up small ones
LABEL_SECONDS = 10.0  # how long labels may take to reach the disk
METHODS = {"/predict": "POST", "/explain": "POST", "/labels": "POST", "/metadata": "GET", "/openapi.json": "GET"}
METHODS |= {"/": "GET", "/metrics": "GET", "/healthz": "GET", "/livez": "GET", "/readyz": "GET"}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{model}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}}</style>
<h1>{model}</h1><p>{approved}. POST rows as JSON to <code>/predict</code> or <code>/explain</code>,
and to <code>/labels</code> what came true.</p>
<ul><li><a href="openapi.json">openapi.json</a>: what to send and what comes back<li><a href="metadata">metadata</a>:
where this model comes from<li><a href="metrics">metrics</a><li><a href="readyz">readyz</a></ul></html>"""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
log = logging.getLogger("mlops_tui.service")


@dataclass(frozen=True, slots=True)
class Served:
    """One model version, ready to answer: `about` is what /metadata says; `key` may name rows for labels."""

    scorer: scoring.Scorer
    signature: Signature
    about: dict[str, Any]
    openapi: bytes
    key: tuple[str, ...] = ()
    spool: Spool | None = None

    @property
    def model(self) -> str:
        """The model version's reference, as in "flight-delay:3"."""
        return str(self.about["model"])


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request; `outcome` and `rows` are for the counters."""

    status: int
    body: bytes
    outcome: str = "ok"
    rows: int = 0
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def load(folder: Path) -> Served:
    """Return the model version that a folder holds; raises Refused if it does not answer its golden rows alike."""

    def read(name: str) -> bytes:
        return (folder / name).read_bytes()

    signature, proof = from_json(read("signature.json"), Signature), from_json(read("golden.json"), Golden)
    fitted = from_json(read("calibration.json"), Calibration) if (folder / "calibration.json").exists() else None
    scorer = scoring.load(read("booster.txt").decode(), from_json(read("transform.json"), Transform), signature, fitted)
    about = msgspec.json.decode(read("model.json")) | {"signature": msgspec.to_builtins(signature)}
    name, _, version = about["model"].partition(":")
    key = sent_labels.usable_key(signature, about.get("key", ()))
    described = openapi.openapi(signature, name, version, list(proof.rows[:2]), key)
    served = Served(scorer, signature, about, msgspec.json.encode(described), key)
    check(served, proof)
    return served


def check(served: Served, proof: Golden) -> None:
    """Raise Refused if the model does not give its golden answers here, on this machine."""
    found = scoring.answers(served.scorer, requests.rows_to_frame(served.signature, list(proof.rows)))
    difference = golden.compare(proof.answers, msgspec.json.decode(msgspec.json.encode(found)))
    if difference.where:
        raise Refused(f"model {served.model} does not give its golden answers here: {difference.where}")


def handle(served: Served, path: str, body: bytes, request_id: str) -> Reply:
    """Answer one request whose path and method are known to be right."""
    match path:
        case "/predict" | "/explain" | "/labels":
            return _answer(served, path, body, request_id)
        case "/metadata":
            return Reply(200, msgspec.json.encode(served.about | {"pid": os.getpid()}))
        case "/openapi.json":
            return Reply(200, served.openapi)
        case "/metrics":
            kind, text = counters.exposition()
            return Reply(200, text, kind=kind)
        case "/":
            approved = "Approved" if served.about.get("approved") else "Not approved"
            safe = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
            page = PAGE.format(model=served.model, approved=approved)
            return Reply(200, page.encode(), kind="text/html; charset=utf-8", headers=safe)
        case _:
            return refusal(404, "not_found", f"nothing answers here; known: {', '.join(METHODS)}")


def refusal(status: int, kind: str, message: str, problems: list[dict[str, Any]] | None = None) -> Reply:
    """Return an error as clients get it: {"error": {"kind", "message", "problems"?}}."""
    error: dict[str, Any] = {"kind": kind, "message": message}
    if problems is not None:
        error["problems"] = problems
    return Reply(status, msgspec.json.encode({"error": error}), kind)


def _answer(served: Served, path: str, body: bytes, request_id: str) -> Reply:
    try:
        rows = _rows(body, "labels" if path == "/labels" else "rows")
        if len(rows) > ROW_LIMITS[path]:
            message = f"{len(rows)} rows, and {path} takes {ROW_LIMITS[path]} at most; send them in several requests"
            return refusal(413, "too_large", message)
        if path == "/labels":
            sent_labels.check(served.signature, served.key, rows)
            told = msgspec.json.encode({"accepted": len(rows), "request_id": request_id})
            return Reply(202, told, rows=len(rows))
        frame = requests.rows_to_frame(served.signature, rows)
    except requests.BadRows as error:
        return refusal(400, "invalid_input", error.message, [msgspec.to_builtins(p) for p in error.problems])
    except (ValueError, RecursionError) as error:
        return refusal(400, "invalid_input", str(error)[:300], [])
    if path == "/predict":
        answer: dict[str, Any] = {"predictions": scoring.answers(served.scorer, frame)}
    else:
        answer = {"explanations": scoring.explain(served.scorer, frame)}
    # msgspec writes NaN and infinities as null, so that an answer is always JSON.
    body = msgspec.json.encode(answer | {"model": served.model, "request_id": request_id})
    return Reply(200, body, rows=frame.height)


def _rows(body: bytes, name: str) -> list[Any]:
    """Return the rows of a body, or the labels; raises ValueError with what is wrong and what is allowed."""
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    shape = f'{{"{name}": [{{…}}, …]}}' + (" or the list alone" if name == "rows" else "")
    if isinstance(sent, dict):
        if list(sent) != [name]:
            keys = ", ".join(repr(key[:40]) for key in list(sent)[:5]) or "no key"
            raise ValueError(f"the body is {shape}; found an object with {keys}")
        sent = sent[name]
    elif name == "labels":
        raise ValueError(f"the body is {shape}; found {type(sent).__name__}")
    if not isinstance(sent, list):
        raise ValueError(f'"{name}" is a list of objects; found {type(sent).__name__}')
    if not sent:
        raise ValueError(f'"{name}" is empty: send at least one')
    return sent


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────


def make(folder: Path) -> Any:
    """Return the BentoML service that answers for the model version in a folder, loaded when it starts."""
    import bentoml

    started: list[Served] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _serve(started[0], scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    # BentoML's own metrics are labelled by the raw path, which any client can make grow without bound.
    @bentoml.service(name="model", workers=1, traffic={"timeout": 60}, metrics={"enabled": False})
    @bentoml.asgi_app(app, path="/")
    class Model:
        def __init__(self) -> None:
            started.append(replace(load(folder), spool=from_environment(os.environ)))

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        def finish(self) -> None:
            if started and started[0].spool is not None:
                started[0].spool.close()

    return Model


async def _serve(served: Served, scope: Scope, receive: Receive, send: Send) -> None:
    begun, path = time.perf_counter(), scope["path"]
    sent = dict(scope["headers"])
    wanted = sent.get(b"x-request-id", b"").decode("latin-1")
    request_id = wanted if sent_labels.REQUEST_ID.fullmatch(wanted) else uuid.uuid4().hex
    reply = await _reply(served, scope, receive, request_id)
    counters.count(path if path in METHODS else "other", reply.outcome, reply.rows, time.perf_counter() - begun)
    headers = {"Content-Type": reply.kind, "Content-Length": str(len(reply.body)), "X-Request-Id": request_id}
    headers["X-Model"] = served.model
    headers["X-Model-Approved"] = "true" if served.about.get("approved") else "false"
    headers |= {"X-Content-Type-Options": "nosniff"} | reply.headers
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})


async def _reply(served: Served, scope: Scope, receive: Receive, request_id: str) -> Reply:
    path, method = scope["path"], "GET" if scope["method"] == "HEAD" else scope["method"]
    allowed = METHODS.get(path)
    if allowed and method != allowed:
        return replace(refusal(405, "method_not_allowed", f"{path} takes {allowed}"), headers={"Allow": allowed})
    body = await _body(scope, receive) if method == "POST" else b""
    if body is None:  # BentoML's timeout waits for an answer even where nobody does
        return refusal(400, "disconnected", "the client went away")
    if len(body) > BODY_LIMIT:
        message = f"the body is larger than {BODY_LIMIT // 2**20} MiB; send the rows in several requests"
        return replace(refusal(413, "too_large", message), headers={"Connection": "close"})
    try:
        if len(body) <= INLINE_BYTES and path != "/explain":  # contributions cost a hundred times a prediction
            reply = handle(served, path, body, request_id)
        else:
            from anyio.to_thread import run_sync

            reply = await run_sync(handle, served, path, body, request_id, limiter=large())
        if path == "/predict" and reply.status == 200 and served.spool is not None:
            served.spool.predicted(request_id, body, reply.body)
        return await _keep_labels(served, body, request_id, reply) if reply.status == 202 else reply
    except Exception:
        log.exception("request %s failed", request_id)
        return refusal(500, "bug", f"this is a fault of the service; its log has request {request_id}")


async def _keep_labels(served: Served, body: bytes, request_id: str, reply: Reply) -> Reply:
    """Return the reply once the labels are on disk, else why they are not: nobody else would ever send them again."""
    if served.spool is None:
        return refusal(503, "unavailable", "labels are not kept here: the service was started without MLOPS_SPOOL")
    try:
        kept = asyncio.wrap_future(served.spool.labelled(request_id, body))
        why = await asyncio.wait_for(kept, LABEL_SECONDS)
    except TimeoutError:
        why = "queue"
    message = f"the labels were not kept, send them again later: {REASONS[why]}" if why else ""
    return refusal(503, "unavailable", message) if why else reply


@cache
def large() -> CapacityLimiter:
    """Return what lets only a few large requests work at once; the others wait, and small ones pass them by."""
    from anyio import CapacityLimiter

    return CapacityLimiter(LARGE_AT_ONCE)


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body, cut just past the limit so that it shows, or None if the client went away."""
    length = dict(scope["headers"]).get(b"content-length", b"")
    if length.isdigit() and int(length) > BODY_LIMIT:
        return bytes(BODY_LIMIT + 1)
    parts, size, more = [], 0, True
    while more and size <= BODY_LIMIT:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
    return b"".join(parts)
