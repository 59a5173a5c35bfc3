"""A run that trains, followed: every line once, none cut, and the curve as far as it is known."""

from __future__ import annotations

import pytest

from mlops_tui.flows import lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.queries import live
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Progress, from_json

TOLD = b'{"at":"2013-05-01T12:00:00Z","done":%d,"step":"train","text":"","total":90,"values":{"%s":%s}}\n'


def lines(metric: bytes, *values: bytes) -> list[live.Told]:
    """The events of a training that told these values, one every ten rounds."""
    return [from_json(TOLD % (10 * number, metric, value), live.Told) for number, value in enumerate(values, 1)]


def test_a_run_is_followed_from_where_one_left_off(trained: Workspace) -> None:
    run = runs.list_runs(trained, None, None, 1)[0]
    path = trained.run_folder(run.id) / "progress.jsonl"
    whole = path.read_bytes()
    seen: list[live.Told] = []
    offset = 0
    for end in range(0, len(whole) + 37, 37):
        path.write_bytes(whole[:end])
        events, offset = live.follow(trained, run.id, offset)
        assert offset == whole[:end].rfind(b"\n") + 1
        seen += events
    assert [(event.step, event.text, event.done) for event in seen] == [
        (line["step"], line["text"], line["done"]) for line in runs.log_lines(trained, run)
    ]
    assert live.follow(trained, run.id, offset) == ([], len(whole))
    assert seen[0].at <= seen[-1].at
    assert live.follow(trained, "0" * 12) == ([], 0)


def test_the_curve_so_far_is_a_part_of_the_whole_curve(trained: Workspace) -> None:
    run = runs.list_runs(trained, None, None, 1)[0]
    whole = lookup.run_details(trained, run).curve
    curve = live.curve_of(live.follow(trained, run.id)[0])
    assert curve is not None
    assert (curve.metric, curve.rounds[0], curve.train) == (whole.metric, 1, ())
    known = dict(zip(whole.rounds, whole.validation, strict=True))
    shared = {number: value for number, value in zip(curve.rounds, curve.validation, strict=True) if number in known}
    assert len(shared) >= 2
    assert shared == {number: pytest.approx(known[number]) for number in shared}


def test_the_best_round_is_by_the_metrics_own_direction() -> None:
    up, down = live.curve_of(lines(b"auc", b"0.6", b"0.8", b"0.7")), live.curve_of(lines(b"l2", b"6", b"8", b"7"))
    assert up is not None
    assert down is not None
    assert (up.best_round, down.best_round) == (20, 10)
    assert live.curve_of([]) is None
    gap = live.curve_of(lines(b"l2", b"null", b"2"))
    assert gap is not None
    assert gap.rounds == (20,)


def test_a_damaged_line_is_passed_over_and_other_steps_are_no_curve(trained: Workspace) -> None:
    run = runs.list_runs(trained, None, None, 1)[0]
    path = trained.run_folder(run.id) / "progress.jsonl"
    path.write_bytes(b'{"at":"2013-05-01T12:00:00Z","step":"spl{"at":\n\xff\n' + TOLD % (10, b"auc", b"0.5"))
    events, offset = live.follow(trained, run.id)
    assert (len(events), offset) == (1, path.stat().st_size)
    tuning = live.Told(events[0].at, "tune", "trial 1", 1, 3, {"auc": 0.5})
    assert live.curve_of([tuning]) is None


def test_a_line_has_all_that_a_progress_event_has() -> None:
    assert {"at", *Progress.__slots__} == set(live.Told.__slots__)


def test_a_run_that_is_over_does_not_run(trained: Workspace) -> None:
    assert live.running(trained) == []
