"""`mlops web`: nobody gets in without the token, a tab is a child process and no longer, nothing leaves the machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest

from mlops_tui.adapters.ports import free_port
from mlops_tui.errors import InvalidInput
from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui import web
from tests.cli.called import call, command, process
from tests.tui.tabs import CHROMIUM, Served, chromium, entered, running, serving, tab, until

TOKEN = "a token; with=odd characters é"
SERVER = """
import sys
from mlops_tui.tui import web
site = web.Site(tuple(sys.argv[2:]), "127.0.0.1", int(sys.argv[1]), web.make_token(), "a <title> & more")
web.serve(site, lambda: print(site.url, flush=True))
"""
SCREENS = """
import io, os, subprocess, sys, time
from textual.app import App
from textual.widgets import Static

class Screens(App):
    def compose(self):
        token = os.environ.get("MLOPS_WEB_TOKEN", "no-token")
        yield Static(f"pid={os.getpid()} token={token} argument={sys.argv[1]}", markup=False)
        yield Static("no key yet", id="key")

    def on_resize(self, event):
        self.query_one("#key").update(f"size={event.size.width}x{event.size.height}")

    def on_key(self, event):
        text = f"key={event.key}"
        if event.key == "q":
            self.exit()
        if event.key == "d":
            self.deliver_text(io.StringIO("delivered"), save_filename='a "file".txt', mime_type="text/plain")
        if event.key == "c":
            text = f"grandchild={subprocess.Popen(['sleep', '600']).pid}."
        if event.key == "x":
            os._exit(3)
        self.query_one("#key").update(text)
        if event.key == "h":
            self.set_timer(0.05, lambda: time.sleep(600))

Screens().run()
"""
ARGUMENT = "$(id);`id`'\""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of small screens."""
    folder = tmp_path_factory.mktemp("small")
    with serving(server(sys.executable, "-c", SCREENS, ARGUMENT), folder, MLOPS_WEB_TOKEN=TOKEN) as served:
        yield served


def server(*words: str) -> list[str]:
    return [sys.executable, "-c", SERVER, str(free_port()), *words]


def gone(pid: int | str) -> Callable[[], bool]:
    return lambda: not running(int(pid))


# ── who gets in ──────────────────────────────────────────────────────────────────────────────────

PATHS = ["/", "/ws", "/static/js/textual.js", "/static/", "/download/1", "/no-such-page", "/ws?token=a"]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_cookie_there_is_one_line_and_nothing_else(path: str, small: Served) -> None:
    for headers in ({}, {"Cookie": "mlops_web=1"}, {"Cookie": f"mlops_web_{small.url.split(':')[2][:4]}=\xff;=;"}):
        answer = httpx.get(small.base + path, headers={k: v.encode("latin-1") for k, v in headers.items()})
        assert answer.status_code == 401
        assert answer.text == "open the address that `mlops web` printed, with its token\n"
        assert "set-cookie" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


def test_the_token_gives_a_cookie_and_an_address_without_it(small: Served) -> None:
    for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", "%ff", "\U0001f511"):
        assert httpx.get(small.base, params={"token": wrong}).status_code == 401
    with httpx.Client() as client:
        answer = client.get(small.url)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert TOKEN[:7] not in cookie
        page = client.get(small.base)
        assert page.status_code == 200
        assert "<title>a &lt;title&gt; &amp; more</title>" in page.text
        assert f'"{small.base.replace("http", "ws")}/ws"' in page.text
        assert client.get(small.base + "/?ping=http://example.com&delay=1").headers["location"] == "/"
        assert client.get(small.base + "/static/js/textual.js").status_code == 200
        assert client.get(small.base + "/no-such-page").status_code == 404
        for folder in ("/static", "/static/", "/static/js", "/static/..%2fserver.py", "/static/../server.py"):
            assert client.get(small.base + folder).status_code in {403, 404}


def test_every_answer_keeps_a_browser_on_this_machine(small: Served) -> None:
    for path in ("/", "/static/", small.url.removeprefix(small.base)):
        headers = httpx.get(small.base + path).headers
        policy = headers["content-security-policy"]
        assert re.match("default-src 'self'; script-src 'self' 'sha256-[^']+';", policy)
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"https?:|\*|unsafe-eval", policy)
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["server"] == "mlops"
    page = (Path(web.__file__).parent / "web.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^'\"]+", page)) == {"http://www.w3.org/2000/svg"}, "a name, not an address"


@pytest.mark.parametrize(
    ("host", "admitted"),
    [("evil.example", False), ("127.0.0.1.evil.example:8400", False), ("[", False), ("", False),
     ("localhost", True), ("127.0.0.1:9999", True), ("[::1]:8400", True), (socket.gethostname(), True)],
)  # fmt: skip
def test_a_name_made_to_point_here_is_refused(host: str, admitted: bool, small: Served) -> None:
    answer = httpx.get(small.url, headers={"Host": host})
    assert answer.status_code == (303 if admitted else 403), answer.text


