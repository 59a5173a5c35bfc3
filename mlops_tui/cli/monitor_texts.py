"""How monitor reports and labels read on a screen: heat maps, sparklines, sentences."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from mlops_tui.cli.output import facts, paint, table
from mlops_tui.records import Drift, LabelsAdded, MonitorReport, WindowReport
from mlops_tui.texts.cells import day
from mlops_tui.texts.heat import ABSENT, HEAT, LEGEND, heat_rows, level, measure, worst
from mlops_tui.texts.rules import UNREAD
from mlops_tui.texts.sparks import sparkline
from mlops_tui.texts.timeline import CUT, cuts_before, gaps_text, timeline
from mlops_tui.texts.windows import BAD, DRIFT, GOOD, expected, interval, newest, tracks

COLOURS = ("2", "2", "33", "33", "31;1", "35;1")  # by level of heat
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
    return day(one.start), ", ".join(one.drifted[:4]) or "-", "; ".join(one.faults) or "-"


def report_text(report: MonitorReport) -> str:
    """A monitor report: the heat map, lines of figures under it, and the newest window in words."""
    shown = report.windows[-_room() :]
    dropped = len(report.windows) - len(shown)
    by = "the rows' time" if report.by == "event" else "when they were answered"
    windows = f"{len(report.windows)} window{'s' if len(report.windows) != 1 else ''}"
    head = f"{report.deployment}: {report.rows:,} predictions in {windows} of {report.window} by {by}"
    if dropped:
        head += f" (the newest {len(shown)} shown)"
    if not report.routine:
        head += f"\n{UNREAD}"
    return "\n\n".join(part for part in (head, _heat_map(shown), _lines(shown), _newest_text(shown)) if part)


def _room() -> int:
    """How many windows fit beside the names; all where nobody looks at a terminal."""
    return max(4, (shutil.get_terminal_size().columns - 34) // 2) if sys.stdout.isatty() else 10_000


def _heat_map(windows: Sequence[WindowReport]) -> str:
    """Features by window, the worst first: how near each is to its threshold."""
    rows = heat_rows(windows)
    if not rows:
        return "no window has rows enough to be judged"
    shown = list(rows)[:FEATURES]
    width = max(len(name) for name in shown)
    gaps = timeline((one.start, one.end) for one in windows).gaps
    cut = cuts_before(gaps, [one.start for one in windows])
    lines = [f"{'':<{width}}  {_scale(windows)}"]
    for name in shown:
        far = worst(rows[name])
        cells = "".join(f"{CUT if at in cut else ' '}{_sign(one)}" for at, one in enumerate(rows[name]))[1:]
        lines.append(f"{name:<{width}}  {cells}  {measure(far)} {far.distance:.3f} / {far.threshold:.3f}")
    if len(rows) > len(shown):
        lines.append(f"{'':<{width}}  and {len(rows) - len(shown)} quieter features; --json has all")
    return "\n".join([*lines, LEGEND, *([gaps_text(gaps)] if gaps else [])])


def _scale(windows: Sequence[WindowReport]) -> str:
    first, last = day(windows[0].start), day(windows[-1].end)
    room = 2 * len(windows) - 1
    return f"{first}{last.rjust(room - len(first))}" if room >= len(first) + len(last) + 1 else f"{first} … {last}"


def _sign(one: Drift | None) -> str:
    return ABSENT if one is None else paint(HEAT[level(one)], COLOURS[level(one)])


def _lines(windows: Sequence[WindowReport]) -> str:
    """Sparklines of what has one figure a window."""
    told = tracks(windows)
    width = max(len(one.label) for one in told)
    lines = [f"{one.label:<{width}}  {sparkline(one.values, ' ')}  {one.ends}{one.note}" for one in told]
    if healthy := expected(windows):
        lines.append(f"{'expected':<{width}}  {healthy.name} {interval(healthy)} on the rows it was tested on")
    return "\n".join(lines)


def _newest_text(windows: Sequence[WindowReport]) -> str:
    """The newest window in words."""
    painted = {GOOD: paint(GOOD, "32"), BAD: paint(BAD, "31"), DRIFT: paint(DRIFT, "31;1")}
    return "\n".join(f"  {painted.get(sign, sign)} {words}" if sign else words for sign, words in newest(windows))
