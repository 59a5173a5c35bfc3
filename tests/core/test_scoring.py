"""Scoring: the same bits for any batch, answers typed as the target, explanations that add up, calibration."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from mlops_tui.core import calibration
from mlops_tui.core.requests import rows_to_frame
from mlops_tui.core.scoring import Scorer, answers, explain, load, predict, score
from mlops_tui.core.training import Trained, train
from mlops_tui.errors import InvalidInput
from tests.core.made import flights, pipeline

FRAME = flights(800)


@cache
def trained(task: str, method: str = "none") -> Trained:
    fit = {"rounds": 20, "early_stopping": 5, "calibration": method}
    derive = {
        "include": ["wind", "carrier", "rain"],
        "derive": {"far": "distance / 7", "hour": 'EXTRACT(HOUR FROM "when")'},
    }
    return train(FRAME, pipeline(task, train=fit, features=derive), threads=1)


def scorer(task: str, method: str = "none") -> Scorer:
    one = trained(task, method)
    return load(one.booster, one.transform, one.signature, one.calibration)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "quantile", "ranking"])
def test_the_batch_does_not_change_a_bit(task: str) -> None:
    model = scorer(task, "sigmoid" if task == "binary" else "none")
    whole = score(model, FRAME[:60])
    for size in (1, 7, 32):
        parts = [score(model, FRAME[at : at + size].head(60 - at)) for at in range(0, 60, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert score(model, FRAME.clear()).shape == (0, *whole.shape[1:])
    assert len(predict(model, FRAME[:60])) == len(answers(model, FRAME[:60])) == 60


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_golden_answers_come_back_through_json(task: str) -> None:
    golden = trained(task).golden
    rows = json.loads(json.dumps(golden.rows))
    model = scorer(task)
    assert answers(model, rows_to_frame(model.signature, rows)) == list(golden.answers)
    assert len(rows) == 32
    assert any(None in row.values() for row in rows)


def test_answers_are_typed_as_the_target() -> None:
    binary, many = answers(scorer("binary"), FRAME[:3]), answers(scorer("multiclass"), FRAME[:3])
    assert isinstance(binary[0]["prediction"], bool)
    assert 0 < binary[0]["probability"] < 1
    assert many[0]["prediction"] in ("a", "b", "c")
    assert sum(many[0]["probabilities"].values()) == pytest.approx(1)
    assert predict(scorer("multiclass"), FRAME[:3]).columns[1:] == ["probability_a", "probability_b", "probability_c"]
    assert predict(scorer("binary"), FRAME).schema["prediction"] == FRAME.schema["late"]


def test_explanations_add_up_to_the_raw_score() -> None:
    told, scores = explain(scorer("binary"), FRAME[:20]), score(scorer("binary"), FRAME[:20])
    sums = np.array([one["base"] + sum(one["contributions"].values()) for one in told])
    assert 1 / (1 + np.exp(-sums)) == pytest.approx(scores, abs=1e-9)
    assert set(told[0]["contributions"]) == {"wind", "carrier", "rain", "far", "hour"}
    many = explain(scorer("multiclass"), FRAME[:2])[1]
    assert set(many["base"]) == set(many["contributions"]) == {"a", "b", "c"}


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_calibration_finds_the_true_probability(method: str) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(20_000)
    label = (rng.random(20_000) < truth).astype(float)
    bent = truth**2 / (truth**2 + (1 - truth) ** 2)  # overconfident: the log-odds doubled
    fitted = calibration.fit("isotonic" if method == "isotonic" else "sigmoid", bent, label)
    found = calibration.apply(fitted, bent)
    assert np.abs(found - truth).mean() < 0.02
    assert (np.diff(found[np.argsort(bent)]) >= 0).all()
    if method == "sigmoid":
        assert fitted.x[0] == pytest.approx(0.5, abs=0.03)


def test_isotonic_equals_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(1)
    scores, label = np.round(rng.random(500), 2), (rng.random(500) < 0.4).astype(float)
    peer = IsotonicRegression(out_of_bounds="clip").fit(scores, label)
    assert calibration.apply(calibration.fit("isotonic", scores, label), scores) == pytest.approx(peer.predict(scores))


def test_a_text_that_is_no_model_is_refused() -> None:
    one = trained("binary")
    with pytest.raises(InvalidInput, match="not a LightGBM model"):
        load("tree\nnonsense", one.transform, one.signature, None)
