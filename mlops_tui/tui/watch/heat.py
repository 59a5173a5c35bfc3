"""How the drift of a feature in a window reads: a cell of the heat map, and a sentence of figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from textual.content import Content

from mlops_tui.records import Drift, WindowReport
from mlops_tui.texts.cells import day
from mlops_tui.texts.heat import ABSENT, DRIFTED, FAULT, HEAT, heat, level, measure, worst
from mlops_tui.tui.widgets.columns import Cell

TONES = ("dim", "dim", "due", "warn", "fail", "wait")  # by level of heat
SHORT, LONG = 3, 6  # columns that a window takes with its gap


def short(window: WindowReport, wide: int) -> str:
    """Return the head of a window's column: its day, or its hour where it is shorter than a day."""
    hours = window.end - window.start < timedelta(days=1)
    long, short = ("%H:%M", "%H") if hours else ("%m-%d", "%d")
    return window.start.strftime(long if wide == LONG else short)


def row_cells(name: str, shown: Sequence[Drift | None], row: Sequence[Drift | None]) -> tuple[Cell, ...]:
    """Return a feature, how it is in the windows that are shown, and its worst of all windows in figures."""
    far = worst(row)
    sign = max(level(one) for one in row if one is not None)
    figures = Cell(far.fault or f"{measure(far)} {far.distance:.3f} / {far.threshold:.3f}", TONES[sign], heat(far))
    return (Cell(name, "lit"), *(_heat_cell(one) for one in shown), figures)


def _heat_cell(one: Drift | None) -> Cell:
    return Cell(ABSENT) if one is None else Cell(HEAT[level(one)] * 2, TONES[level(one)], heat(one))


def cell_text(name: str, window: WindowReport, one: Drift | None) -> Content:
    """Return what is known of a feature in a window, in a sentence of figures."""
    head = Content.styled(f" {name} {day(window.start)} to {day(window.end)}: ", "bold")
    if one is None:
        return Content.assemble(head, window.remark or "not judged")
    return Content.assemble(head, "  ".join(figures(one)))


def figures(one: Drift) -> list[str]:
    """Return a drift's verdict and its figures, each with its name."""
    word = f"{HEAT[FAULT]} {one.fault}" if one.fault else f"{HEAT[DRIFTED]} drifted" if one.drifted else "✓ healthy"
    found = [
        word, f"{measure(one)} {one.distance:.3f}, healthy up to {one.threshold:.3f}", f"PSI {one.psi:.3f}",
        "p < 0.0001" if one.p_value < 0.0001 else f"p {one.p_value:.4f}",
    ]  # fmt: skip
    if one.wasserstein is not None:
        found.append(f"moved by {one.wasserstein:.2f} sd")
    found.append(f"missing {one.missing:.1%} (reference {one.missing_reference:.1%})")
    found += [f"unseen {one.unseen:.1%}"] if one.unseen or one.kind == "categorical" else []
    return found + ([f"out of range {one.out_of_range:.1%}"] if one.out_of_range else [])
