"""What the tests of `mlops web` need: its server as a process, a tab without a browser, Chromium by its protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
Message = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """A server that runs: its process, the address that it printed, and the file of what it said on stderr."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def base(self) -> str:
        """The address without its token."""
        return self.url.partition("/?")[0]


@contextmanager
def serving(words: Sequence[str], folder: Path, **environment: str) -> Iterator[Served]:
    """Run a server that prints its address, alone or as JSON; it is stopped at the end of the body."""
    log = folder / "web.err"
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=said, text=True, env=os.environ | environment, cwd=folder
        )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://[^\s\"]+", first)
        assert found, first + log.read_text(encoding="utf-8")
        yield Served(process, found[0], log)
    finally:
        process.terminate()
        process.wait(20)


async def until(found: Callable[[], object], seconds: float = 20) -> Any:
    """Wait until something is true and return it; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.02)
    return value


def running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Tab:
    """A socket as the page opens it, with all that the screens painted."""

    socket: aiohttp.ClientWebSocketResponse
    painted: str = ""
    told: list[list[Any]] = field(default_factory=list)

    async def press(self, keys: str) -> None:
        """Type into the terminal."""
        await self.socket.send_json(["stdin", keys])

    async def sees(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Read what is painted until a pattern is in it."""
        async with asyncio.timeout(seconds):
            while not (found := re.search(pattern, self.painted)):
                message = await self.socket.receive()
                assert message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}, (message, self.painted)
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.painted += message.data.decode()
                else:
                    self.told.append(message.json())
        return found

    async def closes(self, seconds: float = 20) -> None:
        """Read until the server closes the socket."""
        async with asyncio.timeout(seconds):
            async for _ in self.socket:
                pass


@asynccontextmanager
async def entered(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that has opened the address and holds the cookie."""
    async with aiohttp.ClientSession(served.base, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        async with client.get(served.url.removeprefix(served.base)) as answer:
            assert answer.status == 200, await answer.text()
        yield client


@asynccontextmanager
async def tab(client: aiohttp.ClientSession, served: Served) -> AsyncIterator[Tab]:
    """A tab of 80 by 24 cells; it is closed at the end of the body."""
    async with client.ws_connect("/ws?width=80&height=24", origin=served.base) as socket:
        yield Tab(socket)


@dataclass
class Page:
    """A page of a headless Chromium, by its DevTools protocol, with all the events that it sent."""

    socket: aiohttp.ClientWebSocketResponse
    events: list[Message] = field(default_factory=list)
    calls: int = 0

    async def call(self, method: str, **parameters: object) -> Message:
        """Call a method and return its result; what happens meanwhile is kept in `events`."""
        self.calls += 1
        await self.socket.send_json({"id": self.calls, "method": method, "params": parameters})
        while (message := await self.socket.receive_json(timeout=30)).get("id") != self.calls:
            self.events.append(message)
        assert "error" not in message, message
        result: Message = message["result"]
        return result

    async def value(self, script: str) -> Any:
        """Return what an expression in the page is."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def becomes(self, script: str, seconds: float = 30) -> Any:
        """Return what an expression in the page is as soon as that is true."""
        end = time.monotonic() + seconds
        while not (value := await self.value(script)):
            assert time.monotonic() < end, (script, self.errors())
            await asyncio.sleep(0.05)
        return value

    async def press(self, key: str) -> None:
        """Press a key of one character, wherever the keyboard is."""
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self, path: Path) -> bytes:
        """Write a screenshot and return its bytes."""
        data = base64.b64decode((await self.call("Page.captureScreenshot"))["data"])
        path.write_bytes(data)
        return data

    def sent(self, method: str) -> list[Message]:
        """The events of one kind."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def outside(self, base: str) -> list[str]:
        """The addresses of all requests that left the server's own."""
        asked = [event["request"]["url"] for event in self.sent("Network.requestWillBeSent")]
        asked += [event["url"] for event in self.sent("Network.webSocketCreated")]
        own = {urlsplit(base).netloc}
        return [url for url in asked if urlsplit(url).netloc not in own and not url.startswith("data:")]

    def errors(self) -> list[str]:
        """What the page's console shows in red, and what it threw."""
        logged = [event["entry"] for event in self.sent("Log.entryAdded")]
        found = [json.dumps(entry) for entry in logged if entry["level"] == "error"]
        found += [json.dumps(event) for event in self.sent("Runtime.exceptionThrown")]
        return found + [
            json.dumps(e) for e in self.sent("Runtime.consoleAPICalled") if e["type"] in {"error", "assert"}
        ]


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """A page of a Chromium of its own, which ends with the body."""
    assert CHROMIUM is not None
    profile = folder / "profile"
    words = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1200,800"]
    words += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"]
    browser = subprocess.Popen(
        [*words, f"--user-data-dir={profile}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        told = profile / "DevToolsActivePort"
        port = await until(lambda: told.is_file() and told.read_text(encoding="utf-8").split("\n")[0])
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            async with client.get("/json/list") as answer:
                pages = [item for item in await answer.json() if item["type"] == "page"]
            async with client.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Network", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        browser.terminate()
        browser.wait(20)
