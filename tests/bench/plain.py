"""What somebody would write without us: read, prepare, train, evaluate; `python plain.py SETTINGS.json FILES…`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]


def main() -> None:
    """Print the AUC on the last fifth of the rows."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    frame = pl.read_parquet(sys.argv[2:]).filter(pl.col("late").is_not_null()).sort("time_hour")
    times = frame["time_hour"].to_numpy()
    first, last = np.searchsorted(times, [times[int(len(times) * share)] for share in (0.65, 0.8)])
    derived = {name: pl.sql_expr(text) for name, text in sorted(settings["derive"].items())}
    frame = frame.with_columns(**derived).drop("flight_id", "time_hour", *settings["exclude"])
    late = frame["late"].cast(pl.Float64).to_numpy()
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    codes = (pl.col(name).cast(pl.Enum(sorted(frame[name][:first].drop_nulls().unique())), strict=False).to_physical()
             for name in texts)  # fmt: skip
    frame = frame.drop("late").with_columns(codes)
    places = [frame.columns.index(name) for name in texts]
    matrix = frame.cast(pl.Float64).rename({name: f"f{at}" for at, name in enumerate(frame.columns)})
    params = settings["params"]
    data = lgb.Dataset(matrix[:first], late[:first], categorical_feature=places, params=params)
    judged = lgb.Dataset(matrix[first:last], late[first:last], reference=data)
    rounds = settings["rounds"]
    stop = lgb.early_stopping(rounds, verbose=False)
    booster = lgb.train(params, data, rounds, valid_sets=[judged], callbacks=[stop])
    scores = booster.predict(matrix[last:].to_numpy(), num_threads=params["num_threads"])
    print(roc_auc_score(late[last:], scores))


if __name__ == "__main__":
    main()
