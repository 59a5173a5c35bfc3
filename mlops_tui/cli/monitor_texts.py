"""How monitor reports and labels read on a screen: heat maps, sparklines, sentences."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime

from mlops_tui.cli.output import cell, facts, mark, paint, table
from mlops_tui.records import Drift, Estimate, LabelsAdded, Metric, MonitorReport, WindowReport

HEAT = "·░▒▓█"  # by distance over threshold: up to a quarter, half, three quarters, below it, above it
COLOURS = ("2", "2", "33", "33", "31;1")
FAULT, ABSENT = "✗", " "
BLOCKS = "▁▂▃▄▅▆▇█"
FEATURES = 20  # shown; the rest are counted


def labels_text(found: LabelsAdded) -> str:
    """What came of adding labels."""
    text = facts([(key, getattr(found, key)) for key in ("rows", "new", "corrected", "repeated", "unmatched")])
    return f"{text}\nwithout a prediction: {', '.join(found.examples)}" if found.examples else text


def reports_text(found: Sequence[MonitorReport]) -> str:
    """Monitor reports as a table."""
    columns = ("report", "deployment", "model", "windows", "rows", "newest", "drifted", "faults", "made", "by")
    rows = [
        (one.id, one.deployment, one.model, len(one.windows), one.rows,
         *_newest(one), one.created_at, one.user)
        for one in found
    ]  # fmt: skip
    return table(columns, rows, "no monitor reports yet; next: mlops monitor run DEPLOYMENT")


def _newest(report: MonitorReport) -> tuple[str, str, str]:
    """Of the newest judged window: when it begins, what drifted, what is broken."""
    one = next((judged for judged in reversed(report.windows) if judged.features), None)
    if one is None:
        return "-", "-", "-"
    return _day(one.start), ", ".join(one.drifted[:4]) or "-", "; ".join(one.faults) or "-"


def report_text(report: MonitorReport) -> str:
    """A monitor report: the heat map, lines of figures under it, and the newest window in words."""
    shown = report.windows[-_room() :]
    dropped = len(report.windows) - len(shown)
    by = "the rows' time" if report.by == "event" else "when they were answered"
    windows = f"{len(report.windows)} window{'s' if len(report.windows) != 1 else ''}"
    head = f"{report.deployment}: {report.rows:,} predictions in {windows} of {report.window} by {by}"
    if dropped:
        head += f" (the newest {len(shown)} shown)"
    return "\n\n".join(part for part in (head, _heat_map(shown), _lines(shown), newest_text(shown)) if part)


def _room() -> int:
    """How many windows fit beside the names; all where nobody looks at a terminal."""
    return max(4, (shutil.get_terminal_size().columns - 34) // 2) if sys.stdout.isatty() else 10_000


def _heat_map(windows: Sequence[WindowReport]) -> str:
    """Features by window, the worst first: how near each is to its threshold."""
    by_name: dict[str, dict[int, Drift]] = {}
    for at, window in enumerate(windows):
        for one in (*window.features, *((window.prediction,) if window.prediction else ())):
            by_name.setdefault(one.feature, {})[at] = one
    if not by_name:
        return "no window has rows enough to be judged"
    ordered = sorted(by_name, key=lambda name: (-max(map(_heat, by_name[name].values())), name))
    shown = ordered[:FEATURES]
    width = max(len(name) for name in shown)
    lines = [f"{'':<{width}}  {_scale(windows)}"]
    for name in shown:
        cells = " ".join(_cell(by_name[name].get(at)) for at in range(len(windows)))
        worst = max(by_name[name].values(), key=_heat)
        lines.append(f"{name:<{width}}  {cells}  {_measure(worst)} {worst.distance:.3f} / {worst.threshold:.3f}")
    if len(ordered) > len(shown):
        lines.append(f"{'':<{width}}  and {len(ordered) - len(shown)} quieter features; --json has all")
    near = f"{HEAT[0]} far below its threshold  {HEAT[1]}{HEAT[2]}{HEAT[3]} nearer"
    legend = f"{near}  {HEAT[4]} above: drifted  {FAULT} data fault"
    return "\n".join([*lines, legend])


def _measure(one: Drift) -> str:
    """What a distance is of: of the values, or of the share that is missing."""
    of_missing = one.distance > 0 and abs(one.distance - abs(one.missing - one.missing_reference)) < 1e-12
    return "missing" if of_missing else one.measure.upper()


def _scale(windows: Sequence[WindowReport]) -> str:
    first, last = _day(windows[0].start), _day(windows[-1].end)
    room = 2 * len(windows) - 1
    return f"{first}{last.rjust(room - len(first))}" if room >= len(first) + len(last) + 1 else f"{first} … {last}"


def _heat(one: Drift) -> float:
    return float("inf") if one.fault else one.distance / one.threshold if one.threshold > 0 else 0.0


def _cell(one: Drift | None) -> str:
    if one is None:
        return ABSENT
    if one.fault:
        return paint(FAULT, "35;1")
    level = 4 if one.drifted else min(3, int(4 * _heat(one)))
    return paint(HEAT[level], COLOURS[level])


def _lines(windows: Sequence[WindowReport]) -> str:
    """Sparklines of what has one figure a window."""
    metric = next(
        (one.performance or one.estimate for one in reversed(windows) if one.performance or one.estimate), None
    )
    name = "" if metric is None else getattr(metric, "name", None) or getattr(metric, "metric", "")
    rows: list[tuple[str, list[float | None], str]] = [
        ("rows", [float(one.rows) for one in windows], ""),
        ("drifted share", [one.drifted_share if one.features else None for one in windows], ""),
        (
            "told apart",
            [one.multivariate.auc if one.multivariate else None for one in windows],
            " AUC; 0.5: not at all",
        ),
        (f"{name} realised", [one.performance.value if one.performance else None for one in windows], ""),
        (f"{name} estimated", [one.estimate.value if one.estimate else None for one in windows], ""),
    ]
    expected = next((one.expected for one in reversed(windows) if one.expected), None)
    told = [(label, values, note) for label, values, note in rows if any(value is not None for value in values)]
    width = max(len(label) for label, _, _ in told)
    lines = [f"{label:<{width}}  {sparkline(values)}  {_ends(values)}{note}" for label, values, note in told]
    if expected:
        lines.append(f"{'expected':<{width}}  {expected.name} {_figure(expected)} on the rows it was tested on")
    return "\n".join(lines)


def sparkline(values: Sequence[float | None]) -> str:
    """Values as blocks of eight heights, from the lowest to the highest; a gap where there is none."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    step = (high - low) or 1.0
    return " ".join(" " if value is None else BLOCKS[round(7 * (value - low) / step)] for value in values)


