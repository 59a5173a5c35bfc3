"""The application as a server calls it (ASGI): who may ask, how much, how long; bodies, headers, counters."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from mlops_tui import counters
from mlops_tui.core import bodies, sent_labels
from mlops_tui.records import Limits
from mlops_tui.service.answer import Asked, Reply, answer, refusal
from mlops_tui.service.guard import Keys, Pace
from mlops_tui.service.model import Served, headers_of
from mlops_tui.service.one_row import INLINE_BYTES, Answer, OneRow
from mlops_tui.service.pages import page
from mlops_tui.service.roles import Cast
from mlops_tui.service.shadow import Shadow
from mlops_tui.service.waiting import LATE, Clock, Headers, Message, Receive, rest_of_body
from mlops_tui.spool import REASONS, Spool

LARGE_AT_ONCE = 2
INLINE_ROWS = 500
JSON = b"application/json"
LABEL_SECONDS = 10.0  # how long labels may take to reach the disk
POSTS = ("/predict", "/explain", "/labels")
METHODS = dict.fromkeys(POSTS, "POST") | {"/metadata": "GET", "/openapi.json": "GET", "/": "GET", "/metrics": "GET"}
METHODS |= {"/healthz": "GET", "/livez": "GET", "/readyz": "GET"}
Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
log = logging.getLogger("mlops_tui.service")


class App:
    """Answers requests with the models of a `cast`; what it answered goes to the spool, if there is one.

    It is there before its models are: what is no request, a server's lifespan, goes to `inner`.
    """

    def __init__(self, inner: Asgi | None = None) -> None:
        self.inner = inner
        self.in_flight = 0
        self._pace: Pace | None = None
        self._started, self._number = os.urandom(10).hex(), 10**11  # of as many digits for years
        self._clock = Clock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, cast: Cast, spool: Spool | None = None, keys: Keys | None = None) -> App:
        """Begin to answer, with these models."""
        self.cast, self.spool, self.keys = cast, spool, keys or Keys(None)
        self.shadow, self._large = Shadow(spool), asyncio.Semaphore(LARGE_AT_ONCE)
        self._loop = asyncio.get_running_loop()  # who does not name it pays for a system call each time
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; the usual one, of one row, by a shorter way to the same answer."""
        if scope["type"] != "http":
            return await self._other(scope, receive, send)
        begun, path = time.perf_counter(), scope["path"]
        headers: Headers = dict(scope["headers"])
        wanted = headers.get(b"x-request-id")
        request_id = _request_id(wanted) if wanted else self._new_id()
        served, role = self.cast.now.live, ""  # the role of who answers: nobody has, yet
        one = told = None
        self.in_flight += 1
        try:
            limits = served.serving.limits
            reply = self._refused(path, scope, headers, limits)
            if reply is None and path in POSTS:
                task = asyncio.current_task(self._loop)
                self._clock.begin(task, begun + limits.seconds)
                try:
                    message = await receive()
                except asyncio.CancelledError:
                    self._clock.raise_unless_late(task)
                    message = LATE
                finally:
                    self._clock.end(task)
                if path == "/predict" and (one := self.cast.now.usual) is not None:
                    told = self._told(one, headers, message, request_id)
                if told is None:
                    served, role, reply = await self._post(scope, headers, receive, message, request_id, begun)
            elif reply is None:
                reply = page(self.cast.now, path, self.in_flight - 1)
        except (Exception, bodies.PANIC):
            log.exception("request %s failed", request_id)
            reply = refusal(500, "bug", f"this is a fault of the service; its log has request {request_id}")
        finally:
            self.in_flight -= 1
        if told is not None and one is not None:
            text, value, odd = told
            head = [*one.head, (b"content-length", b"%d" % len(text)), (b"x-request-id", request_id.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": text})
            if odd is not None:
                counters.odd(odd)
            counters.one_row(one.model, one.bins, time.perf_counter() - begun, value)
        elif reply is not None:
            body, head = reply.body if scope["method"] != "HEAD" else b"", self._head(served, reply, request_id)
            await send({"type": "http.response.start", "status": reply.status, "headers": head})
            await send({"type": "http.response.body", "body": body})
            self._counted(path, served, role, reply, time.perf_counter() - begun)

    def _told(self, one: OneRow, headers: Headers, message: Message, request_id: str) -> Answer | None:
        """Answer the usual request and keep it, or return None for any other."""
        body = message.get("body")
        if not body or message.get("more_body") or len(body) > one.most:
            return None
        is_plain = headers.get(b"content-type") == JSON and b"accept" not in headers
        if not is_plain and _forms(headers) != ("json", "json"):
            return None
        told = one.answer(body, request_id.encode())
        if told is not None and self.spool is not None:
            self.spool.predicted(request_id, body, told[0])
        return told

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.inner is not None and scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    def _counted(self, path: str, served: Served, role: str, reply: Reply, seconds: float) -> None:
        counters.count(path if path in METHODS else "other", reply.outcome, reply.rows, seconds)
        if path != "/predict":
            return
        if reply.values:
            counters.predicted(served.model, role, reply.values, served.bins)
        if reply.odd:
            counters.odd(reply.odd)
        if role and self.cast.now.tallies is not None:
            self.cast.judge(role, reply, seconds)

    # ── before a request is read ─────────────────────────────────────────────────────────────────

    def _refused(self, path: str, scope: Scope, headers: Headers, limits: Limits) -> Reply | None:
        """Return why a request is not even read, or None."""
        method, allowed = scope["method"], METHODS.get(path)
        if allowed is None:
            return refusal(404, "not_found", f"nothing answers here; known: {', '.join(METHODS)}")
        if method != allowed and not (method == "HEAD" and allowed == "GET"):
            return with_headers(refusal(405, "method_not_allowed", f"{path} takes {allowed}"), {"Allow": allowed})
        if allowed == "GET":
            return None
        name = None
        if self.keys.required and (name := self.keys.name_of(headers)) is None:
            text = "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"
            return with_headers(refusal(401, "unauthorized", text), {"WWW-Authenticate": "Bearer"})
        if self.in_flight > limits.at_once:
            return _later(503, "overloaded", f"{limits.at_once} requests are being answered; try again", 1)
        if limits.per_second is not None:
            return self._paced(limits.per_second, name or (scope.get("client") or ("",))[0])
        return None

    def _paced(self, per_second: float, client: str) -> Reply | None:
        if self._pace is None or self._pace.rate != per_second:
            self._pace = Pace(per_second)
        seconds = self._pace.wait(client, time.monotonic())
        if not seconds:
            return None
        return _later(429, "too_many", f"{per_second:g} requests a second are allowed", math.ceil(seconds))

    # ── requests with a body ─────────────────────────────────────────────────────────────────────

    async def _post(
        self, scope: Scope, headers: Headers, receive: Receive, first: Message, request_id: str, begun: float
    ) -> tuple[Served, str, Reply]:
        """Return who answered, in which role, and the answer; `first` is the first part of the body."""
        live, limits = self.cast.now.live, self.cast.now.live.serving.limits
        most, body = int(limits.body_mb * 2**20), first.get("body", b"")
        if first.get("more_body", False) or first["type"] != "http.request":
            first, body = await self._rest(headers, receive, most, first, begun + limits.seconds)
        if first is LATE:
            text = f"the body did not come within {limits.seconds:g} s"
            return live, "", with_headers(refusal(408, "timeout", text), {"Connection": "close"})
        if body is None:
            return live, "", refusal(400, "disconnected", "the client went away")
        if len(body) > most:
            text = f"the body is larger than {limits.body_mb:g} MiB; send the rows in several requests"
            return live, "", with_headers(refusal(413, "too_large", text), {"Connection": "close"})
        path = scope["path"]
        sent, wanted = _forms(headers)
        served, role = self._chosen(path, headers, body, request_id)
        if path == "/predict" and sent == wanted == "json" and len(body) <= INLINE_BYTES:
            one = self.cast.now.one(served)
            told = one.answer(body, request_id.encode()) if one is not None else None
            if told is not None:
                made, value, odd = told
                reply = Reply(200, made, rows=1, odd=odd, values=(value,))
                self._kept(served, Asked(path, body, request_id), reply)
                return served, role, reply
        asked = Asked(path, body, request_id, sent, wanted if path == "/predict" else "json")
        reply = await self._answer(served, asked, limits.seconds - (time.perf_counter() - begun))
        if path == "/predict":
            self._kept(served, asked, reply)
        elif reply.status == 202:
            reply = await self._keep_labels(asked, reply)
        return served, role, reply

    async def _rest(
        self, headers: Headers, receive: Receive, most: int, first: Message, until: float
    ) -> tuple[Message, bytes | None]:
        """Return the body whose first part came, beside that part; beside LATE where the rest did not come in time."""
        if first is LATE:
            return LATE, None
        task = asyncio.current_task(self._loop)
        self._clock.begin(task, until)
        try:
            return first, await rest_of_body(headers, receive, most, first)
        except asyncio.CancelledError:
            self._clock.raise_unless_late(task)
            return LATE, None
        finally:
            self._clock.end(task)

    def _new_id(self) -> str:
        """A request's id: where this process began, and a number."""
        self._number += 1
        return self._started + str(self._number)

    def _chosen(self, path: str, headers: Headers, body: bytes, request_id: str) -> tuple[Served, str]:
        """Return who answers: the same for the same key of a request, where a canary takes its share."""
        now = self.cast.now
        if not now.is_split or path == "/labels":
            return now.live, "live"
        routed = headers.get(b"x-routing-key")
        if routed is not None:
            key = routed.decode("latin-1")
            return self.cast.choose(lambda served: key)
        if len(body) > INLINE_BYTES:
            return self.cast.choose(lambda served: request_id)
        return self.cast.choose(lambda served: _key_of(served, body) or request_id)

    async def _answer(self, served: Served, asked: Asked, seconds: float) -> Reply:
        """Answer at once what is small; in a thread, a few at a time, what is not."""
        small = len(asked.body) <= INLINE_BYTES and asked.sent == "json" and asked.body.count(b"{") <= INLINE_ROWS
        if small and asked.path != "/explain":  # contributions cost a hundred times a prediction
            return answer(served, asked)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._large.acquire()
        except TimeoutError:
            return _later(503, "overloaded", "larger requests are being answered; try again", 1)
        work = asyncio.get_running_loop().run_in_executor(None, answer, served, asked)
        work.add_done_callback(lambda _: self._large.release())
        try:
            return await asyncio.wait_for(asyncio.shield(work), max(0.001, seconds))
        except TimeoutError:
            return _later(503, "timeout", "the answer took too long; send fewer rows in a request", 1)

    def _kept(self, served: Served, asked: Asked, reply: Reply) -> None:
        """Hand a request to the spool, and to the challenger in the shadow."""
        if reply.status != 200:
            return
        if self.spool is not None:
            self.spool.predicted(asked.request_id, reply.kept or asked.body, reply.told or reply.body)
        now = self.cast.now
        if now.rival is not None and now.challenger is not None and now.challenger.mode == "shadow":
            self.shadow.put(now.rival, asked)

    async def _keep_labels(self, asked: Asked, reply: Reply) -> Reply:
        """Return the reply once the labels are on disk, else why not: nobody else would ever send them again."""
        if self.spool is None:
            return refusal(503, "unavailable", "labels are not kept here: the service was started without MLOPS_SPOOL")
        try:
            kept = asyncio.wrap_future(self.spool.labelled(asked.request_id, asked.body))
            why = await asyncio.wait_for(kept, LABEL_SECONDS)
        except TimeoutError:
            why = "queue"
        message = f"the labels were not kept, send them again later: {REASONS[why]}" if why else ""
        return _later(503, "unavailable", message, 5) if why else reply

    # ── requests without a body, and answers ─────────────────────────────────────────────────────

    def _head(self, served: Served, reply: Reply, request_id: str) -> list[tuple[bytes, bytes]]:
        """The headers of an answer."""
        head = [
            *headers_of(served, reply.kind),
            (b"content-length", str(len(reply.body)).encode()),
            (b"x-request-id", request_id.encode()),
        ]
        if reply.headers:
            head += [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        if self.cast.now.leaving:
            head.append((b"connection", b"close"))
        return head


def _request_id(sent: bytes) -> str:
    """The id that a client gave, if it is a sane one, else a new one."""
    text = sent.decode("latin-1")
    return text if sent_labels.REQUEST_ID.fullmatch(text) else os.urandom(16).hex()  # as long as ours


def _forms(headers: Headers) -> tuple[bodies.Kind, bodies.Kind]:
    """What a body is said to be, and what its answer is to be."""
    return _kind(headers.get(b"content-type", b"")), _kind(headers.get(b"accept", b""))


@lru_cache(maxsize=256)
def _kind(media: bytes) -> bodies.Kind:
    """What a Content-Type says, or the first type of an Accept."""
    return bodies.kind_of(media.decode("latin-1").partition(",")[0])


def with_headers(reply: Reply, headers: Mapping[str, str]) -> Reply:
    """Return a reply with headers of its own."""
    return msgspec.structs.replace(reply, headers=headers)


def _later(status: int, kind: str, message: str, seconds: int) -> Reply:
    return with_headers(refusal(status, kind, message), {"Retry-After": str(seconds)})


def _key_of(served: Served, body: bytes) -> str:
    """The key of a request's first row as text, by which the same customer meets the same model; "" without one."""
    if not served.key:
        return ""
    try:
        sent: Any = msgspec.json.decode(body)
        row = (sent["rows"] if isinstance(sent, dict) else sent)[0]
        return "\0".join(str(row[name]) for name in served.key)
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
