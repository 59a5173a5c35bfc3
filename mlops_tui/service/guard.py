"""Who may ask a service, and how often: API keys of which only hashes are kept, and a bound on a client's requests.

The file of keys is read again when it changes, so that keys come and go while the service runs.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from mlops_tui.records import KeyFile, from_json

MET = 1_000
CLIENTS = 10_000  # whose pace is remembered
log = logging.getLogger("mlops_tui.service")


class Keys:
    """The keys that open a service, by their hashes; `refresh` reads the file again if it has changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        # names by hash, None: anybody may ask; and by header, of those that came, so that keys are hashed once. Both
        # change at once, for the loop's thread reads them while another refreshes.
        self._state: tuple[dict[bytes, str] | None, dict[bytes, str]] = (None, {})
        self.required = False  # whether a key is needed
        self.refresh()

    def name_of(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the name of the key that a request carries, or None if it has none that is known."""
        names, met = self._state
        sent = headers.get(b"authorization", b"")
        if sent in met:
            return met[sent]
        if sent[:7].lower() == b"bearer ":
            place, given = sent, sent[7:]
        else:
            given = headers.get(b"x-api-key", b"")
            place = b"bearer " + given
        if place in met:
            return met[place]
        name = (names or {}).get(hashlib.sha256(given.strip()).digest()) if given else None
        if name is not None and len(met) < MET:
            met[place] = name
        return name

    def refresh(self) -> None:
        """Read the file if it is another than before; one that is gone or broken leaves the keys as they were."""
        if self._path is None:
            return
        is_first = self._stamp is None
        try:
            stat = self._path.stat()
            stamp = stat.st_ino, stat.st_mtime_ns, stat.st_size
            if stamp == self._stamp:
                return
            self._stamp = stamp  # of one that cannot be read, too: it is told once
            found = from_json(self._path.read_bytes(), KeyFile)
            names = {bytes.fromhex(one.sha256): one.name for one in found.keys}
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:  # msgspec's own errors are ValueErrors
            if self._state[0] is None and is_first:
                self._state, self.required = ({}, {}), True  # a file of keys that cannot be read opens nothing
            log.warning("the file of API keys cannot be read, and the keys stay as they were: %s", type(error).__name__)
            return
        self._state, self.required = (names if found.required else None, {}), found.required


def keys_from_environment(environment: Mapping[str, str] = os.environ) -> Keys:
    """Return the keys that MLOPS_KEYS, a file, names; without it anybody may ask."""
    path = environment.get("MLOPS_KEYS")
    return Keys(Path(path) if path else None)


class Pace:
    """A bucket of requests for each client, of twice what it may send a second (a token bucket)."""

    def __init__(self, per_second: float) -> None:
        self.rate, self._most = per_second, max(1.0, 2 * per_second)
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

    def wait(self, client: str, now: float) -> float:
        """Return 0 if the client may send a request now, which counts, else the seconds until it may."""
        tokens, then = self._clients.pop(client, (self._most, now))
        tokens = min(self._most, tokens + (now - then) * self.rate)
        allowed = tokens >= 1
        self._clients[client] = (tokens - 1 if allowed else tokens, now)
        if len(self._clients) > CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / self.rate
