"""The promise behind the machinery: a script written by hand, on the same rows, gives the same test AUC."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from mlops_tui.core.training import Trained, train
from tests.core.made import pipeline

SAMPLE = Path(__file__).parents[2] / "sample_data" / "flights"
NUMBERS = ["distance", "temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib", "plane_year"]
TEXTS = ["carrier", "dest", "plane_engine"]


def by_hand(frame: pl.DataFrame, trained: Trained) -> float:
    """What somebody would write without us: polars, LightGBM, scikit-learn."""
    side = {name: part["row"].to_numpy() for (name,), part in trained.rows.group_by("set")}
    frame = frame.with_columns((pl.col("sched_dep_time") // 100).alias("dep_hour"))
    columns = {}
    for name in [one for one in frame.columns if one in NUMBERS + TEXTS]:
        values = frame[name]
        if name in TEXTS:
            known = sorted(values[side["train"]].drop_nulls().unique())
            values = values.replace_strict(known, range(len(known)), default=None)
        columns[name] = values.cast(pl.Float64).to_numpy()
    columns["dep_hour"] = frame["dep_hour"].cast(pl.Float64).to_numpy()
    matrix, late = np.column_stack(list(columns.values())), frame["late"].cast(pl.Float64).to_numpy()
    texts = [at for at, name in enumerate(columns) if name in TEXTS]
    params = trained.details.parameters
    first = lgb.Dataset(matrix[side["train"]], late[side["train"]], categorical_feature=texts, params=params)
    second = lgb.Dataset(matrix[side["validation"]], late[side["validation"]], reference=first)
    stop = lgb.early_stopping(10, verbose=False)
    booster = lgb.train(params, first, 60, valid_sets=[second], callbacks=[stop])
    return float(roc_auc_score(late[side["test"]], booster.predict(matrix[side["test"]])))


def test_a_plain_script_gives_the_same_auc() -> None:
    if not SAMPLE.exists():
        pytest.skip("the sample data is not there")
    frame = pl.read_parquet(SAMPLE / "2013-0[1-3].parquet").sample(12_000, seed=1).sort("time_hour")
    settings = pipeline(
        data={"dataset": "flights", "source": "x", "time": "time_hour", "key": ["flight_id"]},
        features={"include": NUMBERS + TEXTS, "derive": {"dep_hour": "sched_dep_time // 100"}},
        split={"method": "time"},
        train={"rounds": 60, "early_stopping": 10, "seed": 3},
    )
    trained = train(frame, settings, threads=1)
    assert trained.details.metrics["test"][0].name == "auc"
    assert trained.details.metrics["test"][0].value == pytest.approx(by_hand(frame, trained), abs=1e-9)
