"""What a monitor report says beside its heat map: lines of figures, and the newest window in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_tui.texts.cells import brief, day, figure
from mlops_tui.texts.heat import DRIFTED, HEAT, drift_text

if TYPE_CHECKING:
    from mlops_tui.records import Estimate, Metric, WindowReport

GOOD, BAD, WARNING, DRIFT, PLAIN, HEAD = "✓", "✗", "·", HEAT[DRIFTED], " ", ""
Said = tuple[str, str]
"""One of the marks above, by which a face chooses a colour, and a sentence."""


@dataclass(frozen=True, slots=True)
class Track:
    """One figure a window, oldest first; None where a window has none. `note` says how to read it."""

    label: str
    values: tuple[float | None, ...]
    note: str = ""

    @property
    def ends(self) -> str:
        """The lowest and the highest, and the newest."""
        known = [value for value in self.values if value is not None]
        return f"{brief(min(known))} to {brief(max(known))}, now {brief(self.values[-1])}"


def tracks(windows: Sequence[WindowReport]) -> list[Track]:
    """Return what has one figure a window: rows, drifted share, how well told apart, performance and its estimate."""
    realised = next((one.performance.name for one in windows if one.performance), "")
    estimated = next((one.estimate.metric for one in windows if one.estimate), "")
    found = (
        Track("rows", tuple(float(one.rows) for one in windows)),
        Track("drifted share", tuple(one.drifted_share if one.features else None for one in windows)),
        Track(
            "told apart",
            tuple(one.multivariate.auc if one.multivariate else None for one in windows),
            " AUC; 0.5: not at all",
        ),
        Track(f"{realised} realised", tuple(one.performance.value if one.performance else None for one in windows)),
        Track(f"{estimated} estimated", tuple(one.estimate.value if one.estimate else None for one in windows)),
    )
    return [track for track in found if any(value is not None for value in track.values)]


def expected(windows: Sequence[WindowReport]) -> Metric | None:
    """Return the metric that the model showed when it was trained, of the newest window that knows it."""
    return next((one.expected for one in reversed(windows) if one.expected), None)


def interval(of: Metric | Estimate) -> str:
    """Return a metric or an estimate, with its interval where it is known."""
    return figure(of.value, of.low, of.high)


def newest(windows: Sequence[WindowReport]) -> list[Said]:
    """Return the newest window in words: faults first, then drift, then how good the answers were."""
    if not windows:
        return []
    one = next((judged for judged in reversed(windows) if judged.features), windows[-1])
    rows = f"{one.rows:,} row{'s' if one.rows != 1 else ''}"
    what = "newest judged window" if one.features else "newest window"
    said = [(HEAD, f"{what} {day(one.start)} to {day(one.end)}, model :{one.version}, {rows}")]
    if windows[-1].remark:
        said.append((HEAD, f"  {day(windows[-1].start)} to {day(windows[-1].end)}: {windows[-1].remark}"))
    said += [(WARNING if found.level == "warning" else BAD, found.message) for found in one.findings]
    said += [(DRIFT, drift_text(found)) for found in one.features if found.drifted and not found.fault][:10]
    if one.features and not one.drifted:
        said.append((GOOD, "no feature drifted"))
    if one.prediction and one.prediction.drifted:
        said.append((DRIFT, drift_text(one.prediction)))
    return said + _answers(one)


def _answers(one: WindowReport) -> list[Said]:
    """What is known of how good the answers of a window were."""
    said = []
    if one.multivariate:
        best = ", ".join(f"{name} {share:.0%}" for name, share in one.multivariate.features[:3])
        told = f"AUC {one.multivariate.auc:.3f}, healthy up to {one.multivariate.threshold:.3f}"
        sign = BAD if one.multivariate.drifted else GOOD
        said.append((sign, f"told from the reference with {told}; by {best}"))
    if one.performance:
        labelled = f"on {one.labelled:,} labelled rows"
        said.append((PLAIN, f"{one.performance.name} {interval(one.performance)} {labelled}"))
    if one.estimate:
        off = "" if one.estimate.error is None else f"; on the labelled rows it was off by {one.estimate.error:+.4f}"
        said.append((PLAIN, f"{one.estimate.metric} estimated without labels: {interval(one.estimate)}{off}"))
    return said
