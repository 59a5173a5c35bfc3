"""A request's columns to the model's matrix, with the bits of `features.encode` and without its frame.

polars takes a tenth of a millisecond to set out, whatever the rows: many times what a model of a hundred trees needs
for one. Only what polars itself must compute goes through a frame: expressions, and times with a zone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core.features import encode, input_columns
from mlops_tui.core.kinds import parse_type
from mlops_tui.core.requests import frame_of
from mlops_tui.records import Feature, Input, Signature, Transform

Floats = NDArray[np.float64]
Read = Callable[[Any], float]
NAN = float("nan")
DAY = 86_400_000_000  # microseconds
EPOCH = date(1970, 1, 1).toordinal()
A_BILLIONTH = 1 / 1e9  # polars divides a column by a constant so: the last bit may be another


class Encoder:
    """Makes matrices, shape (rows, features), for one transform; raises InvalidInput as `features.encode` does.

    `takes_all` says that the features are the inputs, numbers all of them, in their order.
    """

    def __init__(self, transform: Transform, signature: Signature) -> None:
        places = {one.name: at for at, one in enumerate(signature.inputs)}
        self._plain: list[tuple[int, int]] = []  # feature, input: numbers, taken as they are
        self._read: list[tuple[int, int, Read]] = []
        self._by_frame: list[int] = []
        for at, feature in enumerate(transform.features):
            if feature.expression is not None or _zoned(signature.inputs[places[feature.column]]):
                self._by_frame.append(at)
            elif (how := reading(feature, signature.inputs[places[feature.column]].dtype)) is None:
                self._plain.append((at, places[feature.column]))
            else:
                self._read.append((at, places[feature.column], how))
        self._rest = Transform(tuple(transform.features[at] for at in self._by_frame))
        needed = input_columns(self._rest)
        self._places = [places[name] for name in needed]
        self._inputs = tuple(signature.inputs[place] for place in self._places)
        self._width = len(transform.features)
        self._pack = struct.Struct(f"{self._width}d").pack
        self.takes_all = self._plain == [(at, at) for at in range(len(signature.inputs))] and not self._by_frame

    def row(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return one row of the matrix, of numbers and None for what is missing, from a value for each input."""
        if self.takes_all:
            return values
        row: list[Any] = [None] * self._width
        for at, place in self._plain:
            row[at] = values[place]
        for at, place, how in self._read:
            value = values[place]
            row[at] = None if value is None else how(value)
        if self._by_frame:
            made = self._frame([[values[place]] for place in self._places])
            for at, value in zip(self._by_frame, made[0].tolist(), strict=True):
                row[at] = value
        return row

    def __call__(self, columns: Sequence[Sequence[Any]]) -> Floats:
        """Return the matrix of columns as `requests.columns_of` gives them."""
        made: Floats = np.empty((len(columns[0]), self._width))
        for at, place in self._plain:
            made[:, at] = columns[place]
        for at, place, how in self._read:
            made[:, at] = [NAN if value is None else how(value) for value in columns[place]]
        if self._by_frame:
            made[:, self._by_frame] = self._frame([columns[place] for place in self._places])
        return made

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> Floats:
        """Return the matrix of rows of values, where features are the inputs themselves (`takes_all`)."""
        try:
            packed = bytearray().join([self._pack(*row) for row in rows])
        except struct.error:  # of a None, which numpy reads as NaN, in three times as long
            return np.array(rows, dtype=np.float64)
        return np.frombuffer(packed).reshape(len(rows), self._width)

    def _frame(self, columns: Sequence[Sequence[Any]]) -> Floats:
        """The features that polars computes, from the columns that they read."""
        return encode(self._rest, frame_of(self._inputs, columns)).to_numpy()


def reading(feature: Feature, dtype: str) -> Read | None:
    """Return how a feature reads a value of an input's type; None where numpy takes it as it is."""
    if feature.kind == "categorical":
        codes = _codes(feature.categories, dtype)
        return lambda value: codes.get(value, NAN)
    if feature.part is None:
        return None
    kind = parse_type(dtype).base_type()
    if feature.part == "seconds":
        return _seconds_of_day if kind == pl.Time else _seconds
    part = _PARTS[feature.part]
    return (lambda days: part(days * DAY)) if kind == pl.Date else part


def _zoned(one: Input) -> bool:
    kind = parse_type(one.dtype)
    return isinstance(kind, pl.Datetime) and kind.time_zone is not None


def _codes(categories: Sequence[str], dtype: str) -> dict[Any, float]:
    """The code of each value; polars writes whole numbers and truths as text before it looks them up."""
    if dtype == "Boolean":
        values: list[Any] = [{"true": True, "false": False}.get(one) for one in categories]
    elif dtype == "Int64":
        values = [int(one) if one.lstrip("-").isdecimal() and str(int(one)) == one else None for one in categories]
    else:
        values = list(categories)
    return {value: float(code) for code, value in enumerate(values) if value is not None}


def _seconds_of_day(nanoseconds: int) -> float:
    return nanoseconds * A_BILLIONTH


def _seconds(microseconds: int) -> float:
    return float(microseconds * 1000) * A_BILLIONTH


@lru_cache(maxsize=4096)
def _day(days: int) -> date:
    return date.fromordinal(days + EPOCH)


_PARTS: dict[str, Read] = {
    "hour": lambda at: float(at // 3_600_000_000 % 24),
    "weekday": lambda at: float((at // DAY + 3) % 7 + 1),  # 1970 began on a Thursday; Monday is 1
    "month": lambda at: float(_day(at // DAY).month),
    "day": lambda at: float(_day(at // DAY).day),
}
