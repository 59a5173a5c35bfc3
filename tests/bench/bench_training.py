"""CPU of a whole training against a plain script that reads, prepares, trains and takes the test AUC; both in pairs.

Run as `python -m tests.bench.bench_training`; prints the medians of five and the ratio.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from mlops_tui.config import PipelineFile, load_pipeline
from mlops_tui.core.training import train

SAMPLE = Path(__file__).parents[2] / "sample_data"


def ours(settings: PipelineFile, threads: int) -> tuple[float, dict[str, float]]:
    """Return the test AUC and the CPU seconds by step."""
    frame = pl.read_parquet(SAMPLE / "flights" / "*.parquet")
    trained = train(frame, settings, threads=threads, cpu=time.process_time)
    return trained.details.metrics["test"][0].value, trained.details.timings


def plain(settings: PipelineFile, threads: int) -> float:
    """Return the test AUC of a script that does the same by hand."""
    frame = pl.read_parquet(SAMPLE / "flights" / "*.parquet").filter(pl.col("late").is_not_null()).sort("time_hour")
    times = frame["time_hour"].to_numpy()
    cuts = [times[int(len(times) * share)] for share in (0.65, 0.8)]
    first, last = np.searchsorted(times, cuts)
    frame = frame.with_columns(
        *(pl.sql_expr(text).alias(name) for name, text in settings.features.derive.items()),
    ).drop("flight_id", "time_hour", *settings.features.exclude)
    late = frame["late"].cast(pl.Float64).to_numpy()
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    frame = frame.drop("late").with_columns(
        pl.col(name).cast(pl.Enum(sorted(frame[name].drop_nulls().unique()))).to_physical() for name in texts
    )
    places = [frame.columns.index(name) for name in texts]
    matrix = frame.cast(pl.Float64).rename({name: f"f{at}" for at, name in enumerate(frame.columns)})
    params = dict(settings.train.params) | {"objective": "binary", "metric": "auc", "seed": settings.train.seed}
    params |= {"num_threads": threads, "deterministic": True, "force_row_wise": True, "verbosity": -1}
    data = lgb.Dataset(matrix[:first], late[:first], categorical_feature=places, params=params)
    judged = lgb.Dataset(matrix[first:last], late[first:last], reference=data)
    stop = lgb.early_stopping(settings.train.early_stopping, verbose=False)
    booster = lgb.train(params, data, settings.train.rounds, valid_sets=[judged], callbacks=[stop])
    return float(roc_auc_score(late[last:], booster.predict(matrix[last:].to_numpy(), num_threads=threads)))


def main() -> None:
    """Measure both in turn, five times."""
    settings = load_pipeline(SAMPLE / "flight-delay.toml")
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else (os.cpu_count() or 1)
    spent: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(5):
        began = time.process_time()
        by_hand = plain(settings, threads)
        between = time.process_time()
        auc, steps = ours(settings, threads)
        spent["plain"].append(between - began)
        spent["ours"].append(time.process_time() - between)
    middle = {name: statistics.median(values) for name, values in spent.items()}
    pairs = statistics.median(mine / theirs for mine, theirs in zip(spent["ours"], spent["plain"], strict=True))
    print(
        {name: round(value, 2) for name, value in middle.items()}, f"ratio {pairs:.3f}", f"auc {by_hand:.4f} {auc:.4f}"
    )
    print({name: round(value, 3) for name, value in steps.items()})


if __name__ == "__main__":
    main()
