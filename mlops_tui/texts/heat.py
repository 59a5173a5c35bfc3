"""How near each feature of each window is to its threshold, as one character."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_tui.records import Drift, WindowReport

HEAT = "·░▒▓█✗"  # by level; by distance over threshold: up to a quarter, half, three quarters, below it, above it
DRIFTED, FAULT = 4, 5  # levels
ABSENT = " "
LEGEND = (
    f"{HEAT[0]} far below its threshold  {HEAT[1]}{HEAT[2]}{HEAT[3]} nearer  "
    f"{HEAT[DRIFTED]} above: drifted  {HEAT[FAULT]} data fault"
)


def heat(drift: Drift) -> float:
    """Return a column's distance over its threshold; infinite for a data fault."""
    return math.inf if drift.fault else drift.distance / drift.threshold if drift.threshold > 0 else 0.0


def level(drift: Drift) -> int:
    """Return 0 to 3 by how near the threshold is, 4 for drift, 5 for a data fault: a place in `HEAT`."""
    if drift.fault:
        return FAULT
    return DRIFTED if drift.drifted else int(min(3.0, 4 * heat(drift)))


def heat_rows(windows: Sequence[WindowReport]) -> dict[str, tuple[Drift | None, ...]]:
    """Return every feature and the prediction by window, None where it was not judged; the worst feature first."""
    rows: dict[str, list[Drift | None]] = {}
    for at, window in enumerate(windows):
        for one in (*window.features, *((window.prediction,) if window.prediction else ())):
            rows.setdefault(one.feature, [None] * len(windows))[at] = one
    ordered = sorted(rows, key=lambda name: (-heat(worst(rows[name])), name))
    return {name: tuple(rows[name]) for name in ordered}


def worst(row: Sequence[Drift | None]) -> Drift:
    """Return the window of a row of `heat_rows` that is nearest to, or farthest past, its threshold."""
    return max((one for one in row if one), key=heat)


def measure(drift: Drift) -> str:
    """Return what a distance is of: KS or JS of the values, or the share that is missing."""
    share = abs(drift.missing - drift.missing_reference)
    return "missing" if drift.distance > 0 and abs(drift.distance - share) < 1e-12 else drift.measure.upper()


def drift_text(drift: Drift) -> str:
    """Return one drifted feature in a line."""
    more = f", PSI {drift.psi:.2f}"
    if drift.wasserstein is not None:
        more += f", moved by {drift.wasserstein:.2f} standard deviations"
    healthy = f"healthy up to {drift.threshold:.3f}"
    return f"{drift.feature} drifted: {measure(drift)} {drift.distance:.3f}, {healthy}{more}"
