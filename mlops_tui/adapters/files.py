"""Files that are whole or not there: written under a hidden name beside their own, then renamed."""

from __future__ import annotations

import os
from pathlib import Path

from mlops_tui.errors import InvalidInput


def unfinished(path: Path, ending: str = "part") -> Path:
    """Return the hidden name under which a file is written until it is whole; raises InvalidInput for a folder."""
    if path.is_dir() or not path.name:
        raise InvalidInput(f"{path} is a folder: name a file")
    return path.with_name(f".{path.name}.{os.getpid()}.{ending}")
