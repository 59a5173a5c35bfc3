"""Champion and challenger on the same rows: read as a service reads them, judged alike, or told why not."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from mlops_tui.config import Gate, PipelineFile
from mlops_tui.core import metrics
from mlops_tui.core.gates import Evidence, judge
from mlops_tui.core.metrics import Answers, Rival
from mlops_tui.core.scoring import Scorer, load, score
from mlops_tui.core.target import answers_for
from mlops_tui.core.training import train
from mlops_tui.core.versus import rival
from mlops_tui.records import METRICS
from tests.core.made import TARGETS, flights, pipeline

FRAME = flights(800).with_columns(code=pl.col("distance") % 6).with_columns(
    late=(pl.col("code") % 2 == 0) ^ (pl.col("id") % 10 == 0)
)  # fmt: skip
CODES = {"include": ["code"], "categorical": ["code"]}
FIT = {"rounds": 15, "early_stopping": 5}


def model(frame: pl.DataFrame, settings: PipelineFile) -> Scorer:
    one = train(frame, settings, threads=1)
    return load(one.booster, one.transform, one.signature, one.calibration)


@cache
def champion(task: str = "binary") -> Scorer:
    return model(
        FRAME, pipeline(task, train=FIT, features=CODES if task == "binary" else {"include": ["wind", "rain"]})
    )


def against(old: Scorer, new: Scorer, frame: pl.DataFrame, settings: PipelineFile) -> tuple[Answers, Rival]:
    test = answers_for(new, frame, settings.target)
    return test, rival(old, new, test, frame, settings.target)


def verdict(test: Answers, found: Rival, metric: str) -> Any:
    (result,) = judge([Gate(metric=metric, versus="champion", margin=0.05)], Evidence(test, {}, found), 0)
    return result


def test_a_champion_reads_widened_columns_by_its_signature() -> None:
    wide = FRAME.with_columns(pl.col("code").cast(pl.Float64))
    settings = pipeline(train=FIT, features={"include": ["wind"]})
    test, found = against(champion(), model(wide, settings), wide, settings)
    assert found.answers is not None
    assert found.answers.score.tobytes() == score(champion(), FRAME).tobytes()
    assert metrics.value(found.answers, "auc") > 0.8
    assert not verdict(test, found, "auc").passed


def test_a_champion_that_cannot_read_the_rows_fails_the_gate_and_says_why() -> None:
    settings = pipeline(train=FIT, features={"include": ["wind"]})
    new = model(FRAME, settings)
    for frame, words in (
        (FRAME.with_columns(pl.col("code") + 0.5), "column 'code' has type Float64, the model was trained on Int64"),
        (FRAME.drop("code"), "no column 'code', which the model reads"),
    ):
        test, found = against(champion(), new, frame, settings)
        result = verdict(test, found, "auc")
        assert (found.answers, result.passed) == (None, False)
        assert f"cannot be compared: the champion cannot read these rows: {words}" in result.sentence


@pytest.mark.parametrize(
    ("old", "target", "words"),
    [
        ("binary", TARGETS["regression"], "is of task binary, this model of regression"),
        ("regression", TARGETS["regression"] | {"column": "wind"}, "predicts 'delay', this model 'wind'"),
        ("quantile", TARGETS["quantile"] | {"quantile": 0.5}, "predicts the quantile 0.8, this model 0.5"),
        (
            "binary",
            TARGETS["binary"] | {"positive": False},
            "tells 'true' from 'false', this model 'false' from 'true'",
        ),
    ],
)
def test_other_questions_are_not_compared(old: str, target: dict[str, Any], words: str) -> None:
    settings = pipeline(target=target, train=FIT, features={"include": ["distance", "rain", "code"]})
    test, found = against(champion(old), model(FRAME, settings), FRAME, settings)
    result = verdict(test, found, METRICS[settings.target.task][0])
    assert (found.answers, result.passed) == (None, False)
    assert f"the champion {words}; give the new model another name, or drop this gate" in result.sentence


def test_each_model_keeps_its_threshold_and_labels_of_another_width_are_the_same() -> None:
    ints = FRAME.with_columns(late=pl.col("late").cast(pl.Int64))
    old = model(ints, pipeline(train=FIT | {"threshold": 0.9}, features=CODES))
    settings = pipeline(train=FIT | {"threshold": 0.2}, features=CODES)
    floats = ints.with_columns(late=pl.col("late").cast(pl.Float64))
    test, found = against(old, model(floats, settings), floats, settings)
    assert found.answers is not None
    assert (test.threshold, found.answers.threshold) == (0.2, 0.9)
    expected = sk.f1_score(test.y, found.answers.score >= 0.9)
    assert verdict(test, found, "f1").details["champion"] == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS["multiclass"])
def test_classes_that_one_model_does_not_know(metric: str) -> None:
    grade = pl.when(pl.col("id") % 9 == 0).then(pl.lit("_new")).otherwise(pl.col("grade").replace("c", "b"))
    frame = FRAME.with_columns(grade=grade)  # "c" is gone, "_new" stands before all others
    settings = pipeline("multiclass", train=FIT, features={"include": ["wind", "id"]})
    old = champion("multiclass")
    test, found = against(old, model(frame, settings), frame, settings)
    assert found.answers is not None
    assert found.remark == "the champion does not know '_new', to which it gives the probability 0"
    own = score(old, frame)
    expected = np.column_stack([np.zeros(len(frame)), own])  # _new, a, b, c
    assert np.array_equal(found.answers.score, expected)
    result = verdict(test, found, metric)
    assert result.value is not None
    assert result.sentence.endswith("to which it gives the probability 0")
    if metric == "accuracy":
        assert result.details["champion"] == pytest.approx(sk.accuracy_score(test.y, expected.argmax(axis=1)))
    if metric == "f1":
        assert result.details["champion"] == pytest.approx(
            sk.f1_score(test.y, expected.argmax(axis=1), average="macro")
        )
