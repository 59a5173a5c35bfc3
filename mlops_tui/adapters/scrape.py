"""What a server on this machine counts about itself, in Prometheus' text format."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

LIMIT = 1_000_000  # bytes; one of our own servers tells about 15,000
SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*", re.ASCII)
LABEL = re.compile(r'(\w+)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"', re.ASCII)
ESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a series' name and labels, and its value, which is finite."""

    name: str
    labels: dict[str, str]
    value: float


def fetch(url: str, timeout: float = 1.0) -> str | None:
    """Return what the server at a URL tells at /metrics; None without a 200 in time, or if it is beyond a megabyte."""
    import http.client

    from mlops_tui.adapters.processes import connected

    connection = connected(url, timeout)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read(LIMIT + 1)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body.decode("utf-8", "replace") if answer.status == 200 and len(body) <= LIMIT else None


def parse(text: str) -> Iterator[Sample]:
    """Yield the samples of an exposition; comments, and lines that are none, are passed over."""
    for line in text.splitlines():
        found = SAMPLE.fullmatch(line)
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        if math.isfinite(value):
            labels = {name: _plain(quoted) for name, quoted in LABEL.findall(found[2] or "")}
            yield Sample(found[1], labels, value)


def _plain(quoted: str) -> str:
    return re.sub(r"\\.", lambda pair: ESCAPED.get(pair[0], pair[0]), quoted)
