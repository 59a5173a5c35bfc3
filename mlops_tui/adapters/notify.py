"""How a notice leaves the machine: a POST to a webhook, signed, and a command that reads it.

Neither the webhook's address nor the key stands in an error, a log or the catalogue: many a webhook's address is
itself the secret.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from mlops_tui import __version__
from mlops_tui.errors import InvalidInput
from mlops_tui.names import parse_duration

if TYPE_CHECKING:
    import http.client

    from mlops_tui.config import NotifySettings

LATER = (408, 429)  # 4xx that mean "not now" rather than "not this"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a notice did not arrive; `final` says that trying again would not help."""

    error: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where notices are posted to, and the key that signs them."""

    url: str = field(repr=False)
    key: bytes | None = field(repr=False)
    timeout: float

    def send(self, id_: str, timestamp: int, body: bytes) -> Failure | None:
        """POST a notice; the whole exchange takes `timeout` seconds at most. Redirects are not followed."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"mlops-tui/{__version__}",
            "X-Mlops-Id": id_,
            "X-Mlops-Timestamp": str(timestamp),
        }
        if self.key is not None:
            headers["X-Mlops-Signature"] = signature(self.key, timestamp, body)
        return _post(urlsplit(self.url), headers, body, self.timeout)


@dataclass(frozen=True, slots=True)
class Command:
    """A program that gets the notice as JSON on its standard input; run without a shell, in `folder`."""

    words: tuple[str, ...] = field(repr=False)
    folder: Path
    timeout: float

    def send(self, id_: str, timestamp: int, body: bytes) -> Failure | None:
        """Run the program; any exit code but 0 is a failure. It is ended, children too, after `timeout` seconds."""
        import subprocess

        quiet = subprocess.DEVNULL
        try:
            child = subprocess.Popen(
                self.words, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, cwd=self.folder, start_new_session=True
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in a word
            return Failure(f"cannot be run: {getattr(error, 'strerror', None) or type(error).__name__}")
        with child:
            try:
                child.communicate(body, self.timeout)
            except subprocess.TimeoutExpired:
                return Failure(f"still ran after {self.timeout:g} s")
            finally:
                if child.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child.pid, signal.SIGKILL)
        return Failure(f"exit code {child.returncode}") if child.returncode else None


Channel = Webhook | Command


def signature(key: bytes, timestamp: int, body: bytes) -> str:
    """Return "sha256=" and the HMAC-SHA256, in hex, of the timestamp, a dot and the body."""
    return "sha256=" + hmac.new(key, b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def channels(settings: NotifySettings, root: Path, environment: Mapping[str, str]) -> dict[str, Channel]:
    """Return the channels that a team has set up; raises InvalidInput, naming what is missing, never what is secret."""
    found: dict[str, Channel] = {}
    timeout = parse_duration(settings.timeout)
    url = settings.webhook
    if settings.webhook_env is not None:
        url = _variable(environment, "webhook_env", settings.webhook_env)
    if url is not None:
        found["webhook"] = Webhook(_checked(url.strip()), _key(settings, root, environment), timeout)
    if settings.command is not None:
        found["command"] = Command(tuple(settings.command), root, timeout)
    return found


def _variable(environment: Mapping[str, str], setting: str, name: str) -> str:
    if not environment.get(name):
        raise InvalidInput(f"the variable {name}, which [notify] {setting} names, is not set", "docs/agent.md")
    return environment[name]


def _key(settings: NotifySettings, root: Path, environment: Mapping[str, str]) -> bytes | None:
    """The key that signs: nothing is sent unsigned because a key that was asked for cannot be read."""
    if settings.secret_env is not None:
        return _variable(environment, "secret_env", settings.secret_env).encode()
    if settings.secret_file is None:
        return None
    try:
        key = (root / settings.secret_file).expanduser().read_bytes().strip()
    except OSError as error:
        raise InvalidInput(f"the file that [notify] secret_file names cannot be read: {error.strerror}") from None
    if not key:
        raise InvalidInput("the file that [notify] secret_file names is empty")
    return key


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or any(ord(letter) <= 32 or ord(letter) > 126 for letter in url):
        raise InvalidInput("the webhook of [notify] is no address: https://HOST/PATH, without blanks")
    return url


def _post(url: SplitResult, headers: dict[str, str], body: bytes, timeout: float) -> Failure | None:
    import http.client
    import ssl

    if url.username is not None:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers = headers | {"Authorization": "Basic " + base64.b64encode(login).decode()}
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=timeout)
    # A socket's timeout starts anew with every byte: a receiver that sends one a second would hold us for ever.
    watch = threading.Timer(timeout, _cut, [connection])
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", (url.path or "/") + (f"?{url.query}" if url.query else ""), body, headers)
        return _verdict(connection.getresponse().status)
    except TimeoutError:
        return Failure(f"no answer within {timeout:g} s")
    except ssl.SSLError as error:  # its text may hold the host's name
        return Failure(f"no trust in its certificate, or no TLS: {error.reason or type(error).__name__}")
    except OSError as error:
        return Failure(f"cannot be reached: {error.strerror or type(error).__name__}")
    except http.client.HTTPException as error:
        return Failure(f"did not answer in HTTP, or not within {timeout:g} s: {type(error).__name__}")
    finally:
        watch.cancel()
        connection.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    import socket

    with contextlib.suppress(OSError, AttributeError):  # closed already, or not open yet
        connection.sock.shutdown(socket.SHUT_RDWR)


def _verdict(status: int) -> Failure | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Failure(f"answered {status}: redirects are not followed", final=True)
    return Failure(f"answered {status}", final=400 <= status < 500 and status not in LATER)
