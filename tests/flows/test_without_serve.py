"""A pipeline without [serve] whose model is served by hand: the cycle looks at it and leaves it alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from mlops_tui.flows import lookup, planning
from mlops_tui.flows.release import approvals
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, Deployment, Parity

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BENTO = Bento("flight-delay:v1", "flight-delay", 1, "key", True, 1, Parity(1, 0.0, 1.0, 1.0, 1.0, NOW), "ana", NOW)


def test_what_is_served_by_hand_is_left_alone(trained: Workspace) -> None:
    approvals.approve(trained, "flight-delay", "")
    settings, _ = lookup.pipeline(trained, "flight-delay")
    served = Deployment("flight-delay", "flight-delay", 1, BENTO.tag, "127.0.0.1", 3999, 1, 0.0, "running", "ana", NOW)
    state = planning.observe(trained, settings)
    for now in ("running", "down"):
        seen = replace(state, bento=BENTO, deployment=served, deployment_state=now)
        assert planning.decide(seen)[-1] == planning.Step("deploy", "skip", "the pipeline has no [serve] section")
