"""The latency gate over HTTP: a Bento is made, served, driven, and gone; each gate says what it measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_tui.adapters import processes, timing
from mlops_tui.errors import External, InvalidInput
from mlops_tui.flows import lookup
from mlops_tui.flows.release import gates, latency
from mlops_tui.flows.workspace import Workspace
from tests import workspaces
from tests.adapters import served

GATES = "".join(
    f'[[gates]]\ncheck = "latency_p99_ms"\nover = "{over}"\nmax = {most}\n'
    for over, most in (("http", 5000), ("http", 0.001), ("process", 5000))
)


def test_the_gate_measures_what_serves(trained: Workspace) -> None:
    workspaces.write_pipeline(trained, more=f"{GATES}[serve.limits]\nper_second = 1.0\n")  # which binds clients
    settings, _ = lookup.pipeline(trained, "flight-delay")
    version, report = gates.judge(trained, settings, lookup.model_version(trained, "flight-delay:1"))
    wide, narrow, alone = report.results[-3:]
    assert (wide.gate, wide.passed) == ("latency_p99_ms over HTTP ≤ 5,000", True)
    assert (narrow.gate, narrow.passed) == ("latency_p99_ms over HTTP ≤ 0.001", False)
    assert narrow.sentence.startswith("latency_p99_ms over HTTP is ")
    assert (alone.gate, alone.passed) == ("latency_p99_ms ≤ 5,000", True)
    assert wide.value == narrow.value
    assert wide.value is not None
    assert 0 < wide.value < 5000
    assert version.gates_passed is False
    runtime = trained.home / "bentos" / "runtime"
    assert list(runtime.glob("gate-*")) == []
    assert processes.serving_from(runtime, "gate-") == []


def test_rows_of_the_reference_sample_are_sent(trained: Workspace) -> None:
    version = lookup.model_version(trained, "flight-delay:1")
    rows = latency.sample(trained, version)
    signature = lookup.signature(trained, version)
    assert len(rows) > latency.DIFFERENT
    assert set(rows[0]) == {*(one.name for one in signature.inputs), *signature.extras}


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    broken = served.contents(approved=False, golden_json=b"{}")
    with pytest.raises(External, match="died while starting"):
        timing.p99(broken, [b'{"rows": [{"a": 1, "b": 2}]}'], tmp_path, 1)
    assert processes.serving_from(tmp_path, "home") == []


def test_a_request_that_is_refused_is_no_latency(tmp_path: Path) -> None:
    with pytest.raises(External, match="did not answer every request: 50 422"):
        timing.p99(served.contents(approved=False), [b'{"rows": [{"a": "x", "b": 2}]}'], tmp_path, 1)
    with pytest.raises(InvalidInput, match="no rows"):
        timing.p99(served.contents(approved=False), [], tmp_path, 1)