def _ends(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{_brief(min(known))} to {_brief(max(known))}, now {_brief(values[-1])}"


def _brief(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and value == int(value) and value > 1 else cell(value)


def _figure(of: Metric | Estimate) -> str:
    known = of.low is not None and of.high is not None
    return f"{of.value:.4f}" + (f" ({of.low:.4f} to {of.high:.4f})" if known else "")


def newest_text(windows: Sequence[WindowReport]) -> str:
    """The newest window in words: faults first, then drift, then how good the answers were."""
    if not windows:
        return ""
    one = next((judged for judged in reversed(windows) if judged.features), windows[-1])
    rows = f"{one.rows:,} row{'s' if one.rows != 1 else ''}"
    what = "newest judged window" if one.features else "newest window"
    lines = [f"{what} {_day(one.start)} to {_day(one.end)}, model :{one.version}, {rows}"]
    if windows[-1].remark:
        lines.append(f"  {_day(windows[-1].start)} to {_day(windows[-1].end)}: {windows[-1].remark}")
    lines += [f"  {mark(None if found.level == 'warning' else False)} {found.message}" for found in one.findings]
    for drift in [found for found in one.features if found.drifted and not found.fault][:10]:
        lines.append(f"  {paint('█', '31;1')} {drift_text(drift)}")
    if one.features and not one.drifted:
        lines.append(f"  {mark(True)} no feature drifted")
    if one.prediction and one.prediction.drifted:
        lines.append(f"  {paint('█', '31;1')} {drift_text(one.prediction)}")
    if one.multivariate:
        best = ", ".join(f"{name} {share:.0%}" for name, share in one.multivariate.features[:3])
        sign = mark(not one.multivariate.drifted)
        told = f"AUC {one.multivariate.auc:.3f}, healthy up to {one.multivariate.threshold:.3f}"
        lines.append(f"  {sign} told from the reference with {told}; by {best}")
    if one.performance:
        lines.append(f"    {one.performance.name} {_figure(one.performance)} on {one.labelled:,} labelled rows")
    if one.estimate:
        off = "" if one.estimate.error is None else f"; on the labelled rows it was off by {one.estimate.error:+.4f}"
        lines.append(f"    {one.estimate.metric} estimated without labels: {_figure(one.estimate)}{off}")
    return "\n".join(lines)


def drift_text(one: Drift) -> str:
    """One drifted feature in a line."""
    more = f", PSI {one.psi:.2f}"
    if one.wasserstein is not None:
        more += f", moved by {one.wasserstein:.2f} standard deviations"
    return f"{one.feature} drifted: {_measure(one)} {one.distance:.3f}, healthy up to {one.threshold:.3f}{more}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute, moment.second) == (0, 0, 0) else f"{moment:%m-%d %H:%M}"