async def test_the_socket_is_for_our_page_only(small: Served) -> None:
    port = small.base.rpartition(":")[2]
    async with entered(small) as client:
        for origin in (None, "null", "http://evil.example", f"https://127.0.0.1:{port}", f"http://localhost:{port}",
                       "http://127.0.0.1:1"):  # fmt: skip
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await client.ws_connect("/ws", origin=origin)
    async with aiohttp.ClientSession(small.base) as stranger:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await stranger.ws_connect("/ws", origin=small.base)


def test_a_token_is_long_and_random_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({web.make_token() for _ in range(20)}) == 20
    assert all(len(web.make_token()) >= 32 for _ in range(20))
    monkeypatch.setenv("MLOPS_WEB_TOKEN", "")
    assert len(web.make_token()) >= 32
    monkeypatch.setenv("MLOPS_WEB_TOKEN", "short")
    with pytest.raises(InvalidInput, match="fewer than 8 characters"):
        web.make_token()
    assert TOKEN not in repr(web.Site((), "127.0.0.1", 1, TOKEN, "title"))


def test_an_address_is_for_a_browser_on_this_machine() -> None:
    urls = {host: web.Site((), host, 8400, "a b", "").url for host in ("127.0.0.1", "0.0.0.0", "::", "::1", "box.lan")}
    assert urls["127.0.0.1"] == urls["0.0.0.0"] == "http://127.0.0.1:8400/?token=a%20b"
    assert urls["::"] == urls["::1"] == "http://[::1]:8400/?token=a%20b"
    assert urls["box.lan"] == "http://box.lan:8400/?token=a%20b"
    local = ("127.0.0.1", "127.8.8.8", "::1", "localhost", "0.0.0.0", "::", "10.0.0.1", "box.lan", "")
    assert [web.is_local(host) for host in local] == [True] * 4 + [False] * 5


# ── a tab and its child ──────────────────────────────────────────────────────────────────────────


async def test_a_tab_types_sees_and_gets_files(small: Served) -> None:
    async with entered(small) as client, tab(client, small) as one:
        await one.sees(re.escape(f"token=no-token argument={ARGUMENT}"))
        await one.sees("size=80x24")
        await one.socket.send_json(["resize", {"width": 100, "height": 30}])
        await one.sees("size=100x30")
        for junk in (
            '{"a": 1}',
            "[]",
            "nonsense",
            '["stdin"]',
            '["resize", {}]',
            '["stdin", "\\ud800"]',
            '["ping", {}]',
        ):
            await one.socket.send_str(junk)
        await one.socket.send_bytes(b"\xff\x00")
        await one.socket.send_json(["ping", "1"])
        await one.press("k")
        await one.sees("key=k")
        assert one.told == [["pong", "1"]]
        await one.press("d")
        await one.sees("key=d")
        async with aiohttp.ClientSession() as stranger, stranger.get(f"{small.base}/download/1") as refused:
            assert refused.status == 401
        key = next(told[1] for told in one.told if told[0] == "deliver_file_start")
        async with client.get(f"/download/{key}") as answer:
            assert await answer.text() == "delivered"
            assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20%22file%22.txt"
        async with client.get("/download/no-such-key") as missing:
            assert missing.status == 404
        await one.press("q")
        await one.closes()


async def test_a_closed_tab_ends_its_child_and_what_that_started(small: Served) -> None:
    async with entered(small) as client:
        async with tab(client, small) as one:
            child = (await one.sees(r"pid=(\d+)"))[1]
            await one.press("c")
            grandchild = (await one.sees(r"grandchild=(\d+)\."))[1]
            assert running(int(child))
            assert running(int(grandchild))
        await until(gone(child))
        await until(gone(grandchild))
        async with tab(client, small) as lost:
            child = (await lost.sees(r"pid=(\d+)"))[1]
            assert lost.socket._response.connection is not None
            lost.socket._response.connection.transport.abort()  # as where the network is lost
        await until(gone(child))


async def test_a_child_that_hangs_is_killed_and_one_that_falls_closes_its_tab(small: Served) -> None:
    async with entered(small) as client:
        async with tab(client, small) as one, tab(client, small) as other:
            child = (await one.sees(r"pid=(\d+)"))[1]
            await one.press("h")
            await one.sees("key=h")
            await other.sees("size=80x24")
            await other.press("x")
            await other.closes()
        await until(gone(child), seconds=10)


