"""Made data: columns drawn by hand, the parquet parts that hold them, profiles, and dataset versions of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb

from mlops_tui.adapters.catalogue import build
from mlops_tui.config import PipelineFile
from mlops_tui.records import (
    Column,
    ColumnProfile,
    DatasetVersion,
    Finding,
    Histogram,
    Part,
    Profile,
    SourceFile,
    hash_of,
)
from tests.tui.made_base import Making, moment

DTYPES = {"BIGINT": "Int64", "DOUBLE": "Float64", "VARCHAR": "String", "BOOLEAN": "Boolean"}
MOMENT = "Datetime(time_unit='us', time_zone='UTC')"
PRIMES = (1, 3, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)  # by column, so that columns do not go together
SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A column: digits give the heights of its bins, between two ends or of labels; `season` moves it by month."""

    name: str
    kind: str
    heights: str
    ends: tuple[float, float] = (0.0, 1.0)
    labels: tuple[str, ...] = ()
    nulls: float = 0.0
    season: float = 0.0

    def at(self, share: float) -> float:
        """The value below which a share of the rows lies."""
        digits, (low, high) = [int(digit) for digit in self.heights], self.ends
        left = share * sum(digits)
        for place, height in enumerate(digits):
            if height and left <= height:
                return low + (high - low) * (place + left / height) / len(digits)
            left -= height
        return high


@dataclass(frozen=True, slots=True)
class Source:
    """What a dataset is made from: columns, its parts in the order of the months, and a sample of their rows."""

    columns: tuple[Drawn, ...]
    parts: tuple[Part, ...]
    sample: str


FLIGHTS = (
    Drawn("carrier", "VARCHAR", "432211", labels=("DL", "MQ", "AA", "B6", "US", "EV")),
    Drawn("dest", "VARCHAR", "5432221", labels=("ATL", "ORD", "CLT", "MIA", "BOS", "DCA", "DEN")),
    Drawn("distance", "BIGINT", "312518271131", (96, 1620)),
    Drawn("sched_dep_time", "BIGINT", "768587768321", (529, 2225)),
    Drawn("temp", "DOUBLE", "113664448631", (12.02, 98.96), season=2.5),
    Drawn("humid", "DOUBLE", "113687644431", (12.74, 100.0), season=0.8),
    Drawn("wind_speed", "DOUBLE", "135844211111", (0.0, 35.67)),
    Drawn("precip", "DOUBLE", "900000000001", (0.0, 0.64)),
    Drawn("pressure", "DOUBLE", "111125786321", (983.8, 1038.0), nulls=0.117, season=0.4),
    Drawn("visib", "DOUBLE", "111111011119", (0.12, 10.0)),
    Drawn("plane_seats", "BIGINT", "121258001101", (2, 400), nulls=0.288),
    Drawn("late", "BOOLEAN", "73", labels=("false", "true"), nulls=0.039),
)
CUSTOMERS = (
    Drawn("plan", "VARCHAR", "532", labels=("basic", "plus", "pro")),
    Drawn("tenure_months", "BIGINT", "987654332211", (0, 72)),
    Drawn("spend", "DOUBLE", "257986543211", (4.9, 219.0)),
    Drawn("next_plan", "VARCHAR", "631", labels=("stays", "leaves", "upgrades")),
)
METERS = (
    Drawn("hour", "BIGINT", "444444444444", (0, 23)),
    Drawn("outside", "DOUBLE", "123566543321", (-9.0, 34.0), season=1.5),
    Drawn("kwh", "DOUBLE", "148974332111", (0.1, 9.8)),
)


@cache
def _duck() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": "1"})


@cache
def _lists(columns: tuple[Drawn, ...]) -> str:
    """Make a table of one row, for each column a list of 100 values in its shares, and return its name."""
    name = f"lists_{abs(hash(columns))}"
    found = []
    for column in columns:
        digits = [int(digit) for digit in column.heights]
        if column.labels:
            ends = [sum(digits[: place + 1]) / sum(digits) for place in range(len(digits))]
            values = [next(name for name, end in zip(column.labels, ends, strict=True) if (n + 0.5) / 100 <= end)
                      for n in range(100)]  # fmt: skip
            found.append(f"{values} AS {column.name}")
        else:
            found.append(f"{[round(column.at((n + 0.5) / 100), 2) for n in range(100)]} AS {column.name}")
    _duck().execute(f"CREATE TABLE {name} AS SELECT {', '.join(found)}")
    return name


def rows_sql(columns: tuple[Drawn, ...], month: int, rows: int, days: float = 27.5) -> str:
    """The query that gives rows from a month's first on: a key, their time, the columns; the same on every machine."""
    chosen = []
    for prime, column in zip(PRIMES, columns, strict=False):
        value = f"{column.name}[1 + (i * {prime} + i // 100 * {prime + 2} + {month}) % 100]"
        value = f"({value}{f' + {column.season * (month - 1)}' if column.season else ''})::{column.kind}"
        if column.nulls:
            value = f"CASE WHEN (i * {prime} + i // 7) % 1000 >= {1000 * column.nulls:g} THEN {value} END"
        chosen.append(f"{value} AS {column.name}")
    step, start = int(86_400 * days / rows), int(moment(f"{month:02}-01 00:00").timestamp())
    own = f"printf('{month:02}%05d', i) AS id, to_timestamp({start} + i * {step}) AS moment"
    return f"SELECT {own}, {', '.join(chosen)} FROM range({rows}) AS r(i), {_lists(columns)}"


