"""Canaries: who is sent to one, and what takes it back, and what does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.core.canary import Side, chosen, psi, verdict, wilson
from mlops_tui.counters import FINE, Distribution
from mlops_tui.records import CanaryBounds

BOUNDS = CanaryBounds()
BINS = tuple(step / 10 for step in range(1, 10))


def side(requests: int, errors: int = 0, seconds: float = 0.002, shift: float = 0.0, seed: int = 0) -> Side:
    """What a model did whose latencies scatter around `seconds`, and whose predictions are uniform but for a shift."""
    rng = np.random.default_rng(seed)
    times, values = Distribution(FINE), Distribution(BINS)
    for one in rng.lognormal(math.log(seconds), 0.4, requests):
        times.add(float(one))
    for one in np.clip(rng.random(requests) + shift, 0, 1):
        values.add(float(one))
    return Side(requests, errors, times.counts, values.counts)


def test_models_that_do_alike_go_on() -> None:
    for seed in range(200):
        live, rival = side(2000, errors=20, seed=seed), side(200 + seed, errors=2, seed=1000 + seed)
        assert verdict(BOUNDS, FINE, live, rival) == ""


@pytest.mark.parametrize(
    ("rival", "words"),
    [
        (side(30, errors=10), "10 of 30 requests to the canary failed, 0 of 2000 to the live model"),
        (side(400, errors=40), "40 of 400 requests to the canary failed"),
        (side(400, seconds=0.02), "took longer than"),
        (side(400, shift=0.4), "predictions differ from the live model's"),
    ],
)
def test_what_breaks_a_bound_is_taken_back_and_says_why(rival: Side, words: str) -> None:
    assert words in verdict(BOUNDS, FINE, side(2000), rival)


def test_few_requests_decide_nothing_but_many_errors() -> None:
    assert verdict(BOUNDS, FINE, side(2000), side(19, errors=19)) == ""
    assert verdict(BOUNDS, FINE, side(2000), side(150, seconds=0.1, shift=0.5)) == ""
    assert verdict(BOUNDS, FINE, side(0), side(199, errors=199)) == ""
    assert verdict(BOUNDS, FINE, side(0), side(200, errors=200)) != ""


def test_the_same_model_with_many_errors_is_left_alone_however_often_it_is_asked() -> None:
    rng, taken_back = np.random.default_rng(5), 0
    for _ in range(60):
        failed, mine = rng.random(6000) < 0.1, rng.random(6000) < 0.1
        live, rival = [0, 0], [0, 0]
        for bad, is_canary in zip(failed, mine, strict=True):
            one = rival if is_canary else live
            one[0], one[1] = one[0] + 1, one[1] + int(bad)
            if is_canary and verdict(BOUNDS, FINE, bare(*live), bare(*rival)):
                taken_back += 1
                break
    assert taken_back <= 1


def bare(requests: int, errors: int) -> Side:
    return Side(requests, errors, [0] * (len(FINE) + 1), [0] * 10)


def test_errors_that_both_have_are_not_the_canarys_fault() -> None:
    assert verdict(BOUNDS, FINE, side(2000, errors=1000), side(400, errors=200)) == ""


@given(st.text(max_size=30), st.sampled_from(["a:1", "a:2"]), st.floats(0, 1))
def test_a_key_meets_the_same_model_each_time_and_a_larger_share_keeps_it(key: str, salt: str, share: float) -> None:
    assert chosen(key, salt, share) == chosen(key, salt, share)
    if chosen(key, salt, share):
        assert chosen(key, salt, min(1.0, share + 0.2))
    assert not chosen(key, salt, 0.0)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_share_of_keys_is_what_was_asked_for(share: float) -> None:
    hits = sum(chosen(f"customer-{number}", "flight-delay:4", share) for number in range(20_000))
    assert abs(hits / 20_000 - share) < 4 * math.sqrt(share * (1 - share) / 20_000)


def test_another_canary_meets_other_keys() -> None:
    first, second = ({number for number in range(5000) if chosen(str(number), salt, 0.1)} for salt in ("a:1", "a:2"))
    assert len(first & second) < 100


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share_and_closes_in_on_it(hits: int, more: int) -> None:
    count = hits + more
    low, high = wilson(hits, count)
    closer = wilson(hits * 10, count * 10)
    assert 0 <= low <= hits / count + 1e-12
    assert hits / count - 1e-12 <= high <= 1
    assert low <= closer[0] + 1e-12
    assert closer[1] <= high + 1e-12


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=10))
def test_the_stability_index_is_zero_of_itself_and_never_negative(counts: list[int]) -> None:
    assert psi(counts, counts) == pytest.approx(0)
    assert psi(counts, counts[::-1]) >= 0
