"""How the curves of models and one feature of a report read on a screen: tables and plots of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlops_tui.cli.output import facts, table
from mlops_tui.records import Breakdown, Contest, Curves, FeatureReport, FeatureWindow, MetricDifference, Spread
from mlops_tui.texts.cells import cell, day, figure, profile_value
from mlops_tui.texts.contest import better_by, confident, rows_text
from mlops_tui.texts.heat import drift_text, measure
from mlops_tui.texts.plots import Line, lines, plain
from mlops_tui.texts.sparks import spark

PLOT = (64, 18)  # columns and rows
UNIT = (0.0, 1.0)


# ── curves of models ─────────────────────────────────────────────────────────────────────────────


def contest_text(found: Contest) -> str:
    """One model's figures and curves, or two's on the same rows."""
    remarks = [found.remark, *dict.fromkeys(one.remark for one in found.models)]
    notes = [("note", remark) for remark in remarks if remark]
    head = facts([("task", found.task), ("rows", rows_text(found)), *notes])
    parts = [head, _metrics_text(found), _roc_text(found.models), _reliability_text(found.models)]
    parts += [_residuals_text(found.models), *(_breakdown_text(one, found.models) for one in found.breakdowns)]
    return "\n\n".join(part for part in parts if part)


def _metrics_text(found: Contest) -> str:
    """A metric a line: each model's, and how much better the first is."""
    first, differences = found.models[0], {one.metric: one for one in found.differences}
    others = [{one.name: one for one in model.metrics} for model in found.models[1:]]
    rows = []
    for one in first.metrics:
        row = [one.name, figure(one.value, one.low, one.high)]
        for other in others:
            metric = other.get(one.name)
            row.append(figure(metric.value, metric.low, metric.high) if metric else "-")
        rows.append([*row, _led(differences[one.name])] if one.name in differences else row)
    names = [model.model for model in found.models]
    columns = ("metric", *names, *(["better by"] if others else []))
    return table(columns, [[*row, *["-"] * (len(columns) - len(row))] for row in rows], "no metric is defined")


def _led(one: MetricDifference) -> str:
    return better_by(one) + (f", {confident(one)}" if one.low is not None else "")


def _roc_text(models: Sequence[Curves]) -> str:
    series = [Line(one.model, one.roc.false_positive, one.roc.true_positive) for one in models if one.roc]
    return _plot([*series, Line("chance", UNIT, UNIT)], "false positives", "ROC: true positives") if series else ""


def _reliability_text(models: Sequence[Curves]) -> str:
    """What was said against what was so: drawn, and a bin a line."""
    drawn = {one.model: one.reliability for one in models if one.reliability}
    if not drawn:
        return ""
    series = [
        Line(name, tuple(one.predicted for one in bins), tuple(one.observed for one in bins))
        for name, bins in drawn.items()
    ]
    said = [one.predicted for bins in drawn.values() for one in bins]
    ends = (min(said), max(said))
    rows = [
        (name, one.rows, one.predicted, figure(one.observed, one.low, one.high))
        for name, bins in drawn.items()
        for one in bins
    ]
    plot = _plot([*series, Line("as predicted", ends, ends)], "predicted", "reliability: observed")
    return f"{plot}\n\n{table(('model', 'rows', 'predicted', 'observed'), rows, '')}"


def _plot(series: Sequence[Line], x_label: str, y_label: str) -> str:
    return plain(lines(series, *PLOT, x_label=x_label, y_label=y_label))


def _residuals_text(models: Sequence[Curves]) -> str:
    """How far the truth lay above the prediction."""
    shares = ("1 %", "25 %", "50 %", "75 %", "99 %")
    known = [(one.model, one.residuals) for one in models if one.residuals]
    rows = [(name, *(one.quantiles[at] for at in (1, 3, 4, 5, 7)), spark(one.histogram.counts)) for name, one in known]
    if not rows:
        return ""
    edges = known[0][1].histogram.edges
    span = f"from {cell(edges[0])} to {cell(edges[-1])}" if edges else "shape"
    return table(("truth minus prediction", *shares, span), rows, "")


def _breakdown_text(found: Breakdown, models: Sequence[Curves]) -> str:
    rows = [
        (one.value, one.rows, *(figure(m.value, m.low, m.high) if m else "-" for m in one.metrics))
        for one in found.slices
    ]
    drawn = table((f"{found.metric} by {found.column}", "rows", *(one.model for one in models)), rows, "")
    return f"{drawn}\nand {found.unlisted} rarer values" if found.unlisted else drawn


# ── one feature ──────────────────────────────────────────────────────────────────────────────────


def feature_text(found: FeatureReport) -> str:
    """A feature's share of rows in each bin or with each label: in the reference and in every window."""
    sides = _sides(found.windows)
    bins = zip(found.edges, found.edges[1:], strict=False)
    names = list(found.labels) or [_bin(low, high, found.dtype) for low, high in bins]
    rows = [(name, *(_share(one.counts[at], one) for one in sides.values())) for at, name in enumerate(names)]
    rest = "other values" if found.labels else "beyond"
    rows += [(rest, *(_share(one.rest, one) for one in sides.values()))]
    rows += [("missing", *(_share(one.missing, one) for one in sides.values()))]
    if found.kind == "numeric":
        rows.append(("shape", *(spark(one.counts) for one in sides.values())))
    rows.append(("rows", *(f"{one.rows:,}" for one in sides.values())))
    head = f"{found.feature} of {found.model} in {found.deployment}, report {found.report}"
    return "\n\n".join([head, table((found.feature, *sides), rows, ""), "\n".join(map(_window_text, found.windows))])


def _sides(windows: Sequence[FeatureWindow]) -> dict[str, Spread]:
    """The reference of each version and the windows, by what they are called."""
    references = {f"reference :{one.version}": one.reference for one in windows}
    return references | {f"{day(one.start)} :{one.version}": one.window for one in windows}


def _bin(low: float, high: float, dtype: str) -> str:
    """What a bin holds; whole numbers by the first and the last of them."""
    if "Int" in dtype:
        first, last = math.ceil(low), math.floor(high)
        return f"{first}" if first == last else f"{first} to {last}"
    return f"{cell(profile_value(low, dtype))} to {cell(profile_value(high, dtype))}"


def _share(count: int, side: Spread) -> str:
    return f"{count / side.rows:.1%}" if side.rows else "-"


def _window_text(one: FeatureWindow) -> str:
    """What the report says of a window, in a line."""
    when = f"{day(one.start)} to {day(one.end)}"
    said = "not judged"
    if one.drift is not None and (one.drift.drifted or one.drift.fault):
        said = one.drift.fault or drift_text(one.drift)
    elif one.drift is not None:
        said = f"{measure(one.drift)} {one.drift.distance:.3f}, healthy up to {one.drift.threshold:.3f}"
    return f"{when}: {said}" + (f" ({one.remark})" if one.remark else "")
