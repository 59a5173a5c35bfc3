"""The short way between the network and an application: uvicorn's, but with one write for an answer.

uvicorn writes the head of an answer and its body each on its own, and on a machine's loopback a write costs a fifth of
what a bare application takes for a whole request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

JOINED = 64 * 2**10  # larger bodies are not copied behind their heads


class OneWrite:
    """A transport that holds the head of an answer until its body comes, or none will.

    The answer to HEAD is a head alone: uvicorn asks at the end of every answer whether the transport closes.
    """

    def __init__(self, transport: Any) -> None:
        self._transport, self._head = transport, b""
        self._write, self._is_closing = transport.write, transport.is_closing
        self.resume_reading = transport.resume_reading  # asked for at every request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, but hold what ends in a blank line and is no interim answer such as 100 Continue."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) <= JOINED:
                self._write(head + data)
            else:
                self._transport.writelines((head, data))
        elif data[-4:] == b"\r\n\r\n" and data[:5] == b"HTTP/" and data[9:10] != b"1":
            self._head = data
        else:
            self._write(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        """Write several pieces, behind what is held."""
        self.flush()
        self._transport.writelines(parts)

    def write_eof(self) -> None:
        """Write what is held, and end."""
        self.flush()
        self._transport.write_eof()

    def is_closing(self) -> bool:
        """Return whether the connection ends; what is held goes out first."""
        if self._head:
            self.flush()
        return bool(self._is_closing())

    def flush(self) -> None:
        """Write a head that nothing followed."""
        head, self._head = self._head, b""
        if head:
            self._write(head)

    def close(self) -> None:
        """Write what is held, and close."""
        self.flush()
        self._transport.close()


def direct(protocol: type[Any], app: Any, behind_proxy: bool = False) -> type[Any]:
    """Return uvicorn's protocol for HTTP/1.1, which writes an answer at once and asks `app`, if it serves that, itself.

    What uvicorn puts in front of an application reads from a trusted proxy's headers who a client is; who trusts none
    does without.
    """

    class Direct(protocol):  # type: ignore[misc]
        original = protocol
        app: Any

        def connection_made(self, transport: Any) -> None:
            super().connection_made(OneWrite(transport))
            if not behind_proxy and getattr(self.app, "app", None) is app:
                self.app = app

    return Direct
