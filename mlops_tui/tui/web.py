"""The screens in a browser: one server, a token before everything it answers, and one child process a tab.

textual-serve's own server asks nobody who they are, lists its folders, takes sockets of any origin, loads a font from
outside and starts its command through a shell. So this one is ours, and only three things are textual-serve's: how it
talks with a child (AppService), how a child sends a file (DownloadManager), and the terminal in the page (JavaScript).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import os
import secrets
import signal
import socket
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote, urlsplit

import textual_serve
from aiohttp import hdrs, web
from textual_serve.download_manager import DownloadManager

from mlops_tui.adapters import ports
from mlops_tui.errors import InvalidInput
from mlops_tui.tui.web_session import GRACE, TOKEN, Session

TOKEN_LENGTH = 8  # characters that a token of the user's own has at the least
SESSIONS = 8  # a child takes about 100 MB
STATIC = Path(textual_serve.__file__).parent / "static"
HTML = Path(__file__).with_name("web.html").read_text(encoding="utf-8")
SCRIPT = hashlib.sha256(HTML.partition("<script>")[2].partition("</script>")[0].encode()).digest()
HEADERS = {
    # xterm.js writes its own <style>; scripts, fonts and sockets come from here or not at all.
    "Content-Security-Policy": f"default-src 'self'; script-src 'self' 'sha256-{b64encode(SCRIPT).decode()}'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "mlops",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Site:
    """What to serve, where, and the token that opens it; `command` starts the screens, as words."""

    command: tuple[str, ...]
    host: str
    port: int
    token: str = field(repr=False)
    title: str

    @property
    def url(self) -> str:
        """The address to open, with its token, for a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/?token={quote(self.token, safe='')}"


def make_token() -> str:
    """Return the token that MLOPS_WEB_TOKEN holds, or a random one; raises InvalidInput if it is easily guessed."""
    token = os.environ.get(TOKEN) or secrets.token_urlsafe()
    if len(token) < TOKEN_LENGTH:
        raise InvalidInput(f"{TOKEN} has fewer than {TOKEN_LENGTH} characters", f"unset {TOKEN}, for a random token")
    return token


def is_local(host: str) -> bool:
    """Return whether only this machine can reach a server on a host."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def serve(site: Site, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, which end every session; `ready` is called once, when browsers may come.

    Raises External if the port is in use, InvalidInput for a host that is no address.
    """
    if not site.host:
        raise InvalidInput("--host is empty", "an address of this machine, such as 127.0.0.1")
    ports.check(site.host, site.port)
    asyncio.run(_serve(site, ready))


async def _serve(site: Site, ready: Callable[[], None]) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(make_app(site), access_log=None, shutdown_timeout=GRACE)  # that log would tell the token
    await runner.setup()
    try:
        await web.TCPSite(runner, site.host, site.port).start()
        ready()
        with contextlib.redirect_stdout(sys.stderr):  # AppService prints there what a failed child said
            await stopped.wait()
    finally:
        await runner.cleanup()


# ── who gets in ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _State:
    site: Site
    sessions: set[Session] = field(default_factory=set)
    downloads: DownloadManager = field(default_factory=DownloadManager)

    @property
    def cookie(self) -> str:
        """The cookie's name: browsers send a cookie to every port of a host, so that each server needs its own."""
        return f"mlops_web_{self.site.port}"


STATE = web.AppKey("state", _State)


def make_app(site: Site) -> web.Application:
    """Return the server's routes, all of them behind the guard."""
    app = web.Application(middlewares=[_guard])
    app[STATE] = _State(site)
    app.add_routes([
        web.get("/", _page),
        web.get("/ws", _socket),
        web.get("/download/{key}", _download),
        web.static("/static", STATIC),
    ])  # fmt: skip
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(_end_sessions)
    return app


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let in who has the cookie; who brings the token gets it, and an address without the token."""
    state = request.app[STATE]
    if not _is_ours(request.host, state.site.host):
        raise web.HTTPForbidden(text="open this server by its IP address, or serve with --host and this name\n")
    key = _key(state.site.token)
    if request.path == "/" and hmac.compare_digest(_key(request.query.get("token", "")), key):
        answer = web.HTTPSeeOther("/")
        answer.set_cookie(state.cookie, key, httponly=True, samesite="Strict")
        raise answer
    if not hmac.compare_digest(_key(request.cookies.get(state.cookie, "")), _key(key)):
        raise web.HTTPUnauthorized(text="open the address that `mlops web` printed, with its token\n")
    return await handler(request)


def _key(secret: str) -> str:
    """What a cookie holds instead of the token: plain characters, all of one length, and no way back."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _is_ours(named: str, bound: str) -> bool:
    """Whether a Host header names this server; a name of somebody else's may be made to point here (DNS rebinding).

    An address cannot, and its port may differ from ours at the near end of an SSH tunnel.
    """
    with contextlib.suppress(ValueError):
        name = urlsplit(f"//{named}").hostname or ""
        if name in {"localhost", bound.lower(), socket.gethostname().lower()}:
            return True
        ipaddress.ip_address(name)
        return True
    return False


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


# ── what they get ────────────────────────────────────────────────────────────────────────────────


async def _page(request: web.Request) -> web.Response:
    if request.query_string:  # textual.js would fetch whatever ?ping= names
        raise web.HTTPSeeOther("/")
    state = request.app[STATE]
    _require_room(state)
    text = Template(HTML).substitute(title=escape(state.site.title), socket=escape(f"ws://{request.host}/ws"))
    return web.Response(text=text, content_type="text/html")


async def _download(request: web.Request) -> web.StreamResponse:
    """A file that a session wrote, always to keep: none is shown as a page of ours."""
    downloads, key = request.app[STATE].downloads, request.match_info["key"]
    try:
        found = await downloads.get_download_metadata(key)
    except KeyError:
        raise web.HTTPNotFound(text="no such download, or it is done\n") from None
    name = quote(found.file_name, safe="")
    answer = web.StreamResponse(headers={hdrs.CONTENT_DISPOSITION: f"attachment; filename*=UTF-8''{name}"})
    answer.content_type = found.mime_type or "application/octet-stream"
    await answer.prepare(request)
    async for chunk in downloads.download(key):
        await answer.write(chunk)
    await answer.write_eof()
    return answer


async def _socket(request: web.Request) -> web.WebSocketResponse:
    """One tab: a child from the moment its socket opens until it closes."""
    if request.headers.get(hdrs.ORIGIN) != f"http://{request.host}":
        raise web.HTTPForbidden(text="this socket is for the page of this server\n")
    state = request.app[STATE]
    _require_room(state)
    websocket = web.WebSocketResponse(heartbeat=15, timeout=GRACE)
    session = Session(state.site.command, websocket, state.downloads)
    state.sessions.add(session)
    try:
        await websocket.prepare(request)
        await session.start(_cells(request, "width", 80), _cells(request, "height", 24))
        async for message in websocket:
            with contextlib.suppress(ValueError, ConnectionError):  # no JSON: no page of ours
                await session.obey(message.json())
    finally:
        await session.stop()
        state.sessions.discard(session)
    return websocket


def _require_room(state: _State) -> None:
    if len(state.sessions) >= SESSIONS:
        raise web.HTTPServiceUnavailable(text=f"{SESSIONS} tabs are open, and no more may be: close one, then reload\n")


def _cells(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isdecimal() and 0 < len(text) < 4 else default


async def _end_sessions(app: web.Application) -> None:
    await asyncio.gather(*(session.stop() for session in app[STATE].sessions))
