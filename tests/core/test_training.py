"""Training: every task, the same bytes twice, what is kept, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_tui.core.crossval import cross_validate
from mlops_tui.core.material import prepare
from mlops_tui.core.scoring import load
from mlops_tui.core.target import answers_for
from mlops_tui.core.training import train
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Progress, RunDetails, from_json, to_json
from tests.core.made import TARGETS, flights, pipeline

FRAME = flights()


@pytest.mark.parametrize("task", TARGETS)
@pytest.mark.parametrize("method", ["random", "time"])
def test_every_task_learns_and_gives_the_same_bytes_twice(task: str, method: str) -> None:
    settings = pipeline(task, split={"method": method, "folds": 2})
    one, two = train(FRAME, settings, threads=1), train(FRAME, settings, threads=1)
    assert one.booster == two.booster
    assert to_json(one.details) == to_json(two.details)
    assert one.reference.equals(two.reference)
    assert from_json(to_json(one.details), RunDetails) == one.details
    assert to_json(one.golden) == to_json(two.golden)
    assert one.rows["row"].to_list() == list(range(len(FRAME)))
    assert len(one.details.folds) == 2
    assert one.details.curve.best_round >= 1
    assert sum(share for _, share in one.details.importance) == pytest.approx(1)
    first = one.details.metrics["test"][0]
    good = {"auc": 0.7, "rmse": 6.0, "pinball": 2.5, "ndcg@5": 0.7}[first.name]
    assert first.value > good if first.higher else first.value < good


def test_rows_without_target_or_weight_are_left_out_and_numbered_as_given() -> None:
    frame = FRAME.with_columns(
        late=pl.when(pl.int_range(pl.len()) % 10 != 0).then("late"),
        weight=pl.when(pl.int_range(pl.len()) != 5).then("weight"),
        empty=pl.lit(None),
    )
    settings = pipeline(target={"column": "late", "task": "binary", "weight": "weight"}, features={})
    one = train(frame, settings, threads=1)
    assert not set(one.rows["row"].to_list()) & {0, 5, 10, 20}
    assert len(one.rows) == 1349
    assert "left out 150 rows where 'late' is null" in one.details.messages
    assert "left out 'empty': no training row has a value of it" in one.details.messages
    names = {feature.name for feature in one.transform.features}
    assert not names & {"weight", "late", "id", "when", "empty"}
    assert "wind" in names
    model = load(one.booster, one.transform, one.signature, one.calibration)
    tested = one.rows.filter(pl.col("set") == "test")["row"].to_list()
    again = answers_for(model, frame[tested], settings.target)
    assert again.score.tobytes() == one.test.score.tobytes()
    assert again.y.tobytes() == one.test.y.tobytes()


def test_labels_may_be_texts_and_weights_balance_classes() -> None:
    frame = FRAME.with_columns(late=pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")))
    target = {"column": "late", "task": "binary", "positive": "no"}
    fit = {"rounds": 20, "imbalance": "balanced", "calibration": "isotonic", "threshold": 0.4}
    one = train(frame, pipeline(target=target, train=fit), threads=1)
    assert one.signature.classes == ("yes", "no")
    assert one.signature.threshold == 0.4
    assert one.calibration is not None
    assert one.golden.answers[0]["prediction"] in ("yes", "no")


def test_monotone_holds() -> None:
    features = {"include": ["wind", "distance"], "monotone": {"distance": -1}}
    one = train(FRAME, pipeline(features=features), threads=1)
    model = load(one.booster, one.transform, one.signature, None)
    line = pl.DataFrame({"wind": [0.3] * 50, "distance": range(100, 2600, 50), "late": [True, False] * 25})
    assert (np.diff(answers_for(model, line, pipeline().target).score) <= 0).all()


def test_a_search_is_reproducible_never_worse_and_bounded_by_its_clock() -> None:
    settings = pipeline(train={"rounds": 30, "early_stopping": 5, "tune": {"trials": 4}})
    seen: list[Progress] = []
    one, two = train(FRAME, settings, threads=1, report=seen.append), train(FRAME, settings, threads=1)
    assert one.details.parameters == two.details.parameters
    assert one.booster == two.booster
    trials = [event.values["auc"] for event in seen if event.text.startswith("trial")]
    assert len(trials) == 4
    assert max(trials) >= trials[0]
    bounded = pipeline(train={"rounds": 30, "tune": {"trials": 50, "timeout": "1s"}})
    clock = iter(range(100))
    short = train(FRAME, bounded, threads=1, clock=lambda: float(next(clock)))
    assert "tried 1 parameter sets of 50" in short.details.messages


def test_progress_is_told_and_ctrl_c_passes() -> None:
    seen: list[Progress] = []
    one = train(FRAME, pipeline(train={"rounds": 35, "early_stopping": 0}), threads=1, report=seen.append)
    assert [event.done for event in seen if event.step == "train" and event.values] == [1, 10, 20, 30, 35]
    assert one.details.curve.rounds == (1, 10, 20, 25, 30, 35)
    assert set(one.details.timings) == {"split", "features", "train", "evaluate", "keep"}

    def stop(event: Progress) -> None:
        if event.values:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(FRAME, pipeline(), threads=1, report=stop)


def test_tiny_data_trains() -> None:
    one = train(FRAME[:40], pipeline(), threads=1)
    assert sum(one.details.rows.values()) == 40


@pytest.mark.parametrize(
    ("columns", "target", "words"),
    [
        ({}, {"column": "lat", "task": "binary"}, "did you mean 'late'"),
        ({"late": pl.lit(True)}, TARGETS["binary"], "one class 'true'"),
        ({"late": pl.lit(None)}, TARGETS["binary"], "no row has a value"),
        ({}, {"column": "grade", "task": "binary"}, "3 classes"),
        ({}, {"column": "wind", "task": "multiclass"}, "1000 are allowed"),
        ({}, {"column": "when", "task": "multiclass"}, "classes are texts"),
        ({}, {"column": "grade", "task": "regression"}, "predicts a number"),
        ({"delay": pl.lit(2.5)}, TARGETS["regression"], "same in every row"),
        (
            {"delay": pl.when(pl.col("id") == 3).then(float("inf")).otherwise("delay")},
            TARGETS["regression"],
            "infinity in 1 rows",
        ),
        ({"delay": pl.col("delay") * 1e20}, TARGETS["regression"], "LightGBM learns up to ±1e.15"),
        ({"delay": pl.col("delay") * 1e200}, TARGETS["quantile"], "LightGBM learns up to"),
        ({"relevance": pl.col("delay")}, TARGETS["ranking"], "a relevance is"),
        ({"weight": -pl.col("weight")}, TARGETS["binary"] | {"weight": "weight"}, "negative"),
        ({"late": pl.col("late").cast(pl.String)}, TARGETS["binary"], "say which|labels false, true"),
        ({}, TARGETS["binary"] | {"positive": "treu"}, "did you mean 'true'"),
        ({"late": pl.col("id") == 3}, TARGETS["binary"], "are of class 'false'"),
    ],
)
def test_targets_that_cannot_be_learned_are_told(columns: dict[str, Any], target: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        train(
            FRAME.with_columns(**columns),
            pipeline(target=target, features={"include": ["distance", "carrier"]}),
            threads=1,
        )


@pytest.mark.parametrize("most", [1e12, 1e15])
def test_what_large_targets_leave_can_be_read_again(most: float) -> None:
    frame = FRAME.with_columns(delay=pl.col("delay") / pl.col("delay").abs().max() * most, weight=pl.lit(1e15))
    target = {"column": "delay", "task": "regression", "weight": "weight"}
    for settings in (pipeline("regression"), pipeline(target=target)):
        details = train(frame, settings, threads=1).details
        assert from_json(to_json(details), RunDetails) == details
        assert sum(share for _, share in details.importance) == pytest.approx(1)


def test_a_training_that_goes_astray_is_told() -> None:
    frame = FRAME.with_columns(delay=pl.col("delay").abs() + 1)
    wild = {"rounds": 40, "early_stopping": 0, "params": {"learning_rate": 1e300}}
    with pytest.raises(InvalidInput, match="went astray"):
        train(frame, pipeline("regression", train=wild), threads=1)


def test_a_column_named_as_the_scores_is_refused_before_training() -> None:
    for name in ("__score", "__score_a"):
        frame, seen = FRAME.rename({"wind": name}), list[Progress]()
        with pytest.raises(InvalidInput, match=f"is named '{name}'"):
            train(frame, pipeline(features={"include": [name, "rain"]}), threads=1, report=seen.append)
        assert "train" not in {event.step for event in seen}
        assert train(frame, pipeline(features={"include": ["rain", "distance"]}), threads=1).booster


def test_times_after_the_year_9999_train() -> None:
    frame = FRAME.with_columns(due=pl.Series([253_402_300_800_000_000, 0] * 750).cast(pl.Datetime("us")))
    one = train(frame, pipeline(features={"include": ["wind", "due"]}), threads=1)
    assert any(row["due"] is None for row in one.golden.rows)


def test_folds_calibrate_on_rows_of_their_own() -> None:
    fit = {"rounds": 20, "early_stopping": 0, "calibration": "isotonic"}
    settings = pipeline(split={"folds": 3}, train=fit)
    one = train(FRAME, settings, threads=1)
    material, _, _ = prepare(FRAME, settings, 1)
    blind = load(one.booster, one.transform, replace(one.signature, threshold=0.99), None)
    assert cross_validate(material, blind, one.details.parameters, 20) == one.details.folds
    rest = one.details.rows["train"] + one.details.rows["validation"]
    assert all(fold.train_rows + fold.test_rows < rest for fold in one.details.folds)
    plain = train(FRAME, pipeline(split={"folds": 3}, train=fit | {"calibration": "none", "threshold": 0.3}), threads=1)
    assert [fold.train_rows + fold.test_rows for fold in plain.details.folds] == [rest] * 3


def test_other_refusals_are_one_line() -> None:
    with pytest.raises(InvalidInput, match="2 rows"):
        train(FRAME.filter(pl.col("late").is_first_distinct()), pipeline(), threads=1)
    with pytest.raises(InvalidInput, match="not one of task binary"):
        train(FRAME, pipeline(train={"params": {"objective": "poisson"}}), threads=1)
    with pytest.raises(InvalidInput, match="LightGBM refuses"):
        train(FRAME, pipeline(train={"params": {"num_leaves": 1}}), threads=1)
    one = train(FRAME, pipeline("multiclass"), threads=1)
    model = load(one.booster, one.transform, one.signature, None)
    with pytest.raises(InvalidInput, match="label 'z'"):
        answers_for(model, FRAME.with_columns(grade=pl.lit("z")), pipeline("multiclass").target)