@cache
def _parquet(sql: str) -> tuple[bytes, int]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "made.parquet"
        rows = _duck().execute(f"COPY ({sql}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)").fetchone()
        return file.read_bytes(), int(rows[0]) if rows else 0


def table(making: Making, sql: str) -> tuple[str, int, int]:
    """Store what a query gives as a parquet object; returns its hash, rows and bytes."""
    content, rows = _parquet(sql)
    return making.keep(content), rows, len(content)


def part(making: Making, columns: tuple[Drawn, ...], name: str, month: int, rows: int) -> Part:
    """Store a month of rows as a part, named after its file in `data/`."""
    hash_, count, size = table(making, rows_sql(columns, month, rows))
    return Part(hash_, count, size, f"data/{name}/2013-{month:02}.parquet")


def source(making: Making, columns: tuple[Drawn, ...], name: str, rows: Sequence[int]) -> Source:
    """Store so many rows of each month from January on, and a sample with scores, as a model keeps it."""
    parts = tuple(part(making, columns, name, month, count) for month, count in enumerate(rows, 1))
    rows_of_january = rows_sql(columns, 1, 400)
    sample, _, _ = table(making, f"SELECT *, id::INTEGER * 37 % 100 / 100 AS __score FROM ({rows_of_january})")
    return Source(columns, parts, sample)


def arrived(making: Making, parts: Sequence[Part]) -> list[SourceFile]:
    """Write the source files that parts came from, and return what is known of them: nothing looks new."""
    files = []
    for number, one in enumerate(parts, 1):
        path = making.workspace.root / one.source
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(making.workspace.objects.path(one.hash), path)
        seconds = int(moment(f"{number:02}-28 06:00").timestamp())
        os.utime(path, (seconds, seconds))
        files.append(SourceFile(one.source, one.bytes, seconds * 10**9, one.hash))
    return files


def _profiled(column: Drawn, rows: int) -> ColumnProfile:
    dtype, nulls = DTYPES[column.kind], round(rows * column.nulls)
    digits = [int(digit) for digit in column.heights]
    counts = tuple((rows - nulls) * digit // sum(digits) for digit in digits)
    if column.labels:
        top = tuple(zip(column.labels, counts, strict=True))
        return ColumnProfile(column.name, dtype, nulls, column.nulls, len(counts), top=top)
    low, high = column.ends
    edges = tuple(low + (high - low) * place / len(digits) for place in range(len(digits) + 1))
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    mean = sum(m * d for m, d in zip(middles, digits, strict=True)) / sum(digits)
    std = (sum((m - mean) ** 2 * d for m, d in zip(middles, digits, strict=True)) / sum(digits)) ** 0.5
    whole = round if column.kind == "BIGINT" else float
    quantiles = tuple(float(whole(column.at(share))) for share in SHARES)
    return ColumnProfile(
        column.name, dtype, nulls, column.nulls, 97, round(mean, 2), round(std, 2), quantiles,
        histogram=Histogram(edges, counts),
    )  # fmt: skip


def profile(columns: Sequence[Drawn], parts: Sequence[Part]) -> Profile:
    """What a version of these parts holds, as it was drawn."""
    rows = sum(one.rows for one in parts)
    ends = (moment("01-01 00:00").timestamp(), moment(f"{len(parts):02}-28 18:00").timestamp())
    time = Drawn("moment", "BIGINT", "999999999999", ends)
    key = ColumnProfile("id", "String", 0, 0.0, rows, top=(("0100000", 1), ("0100001", 1), ("0100002", 1)))
    at = _profiled(time, rows)
    timed = ColumnProfile("moment", MOMENT, 0, 0.0, rows, at.mean, at.std, at.quantiles, histogram=at.histogram)
    return Profile(rows, (key, timed, *(_profiled(column, rows) for column in columns)))


def version_hash(dataset: str, number: int) -> str:
    """The hash of a dataset version: of its name alone, so that it is the same with every version of DuckDB."""
    return hash_of((dataset, number))


def dataset_version(
    making: Making,
    settings: PipelineFile,
    number: int,
    content: tuple[Sequence[Drawn], Sequence[Part]],
    made: tuple[datetime, str],
    findings: tuple[Finding, ...] = (),
) -> DatasetVersion:
    """Put a dataset version; one with an error among its findings is broken."""
    (columns, parts), (at, user), data = content, made, settings.data
    schema = (Column("id", "String"), Column("moment", MOMENT), *(Column(c.name, DTYPES[c.kind]) for c in columns))
    broken = any(finding.level == "error" for finding in findings)
    version = DatasetVersion(
        data.dataset, number, version_hash(data.dataset, number), sum(one.rows for one in parts), schema,
        tuple(parts), making.put(profile(columns, parts)), findings, "broken" if broken else "ok", data.source,
        number - 1 or None, user, at,
    )  # fmt: skip
    build.put_dataset(making.act, data.dataset, data.model_dump_json())
    build.add_dataset_version(making.act, version, ())
    details: dict[str, Any] = {"rows": version.rows, "parts": len(parts), "state": version.state, "hash": version.hash}
    making.tell(at, user, "dataset.version", f"{data.dataset}:{number}", **details)
    return version
