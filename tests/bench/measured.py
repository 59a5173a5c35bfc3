"""CPU of whole processes, ours and theirs in turn, so that what else the machine does falls on both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = sys.executable
MLOPS = str(Path(PYTHON).with_name("mlops"))


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians in seconds of CPU, and the median of the ratios of each pair."""

    ours: float
    theirs: float
    ratio: float


def cpu(command: Sequence[str], folder: Path) -> float:
    """Return the seconds of CPU, user and system, of a command and of the children it waited for."""
    with (folder / "bench.out").open("wb") as told:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command}: {(folder / 'bench.out').read_text()}"
    return used.ru_utime + used.ru_stime


def paired(ours: Sequence[str], theirs: Sequence[str], folder: Path, times: int = 11) -> Pair:
    """Run both once unmeasured and then in turn, so many times."""
    cpu(ours, folder), cpu(theirs, folder)
    found = [(cpu(ours, folder), cpu(theirs, folder)) for _ in range(times)]
    mine, other = zip(*found, strict=True)
    return Pair(statistics.median(mine), statistics.median(other), statistics.median(a / b for a, b in found))


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table as it goes into docs/performance.md."""
    print(f"\n\n{title}\n")
    for row in (columns, ["---"] * len(columns), *rows):
        print("| " + " | ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row) + " |")
