"""A run done again on other data, where a metric that it had is no longer defined."""

from __future__ import annotations

import polars as pl

from mlops_tui.flows import cycle, lookup
from mlops_tui.flows.build import datasets, reproduce
from mlops_tui.flows.workspace import Workspace

PIPELINE = """\
[pipeline]
name = "flat"
[data]
dataset = "flat"
source = "flat.parquet"
[target]
column = "y"
task = "regression"
[split]
method = "predefined"
column = "set"
[train]
rounds = 5
"""


def test_a_metric_that_is_undefined_on_the_other_data_is_told(empty: Workspace) -> None:
    (empty.root / "pipelines" / "flat.toml").write_text(PIPELINE)
    sets = ["train"] * 100 + ["validation"] * 20 + ["test"] * 20
    rows = pl.DataFrame({"x": range(140), "y": [number % 7 for number in range(140)], "set": sets})
    rows.write_parquet(empty.root / "flat.parquet")
    run = cycle.apply(empty, "flat").run
    assert run is not None
    flat = pl.when(pl.col("set") == "test").then(pl.lit(1)).otherwise(pl.col("y")).alias("y")
    rows.with_columns(flat).with_columns(more=pl.lit("a longer file")).write_parquet(empty.root / "flat.parquet")
    datasets.refresh(empty, lookup.pipeline(empty, "flat")[0].data)
    done = reproduce.reproduce(empty, run, reproduce.Instead(dataset="flat:2"))
    assert not done.identical
    assert {one.what: one.now for one in done.results}["test r2"] == "undefined"
