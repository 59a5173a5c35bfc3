"""How the parts of a run read: metrics, folds, the learning curve, a line of its log, how far it is."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlops_tui.flows.queries.live import Told
from mlops_tui.records import Curve, RunDetails
from mlops_tui.texts import plots
from mlops_tui.texts.cells import figure
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Draw

METRICS = (
    Column("metric", "metric", 6, 18), Column("test", "test", 6, 28),
    Column("validation", "validation", 6, 10, right=True), Column("train", "train", 6, 8, right=True),
)  # fmt: skip


def metrics(details: RunDetails) -> dict[Key, tuple[Cell, ...]]:
    """Return the metrics on the test rows with their intervals, and beside them those on the other rows."""
    beside = (details.metrics.get(name, ()) for name in ("validation", "train"))
    others = [{metric.name: metric.value for metric in one} for one in beside]
    return {
        metric.name: (
            Cell(metric.name), Cell(figure(metric.value, metric.low, metric.high), "lit", metric.value),
            *(Cell(figure(known.get(metric.name)), "", known.get(metric.name)) for known in others),
        )
        for metric in details.metrics.get("test", ())
    }  # fmt: skip


def fold_columns(details: RunDetails | None) -> tuple[Column, ...]:
    """Return the columns of a table of folds: one for each metric."""
    names = [metric.name for metric in details.folds[0].metrics] if details and details.folds else []
    rows = (Column("train", "trained on", 10, 12, right=True), Column("test", "tested on", 9, 12, right=True))
    return (Column("fold", "fold", 4, 4, right=True), *rows, *(Column(name, name, 6, 17, right=True) for name in names))


def folds(details: RunDetails) -> dict[Key, tuple[Cell, ...]]:
    """Return a row for every fold, by its number from 1 on."""
    return {
        number: (
            Cell(str(number), "", number), Cell(f"{fold.train_rows:,}", "", fold.train_rows),
            Cell(f"{fold.test_rows:,}", "", fold.test_rows),
            *(Cell(f"{metric.value:.4f}", "", metric.value) for metric in fold.metrics),
        )
        for number, fold in enumerate(details.folds, 1)
    }  # fmt: skip


def drawn(curve: Curve) -> Draw:
    """Return the drawing of a learning curve; a dotted line stands at the best round."""
    pairs = (("validation", curve.validation), ("train", curve.train))
    series = [plots.Line(name, curve.rounds, values) for name, values in pairs if values]
    label = f"{curve.metric}, best at round {curve.best_round}"
    return lambda width, height: plots.lines(
        series, width, height, x_label="round", y_label=label, marks=(curve.best_round,)
    )


def line(event: Told) -> str:
    """Return a line of the log."""
    values = "  ".join(f"{name} {value:.5f}" for name, value in event.values.items() if value is not None)
    count = f"{event.done}/{event.total}" if event.total else ""
    return "  ".join(part for part in (f"{event.at:%H:%M:%S}", f"{event.step:<8}", event.text, count, values) if part)


def progress(events: Sequence[Told], width: int) -> Content:
    """Return how far a live run is, as a bar that fits a screen of so many columns."""
    if not events:
        return Content("▶ starting")
    last = events[-1]
    if not last.total:
        return Content(f"▶ {last.step}: {last.text}")
    room = max(10, min(40, width // 3))
    full = min(room, room * last.done // last.total)
    bar = Content.styled("█" * full, "$primary").append(Content.styled("░" * (room - full), "dim"))
    return Content.assemble(f"▶ {last.step} ", bar, f" {last.done}/{last.total}")
