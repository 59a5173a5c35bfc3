"""What a pipeline file says of itself, read without checking the rest, and again only when it has changed."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple


class Sketch(NamedTuple):
    """What a pipeline file says of itself, read without checking the rest."""

    name: str
    dataset: str
    source: str
    deployment: str
    serves: bool
    mistake: str


def sketch(path: Path) -> Sketch:
    """Return what a pipeline file says of itself; read again only when the file has changed."""
    try:
        stat = path.stat()
    except OSError:
        return Sketch(path.stem, "", "", "", False, f"{path.name} cannot be read")
    return _sketch(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _sketch(path: Path, mtime_ns: int, size: int) -> Sketch:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        name = str(content["pipeline"]["name"])
        serve = content.get("serve")
        deployment = serve.get("name", name) if isinstance(serve, dict) else name
        data = content["data"]
        return Sketch(name, str(data["dataset"]), str(data["source"]), str(deployment), serve is not None, "")
    except (OSError, ValueError) as error:
        return Sketch(path.stem, "", "", "", False, f"{path.name}: {' '.join(str(error).split())}")
    except (KeyError, TypeError, AttributeError) as error:
        missing = error.args[0] if isinstance(error, KeyError) else "a section"
        return Sketch(
            path.stem, "", "", "", False, f"{path.name}: {missing} is missing; mlops pipelines check {path.stem}"
        )
