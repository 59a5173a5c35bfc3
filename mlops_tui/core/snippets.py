"""Requests to a served model that a person can copy: a curl line and a Python script, each with a row that works."""

from __future__ import annotations

import json
import pprint
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEY = "MLOPS_API_KEY"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model answers: its URL, and whether a request needs an API key."""

    url: str
    key: bool = False

    @property
    def tls(self) -> bool:
        """Whether the certificate, which names another host than this machine's loopback, is in the way."""
        return self.url.startswith("https:")


def curl(place: Place, row: Mapping[str, Any]) -> str:
    """Return a line for a shell that sends one row; the API key comes from the environment.

    >>> print(curl(Place("http://127.0.0.1:3000"), {"a": 1}))
    curl -s http://127.0.0.1:3000/predict -H 'Content-Type: application/json' -d '{"rows":[{"a":1}]}'
    """
    body = json.dumps({"rows": [row]}, separators=(",", ":"))
    words = ["curl", "-sk" if place.tls else "-s", shlex.quote(f"{place.url}/predict")]
    words += [f'-H "Authorization: Bearer ${KEY}"'] if place.key else []
    return " ".join([*words, "-H 'Content-Type: application/json'", "-d", shlex.quote(body)])


def python(place: Place, row: Mapping[str, Any]) -> str:
    """Return a script, of the standard library only, that sends one row and prints the answer."""
    lines = ["import json"]
    lines += ["import os"] if place.key else []
    lines += ["import ssl"] if place.tls else []
    lines += ["import urllib.request", ""]
    lines += ["rows = [", _indented(pprint.pformat(dict(row), width=100, sort_dicts=False)) + ",", "]"]
    lines += ['headers = {"Content-Type": "application/json"}']
    lines += [f'headers["Authorization"] = "Bearer " + os.environ["{KEY}"]'] if place.key else []
    lines += [
        'body = json.dumps({"rows": rows}).encode()',
        f"request = urllib.request.Request({f'{place.url}/predict'!r}, body, headers)",
    ]
    more = ""
    if place.tls:
        lines += ["context = ssl._create_unverified_context()  # its certificate names another host than this machine"]
        more = ", context=context"
    lines += [
        f"with urllib.request.urlopen(request, timeout=60{more}) as answer:",
        '    print(json.load(answer)["predictions"])',
    ]
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
