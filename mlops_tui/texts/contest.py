"""Runs or model versions held against each other, in words: on which rows, and who leads by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_tui.records import Contest, MetricDifference


def tested(same: bool) -> str:
    """Return on which rows metrics are that stand side by side."""
    return "on the same test rows" if same else "each on test rows of its own, so they do not compare alike"


def rows_text(found: Contest) -> str:
    """Return on which rows versions were measured, and how these differ from a gate's."""
    left_out = f"; a gate counts the {found.left_out:,} others, too, and says so" if found.left_out else ""
    return f"{found.sets}: {found.rows:,} rows{left_out}"


def better_by(one: MetricDifference) -> str:
    """Return how much better the first is, with its interval where it is known: +0.0070 (+0.0031 to +0.0109)."""
    known = one.low is not None and one.high is not None
    return f"{one.difference:+.4f}" + (f" ({one.low:+.4f} to {one.high:+.4f})" if known else "")


def confident(one: MetricDifference) -> str:
    """Return how sure that interval is, and where it is from: 95 % interval, DeLong."""
    return f"{100 * one.confidence:.4g} % interval, {one.method}"
