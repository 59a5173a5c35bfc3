"""What every test shares: examples that are the same on every machine, and nothing that phones home."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from mlops_tui.flows.workspace import Workspace
    from tests.cli.called import Answer

os.environ["BENTOML_DO_NOT_TRACK"] = "true"  # "1" does nothing
os.environ["OMP_WAIT_POLICY"] = "passive"  # threads of LightGBM that wait for each other leave the cores to others
os.environ["PYTHONPATH"] = str(Path(__file__).parent / "runtime")  # hides from child processes what users do not have
for variable in [name for name in os.environ if name.startswith("MLOPS_") and name != "MLOPS_BENCH_JSON"]:
    del os.environ[variable]  # a developer's own workspace is not what the tests look at

settings.register_profile(
    "house",
    deadline=None,  # a busy machine is no failure
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


@pytest.fixture(scope="session")
def trained_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two months of flights and flight-delay:1 judged, waiting for approval; copied, never changed."""
    from mlops_tui.flows import cycle
    from tests import workspaces

    root = tmp_path_factory.mktemp("trained")
    workspace = workspaces.make(root)
    workspaces.arrive(workspace, 1, 2)
    cycle.apply(workspace, "flight-delay")
    return root


@pytest.fixture
def trained(trained_template: Path, tmp_path: Path) -> Workspace:
    """A fresh copy of the trained workspace."""
    from tests import workspaces

    return workspaces.copy(trained_template, tmp_path / "workspace")


@pytest.fixture(scope="session")
def built_template(trained_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained workspace with flight-delay:1 approved, and its Bento built and proven; copied, never changed."""
    from mlops_tui.flows.release import approvals, bentos
    from tests import workspaces

    workspace = workspaces.copy(trained_template, tmp_path_factory.mktemp("built"))
    approvals.approve(workspace, "flight-delay:1", "good")
    bentos.build(workspace, "flight-delay:1")
    return workspace.root


@pytest.fixture
def built(built_template: Path, tmp_path: Path) -> Workspace:
    """A fresh copy of the workspace whose champion has a Bento."""
    from tests import workspaces

    return workspaces.copy(built_template, tmp_path / "workspace")


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """The workspace that `make demo` leaves, to be copied, never changed; and what `mlops demo --json` answered."""
    from tests.cli.called import call

    root = tmp_path_factory.mktemp("demonstrated") / "demo"
    return root, call(None, "demo", root, "--json")


@pytest.fixture
def deaf() -> Iterator[None]:
    """SIGINT is ignored here and in every child, as for what `nohup` or a script's & starts."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def foreground() -> Iterator[None]:
    """SIGINT is heard here and in every child, though the tests themselves may have been started deaf to it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    """A workspace with the sample pipeline and no data yet."""
    from tests import workspaces

    return workspaces.make(tmp_path / "workspace")
