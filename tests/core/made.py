"""Small made-up data for the tests of training, and pipelines that fit it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from mlops_tui.config import PipelineFile


def flights(rows: int = 1500, seed: int = 0) -> pl.DataFrame:
    """Rows of every kind of column, with nulls, an event time, a key and a target for every task."""
    rng = np.random.default_rng(seed)
    wind, distance = rng.normal(size=rows), rng.integers(100, 3000, rows)
    carrier = np.array(["AA", "B6", "DL", "UA"])[rng.integers(0, 4, rows)]
    signal = wind + (carrier == "B6") - distance / 3000
    frame = pl.DataFrame(
        {
            "id": np.arange(rows),
            "wind": wind,
            "distance": distance,
            "carrier": carrier,
            "rain": rng.random(rows) < 0.3,
            "late": rng.random(rows) < 1 / (1 + np.exp(-2 * signal)),
            "delay": signal * 10 + rng.normal(size=rows),
            "grade": np.array(["a", "b", "c"])[np.clip(np.round(signal + 1), 0, 2).astype(int)],
            "relevance": np.clip(np.round(signal + 1), 0, 3).astype(int),
            "search": np.sort(rng.integers(0, max(3, rows // 15), rows)),
            "weight": rng.uniform(0.5, 2, rows),
        }
    )
    when = pl.Series("when", 1_600_000_000_000_000 + np.arange(rows) * 600_000_000).cast(pl.Datetime("us"))
    holed = pl.when(pl.col("distance") % 11 != 0).then(pl.col("wind")).alias("wind")
    return frame.with_columns(when, holed)


TARGETS: dict[str, dict[str, Any]] = {
    "binary": {"column": "late", "task": "binary"},
    "multiclass": {"column": "grade", "task": "multiclass"},
    "regression": {"column": "delay", "task": "regression"},
    "quantile": {"column": "delay", "task": "quantile", "quantile": 0.8},
    "ranking": {"column": "relevance", "task": "ranking", "query": "search"},
}


def pipeline(task: str = "binary", **sections: Any) -> PipelineFile:
    """Return a pipeline on `flights`; a section that is given takes the place of the default one."""
    given = {
        "pipeline": {"name": "test"},
        "data": {"dataset": "flights", "source": "x.parquet", "time": "when", "key": ["id"]},
        "target": TARGETS[task],
        "features": {"include": ["wind", "distance", "carrier", "rain"]},
        "train": {"rounds": 40, "early_stopping": 10, "seed": 7},
    }
    return PipelineFile.model_validate(given | sections)
