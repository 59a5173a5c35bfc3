"""A model from elsewhere, opened in a process of its own first: what would end or hang ours ends that one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlops_tui.errors import InvalidInput

SECONDS = 60.0
CODE = """\
import sys
from pathlib import Path

from mlops_tui.service import model
from mlops_tui.core import requests, scoring
from mlops_tui.errors import MlopsError
from mlops_tui.records import Golden, from_json

folder = Path(sys.argv[1])
try:
    served = model.load(folder)
    rows = from_json((folder / "golden.json").read_bytes(), Golden).rows
    scoring.explain(served.scorer, requests.rows_to_frame(served.signature, list(rows[:2])))
except MlopsError as error:
    sys.exit(error.message)
"""


def open_aside(files: dict[str, bytes], seconds: float = SECONDS) -> None:
    """Open a model's files as a Bento does, ask it for its golden answers, and explain two of them.

    Files are named as in a Bento. Raises InvalidInput if it takes longer, ends the process or answers otherwise.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mlops-trial-") as scratch:
        for name, data in files.items():
            (Path(scratch) / name).write_bytes(data)
        command = [sys.executable, "-c", CODE, scratch]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False, text=True,
                errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise InvalidInput(f"the model did not answer its golden rows within {seconds:g} s") from None
    if done.returncode < 0:
        raise InvalidInput(f"the model ended the process that opened it (signal {-done.returncode})")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it gave no reason"]
        raise InvalidInput(f"the model cannot be used: {last[0][:300]}")
