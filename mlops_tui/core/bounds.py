"""A gate's bounds: how far a value lies within them; and numbers and rows in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlops_tui.core.metrics import Answers

if TYPE_CHECKING:  # a container carries this module and no pydantic
    from mlops_tui.config import Gate


def room(value: float, gate: Gate) -> float:
    """Return how far a value lies within a gate's bounds; below zero it lies outside."""
    above = math.inf if gate.min is None else value - gate.min
    return above if gate.max is None else min(above, gate.max - value)


def threshold(gate: Gate, value: float | None = None) -> float | None:
    """Return the bound that matters: the one that the value breaks, else the smallest allowed."""
    if gate.min is None or (gate.max is not None and value is not None and value > gate.max):
        return gate.max
    return gate.min


def bounds(gate: Gate) -> str:
    """Return a gate's bounds in words: "≥ 0.70", "≤ 2", "between 0.85 and 0.95"."""
    if gate.min is not None and gate.max is not None:
        return f"between {bound(gate.min, gate)} and {bound(gate.max, gate)}"
    return f"≥ {bound(gate.min, gate)}" if gate.min is not None else f"≤ {bound(gate.max or 0.0, gate)}"


def bound(limit: float, gate: Gate | None = None) -> str:
    """Return one bound in words; a metric's with two digits."""
    two_digits = gate is not None and gate.metric is not None and abs(limit) < 10 and round(limit, 2) == limit
    return f"{limit:.2f}" if two_digits else f"{limit:,.10g}"


def figure(value: float | None, gate: Gate | None = None) -> str:
    """Return a number with four digits, or with as many as keep it from looking like the bound that it misses."""
    if value is None:
        return "unknown"
    whole = int(math.log10(abs(value))) + 1 if abs(value) >= 1 else 1
    missed = [] if gate is None else [limit for limit in (gate.min, gate.max) if limit not in (None, value)]
    texts = [f"{value:,.{max(digits, whole)}g}" for digits in (4, 7, 15)]
    return next((text for text in texts if float(text.replace(",", "")) not in missed), texts[-1])


def rows_of(answers: Answers) -> str:
    """Return how many test rows there are, in words."""
    return f"{len(answers.y):,} test row{'' if len(answers.y) == 1 else 's'}"


def undefined(metric: str, answers: Answers) -> str:
    """Return that a metric is undefined on some rows, and why where that is plain."""
    one_class = answers.task in ("binary", "multiclass") and len(np.unique(answers.y)) < 2
    return f"{metric} is undefined on {rows_of(answers)}" + (" of one class" if one_class else "")
