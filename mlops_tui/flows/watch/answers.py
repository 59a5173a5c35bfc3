"""predictions, read again: what each model version answered in a deployment, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import LabelPart, PredictionPart

if TYPE_CHECKING:
    import polars as pl

Span = tuple[datetime | None, datetime | None]
ALWAYS: Span = (None, None)
AHEAD = timedelta(days=366)  # a row of a time that lies further after its answer says when nothing happened


@dataclass(frozen=True, slots=True)
class Answered:
    """How much a model version answered in a deployment, and when."""

    model: str
    version: int
    rows: int
    first: datetime
    last: datetime

    @property
    def ref(self) -> str:
        """The model version, as `flight-delay:3`."""
        return f"{self.model}:{self.version}"


def versions(workspace: Workspace, deployment: str) -> list[Answered]:
    """Return what each model version answered in a deployment, the one that answered last at the end."""
    with workspace.catalogue.read() as act:
        parts = rows.prediction_parts(act, deployment)
    found = []
    for model, version in dict.fromkeys((part.model, part.version) for part in parts):
        own = [part for part in parts if (part.model, part.version) == (model, version)]
        count, first, last = sum(one.rows for one in own), min(one.first for one in own), max(one.last for one in own)
        found.append(Answered(model, version, count, first, last))
    return sorted(found, key=lambda one: one.last)


def occupied(
    workspace: Workspace, deployment: str, ref: str, seconds: float, span: Span = ALWAYS, time: str | None = None
) -> set[int]:
    """Return which windows of so many seconds hold rows of a span, as `frame` has them; only their times are read."""
    import polars as pl

    from mlops_tui.core.monitor import number_of

    lazy = _rows(workspace, deployment, ref, span, time)
    numbers = lazy.select(number_of(pl.col("__time"), seconds)).unique().collect(engine="streaming")
    return set(numbers.to_series().drop_nulls())


def frame(
    workspace: Workspace, deployment: str, ref: str, span: Span = ALWAYS, time: str | None = None
) -> pl.DataFrame:
    """Return the predictions of a model version with `start` ≤ `__time` < `end`, sorted by it.

    `__time` is the row's own time where a column is named that holds it, else when it was answered; a time before
    1900, or more than a year after the answer, is none.
    """
    lazy = _rows(workspace, deployment, ref, span, time)
    found = lazy.collect(engine="streaming")
    return found.sort("__time", "__request", "__row", maintain_order=True) if found.height else found


def _rows(workspace: Workspace, deployment: str, ref: str, span: Span, time: str | None) -> pl.LazyFrame:
    """The rows of a span, from no more parts than can hold any: when they were answered is known of each part."""
    import polars as pl

    start, end = span
    with workspace.catalogue.read() as act:
        parts = [part for part in rows.prediction_parts(act, deployment) if f"{part.model}:{part.version}" == ref]
    if time is None:
        parts = [one for one in parts if not (start and one.last < start) and not (end and one.first >= end)]
    if not parts:
        return pl.LazyFrame(schema={"__time": pl.Datetime("us", "UTC")})
    lazy = pl.concat([scan(workspace, part) for part in parts])
    lazy = lazy.with_columns(__time=pl.col("__at") if time is None else _own_time(lazy, time))
    for limit in ([pl.col("__time") >= start] if start else []) + ([pl.col("__time") < end] if end else []):
        lazy = lazy.filter(limit)
    return lazy


def _own_time(lazy: pl.LazyFrame, name: str) -> pl.Expr:
    """The rows' own time, in UTC; when they were answered where they carry none."""
    import polars as pl

    from mlops_tui.core.monitor import SENSIBLE

    kind, own = lazy.collect_schema().get(name), pl.col(name)
    if kind == pl.String:  # as canonical text has moments and dates
        moment = own.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
        own = pl.coalesce(moment, own.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")))
    elif kind == pl.Date:
        own = own.cast(pl.Datetime("us"))
    elif not isinstance(kind, pl.Datetime):
        return pl.col("__at")
    zoned = getattr(kind, "time_zone", None) is not None
    own = (own.dt.convert_time_zone("UTC") if zoned else own.dt.replace_time_zone("UTC")).dt.cast_time_unit("us")
    return pl.when(own.is_between(SENSIBLE[0], pl.col("__at") + AHEAD)).then(own).otherwise("__at")


def scan(workspace: Workspace, part: PredictionPart | LabelPart) -> pl.LazyFrame:
    """Return the rows of a part, read when they are asked for."""
    import polars as pl

    return pl.scan_parquet(workspace.objects.checked_path(part.hash))
