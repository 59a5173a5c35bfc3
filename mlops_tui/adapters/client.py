"""A client of a service on this machine: one connection, kept alive, bounded in time; no proxy is asked."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mlops_tui.errors import External, InvalidInput

TIMEOUT = 90.0  # seconds; a service answers, or says that it cannot, within a minute unless it is told otherwise


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, headers by their names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """A connection to a service; `key` is its API key, which no message ever tells."""

    def __init__(self, connection: http.client.HTTPConnection, url: str, key: str | None) -> None:
        self._connection, self._url = connection, url
        self._headers = {"Content-Type": "application/json"} | bearer(key)

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a JSON body and return what came back, whatever its status; raises External without an answer."""
        used, more = self._connection.sock is not None, headers or {}
        try:
            return self._post(path, body, more)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            if not used:
                raise External(f"{self._url} ended the connection without an answer: {error}") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from None
        self._connection.close()  # it was kept alive for too long, or its server was replaced meanwhile
        try:
            return self._post(path, body, more)
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from None

    def _post(self, path: str, body: bytes, more: Mapping[str, str]) -> Answer:
        self._connection.request("POST", path, body, {**self._headers, **more})
        answer = self._connection.getresponse()
        return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())

    def _silent(self, error: Exception) -> External:
        self._connection.close()
        if isinstance(error, TimeoutError):
            return External(f"{self._url} did not answer within {TIMEOUT:g} s")
        if isinstance(error, http.client.HTTPException):
            return External(f"what answers at {self._url} does not speak HTTP: {type(error).__name__}")
        return External(f"nothing answers at {self._url}: {getattr(error, 'strerror', None) or error}")


@contextlib.contextmanager
def connected(url: str, key: str | None = None) -> Iterator[Client]:
    """A client of a service at a URL of this machine, whose certificate, if it has one, is not checked."""
    parts = urlsplit(url)
    # Not urllib.request: it would ask the proxies of the environment about this machine's own ports.
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=TIMEOUT, context=ssl._create_unverified_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
    try:
        yield Client(connection, url, key)
    finally:
        connection.close()


def bearer(key: str | None) -> dict[str, str]:
    """Return the header that carries an API key; raises InvalidInput for what cannot be one."""
    if key is None:
        return {}
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise InvalidInput("the API key is no key: it is one word of printable ASCII characters")
    return {"Authorization": f"Bearer {key}"}
