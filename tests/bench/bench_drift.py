"""CPU and memory of a window's drift, against a bare polars script of the same statistics on the same two files.

Both are whole processes that read the files; the script is what one would write in a notebook, without faults,
thresholds or variation. The small case is what a backtest does hundreds of times with one basis.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_tui.core.drift import basis, features
from mlops_tui.records import Input, Signature
from tests.bench.measured import PYTHON, cpu, show

pytestmark = pytest.mark.bench
NAMES = ("old.parquet", "new.parquet")
ROWS, NUMBERS, LABELS = 1_000_000, 40, 10
SCRIPT = """
import resource, sys
import polars as pl

old, new = (pl.read_parquet(name) for name in ("old.parquet", "new.parquet"))

def psi(table):
    p, q = ((pl.col(side) + 0.5) / (pl.col(side) + 0.5).sum() for side in ("old", "new"))
    return table.select(((q - p) * (q / p).log()).sum()).item()

def both(one, other, on):
    return one.join(other, on=on, how="full", coalesce=True, nulls_equal=True).fill_null(0)

def numbers(name):
    deciles = old.select(pl.col(name).quantile(at / 10).alias(str(at)) for at in range(1, 10)).unique().row(0)
    cuts = sorted(set(deciles))
    counted = [f.select(pl.col(name).cut(cuts).alias("bin")).group_by("bin").agg(pl.len().alias(side))
               for f, side in ((old, "old"), (new, "new"))]
    ordered = pl.concat([f.select(pl.col(name).drop_nulls().alias("x"), pl.lit(side).alias("new"))
                         for f, side in ((old, 0), (new, 1))]).sort("x")
    n, m = ordered.height - ordered["new"].sum(), ordered["new"].sum()
    gaps = ordered.select("x", ((1 - pl.col("new")).cum_sum() / n - pl.col("new").cum_sum() / m).abs().alias("gap"))
    step = pl.col("x").shift(-1) - pl.col("x")
    d, w = gaps.select(pl.col("gap").filter(step > 0).max(), (pl.col("gap") * step).sum().alias("w")).row(0)
    gone = [f[name].null_count() / f.height for f in (old, new)]
    outside = (~new[name].is_between(old[name].min(), old[name].max())).sum() / new.height
    return psi(both(*counted, "bin")), d, w / old[name].std(), *gone, outside

def labels(name):
    counted = both(*(f.group_by(name).agg(pl.len().alias(side)) for f, side in ((old, "old"), (new, "new"))), name)
    p, q = (pl.col(side) / pl.col(side).sum() for side in ("old", "new"))
    middle = (p + q) / 2
    parts = [(one * (one / middle).log(2)).fill_nan(0).sum() / 2 for one in (p, q)]
    total = pl.col("old") + pl.col("new")
    expected = [total * pl.col(side).sum() / total.sum() for side in ("old", "new")]
    chi2 = sum(((pl.col(side) - e) ** 2 / e).sum() for side, e in zip(("old", "new"), expected))
    unseen = pl.col("new").filter(pl.col("old") == 0).sum()
    return psi(counted), counted.select((parts[0] + parts[1]).sqrt().alias("js"), chi2.alias("chi2"), unseen).row(0)

for name in old.columns:
    print(name, numbers(name) if name.startswith("n") else labels(name))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, file=sys.stderr)
"""
OURS = """
import resource, sys
import polars as pl
from mlops_tui.core.drift import basis, features
from mlops_tui.records import Input, Signature

old, new = (pl.read_parquet(name) for name in ("old.parquet", "new.parquet"))
inputs = tuple(Input(name, str(kind), True) for name, kind in old.schema.items())
known = basis(Signature("regression", "y", "Float64", inputs), old.with_columns(__score=pl.lit(0.5)), TIME)
for item in features(known, new, 0.01):
    print(item)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, file=sys.stderr)
"""


def write(path: Path, rows: int, seed: int) -> None:
    """Write numbers with ties, skew and nulls, and labels of 2 to 1,000 values."""
    random = np.random.default_rng(seed)
    draws = [random.normal, random.exponential, random.uniform]
    numbers = {f"n{at}": draws[at % 3](size=rows).round(2 if at % 4 == 0 else 12) for at in range(NUMBERS)}
    kinds = np.geomspace(2, 1000, LABELS).astype(int)
    labels = {
        f"c{at}": pl.Series(random.zipf(1.5, rows) % kind).cast(pl.String) + "-label" for at, kind in enumerate(kinds)
    }
    frame = pl.DataFrame(numbers | labels)
    holes = pl.Series(random.random(rows) < 0.02)
    frame.with_columns(pl.when(~holes).then(pl.col("n1", "n5", "c3"))).write_parquet(path)


def test_a_million_rows(tmp_path: Path) -> None:
    write(tmp_path / "old.parquet", ROWS, 1)
    write(tmp_path / "new.parquet", ROWS, 2)
    timed = OURS.replace("TIME", '"n0"')  # any column in order will do: what is learned from time costs the same
    rows = []
    for name, script in (("plain script", SCRIPT), ("ours", OURS.replace("TIME", "None")), ("ours, timed", timed)):
        spent, peak = [], 0.0
        for _ in range(3):
            spent.append(cpu([PYTHON, "-c", script], tmp_path))
            peak = max(peak, float((tmp_path / "bench.out").read_text().strip().splitlines()[-1]))
        rows.append((name, statistics.median(spent), peak))
    table = [(name, spent, spent / rows[0][1], peak) for name, spent, peak in rows]
    show(f"{ROWS:,} rows × {NUMBERS + LABELS} columns, both sides", ("what", "CPU s", "ratio", "peak GiB"), table)
    assert max(ratio for _, _, ratio, _ in table) <= 1.5
    assert max(peak for _, _, _, peak in table) < 3


def test_a_window_of_a_backtest(tmp_path: Path) -> None:
    write(tmp_path / "old.parquet", 5000, 1)
    write(tmp_path / "new.parquet", 2000, 2)
    old, new = (pl.read_parquet(tmp_path / name).select(pl.col("^n1.$"), pl.col("^c.$")) for name in NAMES)
    inputs = tuple(Input(name, str(kind), True) for name, kind in old.schema.items())
    begin = time.process_time()
    known = basis(Signature("regression", "y", "Float64", inputs), old.with_columns(__score=pl.lit(0.5)), None)
    learned, spent = time.process_time() - begin, []
    for _ in range(50):
        begin = time.process_time()
        features(known, new, 0.01)
        spent.append(time.process_time() - begin)
    rows = [("basis", learned * 1e3), ("window", statistics.median(spent) * 1e3)]
    show(f"2,000 rows against 5,000, {len(inputs)} columns", ("what", "CPU ms"), rows)
