"""One tab of the browser: its child process, from the moment the tab's socket opens until it closes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
from asyncio.subprocess import PIPE, Process
from typing import TYPE_CHECKING

from textual_serve.app_service import AppService

if TYPE_CHECKING:
    from aiohttp import web
    from textual_serve.download_manager import DownloadManager

TOKEN = "MLOPS_WEB_TOKEN"
GRACE = 3.0  # seconds from asking a child to quit to killing it


class Session(AppService):
    """The child of one tab: started without a shell, leader of its own process group, gone when the tab is."""

    def __init__(self, command: tuple[str, ...], websocket: web.WebSocketResponse, downloads: DownloadManager) -> None:
        super().__init__(
            shlex.join(command),
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=websocket.close,  # type: ignore[arg-type]  # it also says whether it was open
            download_manager=downloads,
        )
        self.words = command

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environment = self._build_environment(width, height)
        environment.pop(TOKEN, None)
        self._process = process = await asyncio.create_subprocess_exec(
            *self.words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
        )
        self._stdin = process.stdin
        return process

    async def obey(self, message: object) -> None:
        """Pass on what the page sent; anything that it never sends is ignored."""
        match message:
            case ["stdin", str(keys)]:
                await self.send_bytes(keys.encode())
            case ["resize", {"width": int(width), "height": int(height)}]:
                await self.set_terminal_size(width, height)
            case ["ping", str(sent)]:
                await self.remote_write_str(json.dumps(["pong", sent]))
            case ["focus"]:
                await self.focus()
            case ["blur"]:
                await self.blur()

    async def on_data(self, payload: bytes) -> None:
        """Send the page what the child painted; where the tab is gone, read on, or the child could not quit."""
        with contextlib.suppress(ConnectionError):
            await super().on_data(payload)

    async def on_meta(self, data: bytes) -> None:
        """Send the page what else the child asks for."""
        with contextlib.suppress(ConnectionError):
            await super().on_meta(data)

    async def run(self) -> None:
        """Read what the child writes until it ends; then close the tab's socket, which AppService leaves open."""
        await super().run()
        await self.remote_close()

    async def stop(self) -> None:
        """Ask the child to quit, kill it if it has not after GRACE seconds, and end what it left running."""
        if (process := self._process) is None:
            return
        quitting = asyncio.ensure_future(self._quit(process))
        await asyncio.wait({quitting}, timeout=GRACE)
        _signal_group(process, signal.SIGKILL if process.returncode is None else signal.SIGTERM)
        await asyncio.wait({quitting}, timeout=GRACE)  # what it left may hold its pipes, and take its time to end
        quitting.cancel()
        self._process = None

    async def _quit(self, process: Process) -> None:
        await super().stop()
        await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
