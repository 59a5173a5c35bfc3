"""How a contest reads on the page: metrics and slices as rows, ROC, reliability and residuals as plots."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mlops_tui.flows.release.models import Difference, Shown
from mlops_tui.records import Contest, Metric, MetricDifference
from mlops_tui.texts import plots
from mlops_tui.texts.bars import bars
from mlops_tui.texts.cells import figure
from mlops_tui.texts.contest import better_by, confident
from mlops_tui.tui.release.parts import Line
from mlops_tui.tui.widgets.columns import Cell, Column
from mlops_tui.tui.widgets.drawn import Draw

UNIT = (0.0, 1.0)
SIGNS = {"better": ("✓", "ok"), "worse": ("✗", "fail"), "not told apart": ("·", "dim")}


def metric_columns(refs: Sequence[str], found: Contest | None) -> tuple[Column, ...]:
    """Return the columns of the metrics: a sign, the metric, each version, and how much better the challenger is."""
    sides = [Column(ref, ref, 6, 25, sorts=False) for ref in refs]
    better = [Column("better", "better by", 28, 28, sorts=False)] if found and found.differences else []
    return (Column("sign", "", 1, 1, sorts=False), Column("metric", "metric", 5, 17, sorts=False), *sides, *better)


def own_metrics(found: Difference | None, new: Shown) -> list[Line]:
    """Return each version's metrics on its own test rows, which does not say who is better unless they are the same."""
    metrics = found.metrics if found else {name: (value,) for name, value in new.version.metrics.items()}
    same = ": they are the same" if found and found.same_test_rows else ""
    return [
        Line((Cell(""), Cell(name), *(Cell(figure(value)) for value in values)),
             f"{name} on each version's own test rows{same}")
        for name, values in metrics.items()
    ]  # fmt: skip


def metric_lines(found: Contest) -> list[Line]:
    """Return a metric a row: the older first, then the challenger, and by how much this one is better."""
    differences = {one.metric: one for one in found.differences}
    sides = [{one.name: one for one in model.metrics} for model in reversed(found.models)]
    lines = []
    for name in dict.fromkeys(one.name for model in found.models for one in model.metrics):
        one = differences.get(name)
        values = [_figure(side.get(name)) for side in sides]
        mark, tone, told = _judged(one) if one else ("", "", f"{name}: {' → '.join(values)}")
        better = [Cell(better_by(one), tone)] if one else []
        lines.append(Line((Cell(mark, tone), Cell(name, "lit"), *map(Cell, values), *better), told))
    return lines


def _judged(one: MetricDifference) -> tuple[str, str, str]:
    """The sign, the tone and a sentence of a difference."""
    word = "not told apart"
    if one.low is not None and one.high is not None:
        word = "better" if one.low > 0 else "worse" if one.high < 0 else word
    said = word if word == "not told apart" else f"the challenger is {word}"
    return (*SIGNS[word], f"{one.metric}: {said}: {better_by(one)}; {confident(one)}; positive is better")


def _figure(one: Metric | None) -> str:
    return figure(one.value, one.low, one.high) if one else "-"


def slice_columns(refs: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the slices."""
    sides = [Column(ref, ref, 6, 25, sorts=False) for ref in refs]
    return (
        Column("slice", "rows with", 8, 24, sorts=False),
        Column("rows", "rows", 4, 9, right=True, sorts=False),
        *sides,
    )


def slice_lines(found: Contest) -> list[Line]:
    """Return a value of a column a row, the most frequent first, with the metric of each version on its rows."""
    lines = []
    for split in found.breakdowns:
        for one in split.slices:
            values = [_figure(metric) for metric in reversed(one.metrics)]
            name = f"{split.column} {one.value}"
            told = f"{split.metric} on {one.rows:,} rows with {name}: {' → '.join(values)}"
            lines.append(Line((Cell(name), Cell(f"{one.rows:,}", "dim"), *map(Cell, values)), told))
        if split.unlisted:
            lines.append(Line((Cell(f"and {split.unlisted} rarer values of {split.column}", "dim"),)))
    return lines


def metric_title(found: Contest | None) -> str:
    """Return on which rows the metrics are."""
    if found is None:
        return "Metrics, each on its own test rows"
    return f"Metrics on {'the same' if len(found.models) > 1 else 'its'} {found.rows:,} rows"


def slice_title(found: Contest | None) -> str:
    """Return what the slices are of."""
    sliced = [f"{one.metric} by {one.column}" for one in found.breakdowns] if found else []
    return f"Slices: {', '.join(sliced)}" if sliced else "Slices"


def plots_of(found: Contest) -> list[tuple[str, Draw]]:
    """Return up to two plots with their titles: ROC or residuals, and reliability, as far as the task has them."""
    models = found.models[::-1]
    drawn: list[tuple[str, Draw]] = []
    rocs = [plots.Line(one.model, one.roc.false_positive, one.roc.true_positive) for one in models if one.roc]
    if rocs:
        series = [*rocs, plots.Line("chance", UNIT, UNIT)]
        drawn.append(("ROC", partial(plots.lines, series, x_label="false positives", y_label="true positives",
                                     x_range=UNIT, y_range=UNIT)))  # fmt: skip
    residuals = {one.model: one.residuals for one in models if one.residuals}
    if residuals:
        edges = next(iter(residuals.values())).histogram.edges
        counts = {name: one.histogram.counts for name, one in residuals.items()}
        drawn.append(("Truth minus prediction", partial(bars, edges, counts, y_label="rows")))
    said = [(one.model, one.reliability) for one in models if one.reliability]
    if said:
        ends = [bin_.predicted for _, bins in said for bin_ in bins]
        series = [
            plots.Line(name, tuple(one.predicted for one in bins), tuple(one.observed for one in bins))
            for name, bins in said
        ]
        series.append(plots.Line("as predicted", (min(ends), max(ends)), (min(ends), max(ends))))
        drawn.append(("Calibration", partial(plots.lines, series, x_label="predicted", y_label="observed")))
    return drawn[:2]