async def test_so_many_tabs_and_no_more(tmp_path: Path) -> None:
    stub = ["sh", "-c", "echo __GANGLION__; printf 'D\\0\\0\\0\\2hi'; exec head -c 1"]
    with serving(server(*stub), tmp_path) as served:
        async with entered(served) as client:
            tabs = [await client.ws_connect("/ws", origin=served.base) for _ in range(web.SESSIONS)]
            assert [await one.receive_bytes() for one in tabs] == [b"hi"] * web.SESSIONS
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await client.ws_connect("/ws", origin=served.base)
            async with client.get("/") as answer:
                assert answer.status == 503
                assert "8 tabs are open" in await answer.text()
            await tabs[0].close()
            until_free = time.monotonic() + 10
            while (await client.get("/")).status != 200:
                assert time.monotonic() < until_free


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stopped_server_ends_every_child(number: signal.Signals, tmp_path: Path) -> None:
    with serving(server(sys.executable, "-c", SCREENS, "a"), tmp_path, MLOPS_WEB_TOKEN=TOKEN) as served:
        async with entered(served) as client, tab(client, served) as one, tab(client, served) as two:
            pids = [(await each.sees(r"pid=(\d+)"))[1] for each in (one, two)]
            served.process.send_signal(number)
            await one.closes()
            await two.closes()
        assert served.process.wait(20) == 0
        assert [running(int(pid)) for pid in pids] == [False, False]
        assert served.log.read_text(encoding="utf-8") == "", "neither a traceback nor the token"


# ── the commands ─────────────────────────────────────────────────────────────────────────────────


async def test_the_command_serves_the_screens_of_its_workspace(trained: Workspace) -> None:
    words = command(trained.root, "web", "--port", free_port(), "--read-only", "--json")
    with serving(words, trained.root) as served:
        async with entered(served) as client, tab(client, served) as one:
            await one.sees("flight-delay", seconds=30)
            child = subprocess.check_output(["pgrep", "-P", str(served.process.pid)], text=True).strip()
            line = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            assert line[2:-1] == [b"mlops_tui", b"-C", str(trained.root).encode(), b"tui", b"--read-only"]
            served.process.kill()
        await until(gone(child))


def test_a_command_that_cannot_serve_says_why(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = call(empty.root, "web", "--port", port, "--json")
    assert (answer.code, answer.json["error"]["kind"]) == (3, "external")
    assert f"port {port} of 127.0.0.1 is in use by process {os.getpid()}" in answer.json["error"]["message"]
    assert call(empty.root, "web", "--port", 0).code == 2
    for host in ("", "é" * 70, "no such host"):
        assert call(empty.root, "web", "--host", host, "--json").code in {2, 3}
    assert call(empty.root.parent, "web", "--json").json["error"]["kind"] == "not_found"
    monkeypatch.setenv("MLOPS_WEB_TOKEN", "short")
    assert call(empty.root, "web", "--json").json["error"]["kind"] == "invalid_input"


def test_another_host_is_served_with_a_warning(empty: Workspace) -> None:
    words = command(empty.root, "web", "--port", free_port(), "--host", "0.0.0.0")
    with serving(words, empty.root) as served:
        assert served.url.startswith("http://127.0.0.1:")
        assert "other machines can reach 0.0.0.0" in served.log.read_text(encoding="utf-8")


def test_screens_need_a_terminal(empty: Workspace) -> None:
    done = process(empty.root, "tui", "--theme", "dark")
    assert done.returncode == 2
    assert "the screens need a terminal" in done.stderr
    assert "mlops status" in done.stderr
    assert call(empty.root, "tui", "--json").json["error"]["kind"] == "invalid_input"
    assert process(empty.root, "tui", "--theme", "pink").returncode == 2


# ── a real browser ───────────────────────────────────────────────────────────────────────────────

PAINTED = """[...document.querySelectorAll("canvas")].some(one => {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [one.width, one.height];
    if (!one.width) return false;
    const pen = copy.getContext("2d");
    pen.drawImage(one, 0, 0);
    return new Set(new Uint32Array(pen.getImageData(0, 0, one.width, one.height).data.buffer)).size > 20;
})"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on the PATH")
async def test_a_browser_paints_the_screens_and_asks_nobody_else(trained: Workspace, tmp_path: Path) -> None:
    words = command(trained.root, "web", "--port", free_port(), "--json")
    with serving(words, trained.root) as served:
        async with chromium(tmp_path) as page:
            await page.call("Page.navigate", url=served.url)
            await page.becomes('document.body?.classList.contains("-first-byte")')
            await page.becomes(PAINTED)
            assert await page.value("location.href") == f"{served.base}/"
            assert await page.value("document.cookie") == ""
            assert await page.value("document.fonts.check('bold 16px Roboto Mono')")
            assert len(await page.picture(tmp_path / "web.png")) > 5000
            await page.press("q")
            await page.becomes("getComputedStyle(document.querySelector('#ended')).display == 'flex'")
            await page.call(
                "Emulation.setDeviceMetricsOverride", width=900, height=500, deviceScaleFactor=1, mobile=False
            )
            await page.press("a")
            await page.picture(tmp_path / "ended.png")
            await page.value("document.activeElement.click()")
            await page.becomes("!document.body.classList.contains('-closed')")
            await page.becomes('document.body.classList.contains("-first-byte")')
            assert page.outside(served.base) == []
            assert page.errors() == [], "\n".join(page.errors())
