"""What is odd about a request's values, counted by column, and what the pipeline's policy makes of it.

A service reads most requests without ever coming here: only what is odd costs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_tui.core.requests import MOST, BadRows, Problem
from mlops_tui.records import InputPolicy, Oddity, Signature, Transform

NUMBERS = ("Int64", "Float64")
Columns = Sequence[Sequence[Any]]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Oddities:
    """Odd values of one request: how many by column and kind, and the first that are to be told."""

    counts: dict[tuple[str, Oddity], int] = field(default_factory=dict)
    told: list[Problem] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)

    def add(self, finding: Oddity, column: str, count: int = 1) -> None:
        """Count odd values of a column."""
        place = (column, finding)
        self.counts[place] = self.counts.get(place, 0) + count

    def judge(self, policy: str, finding: Oddity, problem: Problem) -> bool:
        """Count one odd value; returns whether it refuses the request, and keeps what is to be told of it."""
        self.add(finding, "" if finding == "unknown" else problem.column)  # a client could make up columns without end
        kept = {"refuse": self.refused, "warn": self.told}.get(policy)
        if kept is not None and len(kept) < MOST:
            kept.append(problem)
        return policy == "refuse"


class Watch:
    """Looks at the columns of requests: nulls, categories that training did not see, numbers beyond what it saw."""

    def __init__(self, signature: Signature, transform: Transform, policy: InputPolicy) -> None:
        coded = seen_categories(signature, transform)
        self._names = [one.name for one in signature.inputs]
        self._ranges = [
            (at, one.min, one.max)
            for at, one in enumerate(signature.inputs)
            if one.dtype in NUMBERS and one.min is not None and one.max is not None and one.name not in coded
        ]
        self._known = [(at, frozenset(coded[one.name])) for at, one in enumerate(signature.inputs) if one.name in coded]
        covered = {at for at, *_ in (*self._ranges, *self._known)}
        self._others = [at for at in range(len(self._names)) if at not in covered]
        self._policy = policy
        self._low, self._high = np.full(len(self._names), -np.inf), np.full(len(self._names), np.inf)
        for at, low, high in self._ranges:
            self._low[at], self._high[at] = low, high

    def row(self, values: Sequence[Any], found: Oddities | None = None) -> Oddities | None:
        """Look at one row, a value for each input; None where nothing is odd, the usual case, which costs least."""
        odd: list[tuple[int, Oddity]] = []
        for at, low, high in self._ranges:
            value = values[at]
            if value is None:
                odd.append((at, "null"))
            elif not low <= value <= high:
                odd.append((at, "range"))
        for at, known in self._known:
            value = values[at]
            if value not in known:
                odd.append((at, "null" if value is None else "unseen"))
        for at in self._others:
            if values[at] is None:
                odd.append((at, "null"))
        if not odd:
            return found
        found = found or Oddities()
        for at, finding in odd:
            self._judge(found, finding, at, 0, values[at])
        return found

    def columns(self, columns: Columns, found: Oddities | None = None) -> Oddities | None:
        """Look at many rows, a list of values for each input, as `row` does at one."""
        found = found or Oddities()
        for at, column in enumerate(columns):
            nulls = column.count(None)
            if nulls:
                found.add("null", self._names[at], nulls)
        for at, low, high in self._ranges:
            self._look(found, "range", at, columns[at], lambda value, low=low, high=high: low <= value <= high)
        for at, known in self._known:
            self._look(found, "unseen", at, columns[at], known.__contains__)
        return found if found.counts else None

    def matrix(self, matrix: Floats, usual: bool, found: Oddities) -> bool:
        """Look at a matrix whose columns are the inputs, numbers all of them; returns False if `columns` has to look.

        That is where a number is out of range and more is to be done about it than counting; `usual` says that none is.
        """
        nulls = np.isnan(matrix)
        if usual:
            if nulls.any():
                self._count("null", nulls, found)
            return True
        outside = (matrix < self._low) | (matrix > self._high)
        if self._policy.range != "keep" and outside.any():
            return False
        self._count("null", nulls, found)
        self._count("range", outside, found)
        return True

    def _count(self, finding: Oddity, where: NDArray[np.bool_], found: Oddities) -> None:
        if not where.any():
            return
        counts = where.sum(axis=0)
        for at in np.flatnonzero(counts):
            found.add(finding, self._names[at], int(counts[at]))

    def _look(self, found: Oddities, finding: Oddity, at: int, column: Sequence[Any], fits: Any) -> None:
        strange = {value for value in set(column) if value is not None and not fits(value)}
        if not strange:
            return
        policy = getattr(self._policy, finding)
        if policy in ("null", "keep"):
            found.add(finding, self._names[at], sum(value in strange for value in column))
            return
        for number, value in enumerate(column):
            if value in strange:
                self._judge(found, finding, at, number, value)

    def _judge(self, found: Oddities, finding: Oddity, at: int, number: int, value: Any) -> None:
        if finding == "null":
            found.add("null", self._names[at])
            return
        expected = "a category that training saw" if finding == "unseen" else "a number in the range of training"
        shown = f"{value!a}"[:60]
        found.judge(getattr(self._policy, finding), finding, Problem(number, self._names[at], expected, shown))

    def nulled(self, columns: Columns) -> list[list[Any]]:
        """Return the columns with null for numbers out of range, as the policy "null" has it."""
        made = [list(column) for column in columns]
        for at, low, high in self._ranges:
            made[at] = [value if value is None or low <= value <= high else None for value in made[at]]
        return made

    @property
    def nulls_range(self) -> bool:
        """Whether numbers out of range are read as null."""
        return self._policy.range == "null"


def refuse(found: Oddities | None) -> None:
    """Raise BadRows if a policy refuses what was found."""
    if found is not None and found.refused:
        raise BadRows(tuple(found.refused[:MOST]))


def seen_categories(signature: Signature, transform: Transform) -> dict[str, list[Any]]:
    """Return by input the categories that training saw, as values of a request."""
    types = {one.name: one.dtype for one in signature.inputs}
    coded = {one.column: one.categories for one in transform.features if one.expression is None and one.categories}
    return {name: _values(categories, types[name]) for name, categories in coded.items() if name in types}


def _values(categories: Sequence[str], dtype: str) -> list[Any]:
    """The categories as values of a request; polars writes whole numbers and truths as text before it looks them up."""
    if dtype == "Boolean":
        return [one == "true" for one in categories if one in ("true", "false")]
    if dtype == "Int64":
        return [int(one) for one in categories if one.lstrip("-").isdecimal() and str(int(one)) == one]
    return list(categories)
