"""What a decision says on a screen."""

from __future__ import annotations

from datetime import UTC, datetime

from mlops_tui.cli.rules_texts import decision_text
from mlops_tui.records import Decision, RuleResult

AGE = RuleResult("age", 10.0, 5.0, "fires", "10 ≥ 5 days ago")
FAULTS = ("humid: stuck at 0", "temp: missing in all 1,832 rows")


def decided(reason: str, held: str = "", faults: tuple[str, ...] = ()) -> list[str]:
    at = datetime(2026, 3, 4, 12, tzinfo=UTC)
    found = Decision("819f", "flight-delay", at, "ada", not held, reason, (AGE,), held, faults)
    return decision_text(found).splitlines()


def test_what_holds_a_decision_is_told_once() -> None:
    held = f"by data fault: {', '.join(FAULTS)}; mend the source, it is not trained on"
    head, *others = decided(f"age: 10 ≥ 5 days ago, but held back {held}", held, FAULTS)
    assert head.endswith(f"but held back {held}")
    assert others == ["  ▶ age: 10 ≥ 5 days ago", "decision 819f, 2026-03-04 12:00:00 UTC"]


def test_a_fault_that_holds_nothing_is_told_all_the_same() -> None:
    assert [line.strip() for line in decided("age: 10 ≥ 5 days ago", faults=FAULTS)[1:3]] == [
        f"✗ data fault: {fault}" for fault in FAULTS
    ]
