"""Where a model version stands: from its gate report and what people said of exactly this content."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.core.approval import among, standing
from mlops_tui.records import Approval, ModelVersion

NOW = datetime(2026, 3, 1, tzinfo=UTC)
APPROVED, REJECTED = "approved", "rejected"
Verdict = Literal["approved", "rejected"]


def model(**values: Any) -> ModelVersion:
    """A judged version whose run ann started."""
    hashes = {name: name * 3 for name in ("key", "booster", "transform", "signature", "reference", "golden", "rows")}
    hashes |= {name: name for name in ("dataset_hash", "pipeline_hash", "code_hash", "report")}
    base: dict[str, Any] = {"gates_passed": True, "reviewers": 1, "calibration": None, **hashes}
    return ModelVersion("m", 1, "run", "binary", "flights", 1, NOW, "ann", **(base | values))


def said(version: ModelVersion, *words: tuple[str, str]) -> list[Approval]:
    return [
        Approval("m", 1, "approved" if verdict == APPROVED else "rejected", version.subject(), name, name, "", NOW)
        for name, verdict in words
    ]


CASES: list[tuple[dict[str, Any], list[tuple[str, str]], str, int]] = [
    # the version, what was said, where it stands, how many reviewers are missing
    ({"gates_passed": None, "report": None}, [], "new", 1),
    ({"gates_passed": None, "report": None}, [("bob", APPROVED)], "new", 1),
    ({"gates_passed": False}, [], "failed", 1),
    ({"gates_passed": False}, [("bob", APPROVED)], "failed", 1),
    ({"gates_passed": False, "approval": "auto"}, [], "failed", 1),
    ({}, [], "waiting", 1),
    ({}, [("ann", APPROVED)], "waiting", 1),
    ({}, [("bob", APPROVED)], "approved", 0),
    ({}, [("ann", APPROVED), ("bob", APPROVED)], "approved", 0),
    ({"reviewers": 0}, [], "waiting", 1),
    ({"reviewers": 0}, [("ann", APPROVED)], "approved", 0),
    ({"reviewers": 2}, [("bob", APPROVED)], "waiting", 1),
    ({"reviewers": 2}, [("bob", APPROVED), ("bob", APPROVED)], "waiting", 1),
    ({"reviewers": 2}, [("bob", APPROVED), ("cid", APPROVED)], "approved", 0),
    ({}, [("bob", REJECTED)], "rejected", 1),
    ({}, [("bob", APPROVED), ("cid", REJECTED)], "rejected", 1),
    ({}, [("bob", REJECTED), ("bob", APPROVED)], "approved", 0),
    ({}, [("bob", APPROVED), ("bob", REJECTED)], "rejected", 1),
    ({"approval": "auto"}, [], "approved", 0),
    ({"approval": "auto"}, [("bob", REJECTED)], "rejected", 1),
]


@pytest.mark.parametrize(("values", "words", "state", "missing"), CASES)
def test_standing(values: dict[str, Any], words: list[tuple[str, str]], state: str, missing: int) -> None:
    version = model(**values)
    found = standing(version, said(version, *words))
    assert (found.state, found.missing) == (state, missing)
    assert found.sentence


COVERED = ("booster", "transform", "signature", "calibration", "dataset_hash", "pipeline_hash", "code_hash", "report")


@pytest.mark.parametrize("piece", COVERED)
def test_an_approval_lapses_with_every_piece_that_it_covers(piece: str) -> None:
    version = model()
    words = said(version, ("bob", APPROVED))
    changed = replace(version, **{piece: "other"})  # type: ignore[arg-type]
    found = standing(changed, words)
    assert (found.state, found.approvers, found.missing) == ("lapsed", (), 1)
    assert standing(changed, [*words, *said(changed, ("cid", APPROVED))]).state == "approved"


def test_a_version_waits_for_nobody_once_there_is_a_newer_one() -> None:
    version = model()
    waiting, approved = standing(version, []), standing(version, said(version, ("bob", APPROVED)))
    assert among(waiting, version, 1) == waiting
    assert (among(waiting, version, 2).state, among(approved, version, 2)) == ("undecided", approved)


def test_a_rejection_of_other_content_does_not_count() -> None:
    version = model()
    words = said(version, ("bob", REJECTED))
    assert standing(replace(version, booster="other"), words).state == "waiting"


def test_what_no_approval_covers_changes_nothing() -> None:
    version = model()
    words = said(version, ("bob", APPROVED))
    assert standing(replace(version, metrics={"auc": 1.0}, created_at=datetime.max), words).state == "approved"


@given(
    st.lists(st.tuples(st.sampled_from(["ann", "bob", "cid", "dan"]), st.sampled_from([APPROVED, REJECTED]))),
    st.integers(0, 3),
)
def test_approved_needs_enough_others_and_nobody_against(words: list[tuple[str, str]], reviewers: int) -> None:
    version = model(reviewers=reviewers)
    found = standing(version, said(version, *words))
    last = dict(words)
    approvers = {name for name, verdict in last.items() if verdict == APPROVED}
    enough = len(approvers - {"ann"}) >= reviewers and bool(approvers)
    assert (found.state == "approved") == (enough and REJECTED not in last.values())
    assert set(found.approvers) == approvers
