"""The floors: who may import whom, and which libraries stay out until they are used."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.tui import made

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mlops_tui"
CORE = sorted((PACKAGE / "core").glob("*.py"))
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock", PACKAGE / "service.lock"]

OUTSIDE_CORE = {"os", "pathlib", "subprocess", "socket", "time", "shutil", "tempfile", "uuid", "secrets", "random"}
NOT_SAFE_TO_OPEN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
HEAVY = {"polars", "duckdb", "lightgbm", "bentoml", "textual", "numpy"}
NOT_IN_SCREENS = {"polars", "lightgbm", "bentoml", "numpy", "pyarrow", "aiohttp", "textual_serve", "typer"}
SCREENS = """
import asyncio, sys
from pathlib import Path
from mlops_tui.flows.workspace import open_workspace
from mlops_tui.tui.app import make_app
from mlops_tui.tui.lists import Lists
from tests.tui.shown import settled

async def walk(root: str) -> None:
    app = make_app(open_workspace(Path(root)))
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        for number in "0123":
            await pilot.press(number)
            await settled(pilot)
            for _ in app.screen.tabs if isinstance(app.screen, Lists) else ():
                await pilot.press("tab")
                await settled(pilot)
                assert app.screen.failed is None, app.screen.failed
                print(app.screen.tab.name, len(app.screen.data.keys))

asyncio.run(walk(sys.argv[1]))
"""
"""Opens home and every list of a workspace, and prints how many rows each has."""

DRAWN: dict[str, set[str]] = {
    "answered": {"labels", "requests", "samples"},
    "approval": set(),
    "batch": {"faults", "sides"},
    "bodies": {"inputs", "kinds", "requests"},
    "boosters": {"fitting"},
    "bounds": {"metrics"},
    "calibration": set(),
    "columns": {"distances", "faults", "kinds", "sides", "variation"},
    "compare": set(),
    "contest": {"features", "gain", "gates", "leak", "metrics", "rehearsal", "target", "versus"},
    "canary": set(),
    "contract": {"dataset", "profile", "shift"},
    "cron": set(),
    "crossval": {"features", "fitting", "material", "metrics", "scoring", "split"},
    "curves": {"histograms", "intervals", "metrics"},
    "dataset": {"contract", "profile", "shift"},
    "derive": set(),
    "decode": {"kinds", "requests"},
    "distances": set(),
    "drift": {"columns", "samples", "variation"},
    "estimate": {"expected", "intervals", "metrics", "recalibration"},
    "expected": {"intervals", "measures"},
    "faults": {"distances", "sides"},
    "features": {"derive", "kinds"},
    "fitting": {"features"},
    "gain": {"metrics", "intervals"},
    "gates": {"bounds", "leak", "metrics", "slices"},
    "histograms": {"sides"},
    "history": {"material"},
    "intervals": set(),
    "kinds": set(),
    "inputs": {"requests"},
    "labels": {"kinds"},
    "leak": {"intervals"},
    "material": {"calibration", "features", "fitting", "metrics", "scoring", "split", "target"},
    "matrix": {"features", "kinds", "requests"},
    "measures": {"intervals"},
    "metrics": {"intervals", "measures"},
    "monitor": {"drift", "estimate", "features", "metrics", "samples", "scoring", "target", "tell"},
    "openapi": {"bodies"},
    "policy": {"cron", "verdicts"},
    "profile": {"contract", "dataset", "shift"},
    "query": set(),
    "recalibration": {"intervals"},
    "rehearsal": {
        "drift",
        "history",
        "kinds",
        "metrics",
        "monitor",
        "requests",
        "samples",
        "scoring",
        "target",
        "training",
    },
    "replay": {"contest", "metrics", "rehearsal", "rules"},
    "requests": {"features", "kinds"},
    "rules": {"cron", "gain", "policy", "symptoms", "verdicts"},
    "samples": {"kinds", "requests", "scoring"},
    "scoring": {"calibration", "features", "kinds", "single_row"},
    "sent_labels": {"requests", "scoring"},
    "shift": {"contract", "dataset", "distances", "profile"},
    "sides": {"distances"},
    "slices": {"bounds", "metrics"},
    "single_row": set(),
    "snippets": set(),
    "split": {"kinds"},
    "symptoms": {"metrics", "verdicts"},
    "target": {"kinds", "metrics", "requests", "scoring"},
    "tell": {"derive", "features", "fitting", "intervals"},
    "training": {
        "crossval",
        "features",
        "fitting",
        "material",
        "metrics",
        "samples",
        "scoring",
        "split",
    },
    "verdicts": set(),
    "variation": {"distances"},
    "versus": {"metrics", "requests", "scoring", "target"},
}
"""Which modules of core a module of core may import; who isn't listed may not be there."""


def imports(path: Path) -> Iterator[str]:
    """Yield every name that a file imports, dotted in full, wherever in the file, types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tops(path: Path) -> set[str]:
    """The packages that a file imports from."""
    return {name.split(".")[0] for name in imports(path)}


def python_files(*folders: str) -> list[Path]:
    """All Python files below folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter at the root, all it imports told on stderr."""
    command = [sys.executable, "-X", "importtime", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def loaded(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The modules that an interpreter imported, dotted in full."""
    return set(re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.MULTILINE))


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_core_touches_nothing_outside(path: Path) -> None:
    assert tops(path).isdisjoint(OUTSIDE_CORE)
    now = re.search(r"\.(now|utcnow|today)\(", path.read_text(encoding="utf-8"))
    assert now is None, "time is an argument"


@pytest.mark.parametrize("path", [path for path in CORE if path.stem != "__init__"], ids=lambda path: path.stem)
def test_core_imports_only_what_is_drawn(path: Path) -> None:
    assert path.stem in DRAWN, "a new module of core: draw its imports above"
    own = {name.removeprefix("mlops_tui.") for name in imports(path) if name.startswith("mlops_tui.")}
    from_core = {name.split(".")[1] for name in own if name.startswith("core.")}
    assert from_core <= DRAWN[path.stem]
    floors_below = {"config", "dtypes", "golden", "names", "records", "errors"}
    assert {name.split(".")[0] for name in own} <= {"core", *floors_below}


def test_what_is_drawn_has_no_circle_outside_the_dataset_family() -> None:
    family = {"contract", "dataset", "profile", "shift"}
    left = {module: below - family for module, below in DRAWN.items() if module not in family}
    while free := [module for module, below in left.items() if not below & left.keys()]:
        left = {module: below for module, below in left.items() if module not in free}
    assert not left


def test_the_code_that_a_run_names_is_all_that_training_imports() -> None:
    from mlops_tui.flows.workspace import TRAINING_CODE

    reached = {"training"}
    while more := set().union(*(DRAWN[module] for module in reached)) - reached:
        reached |= more
    assert set(TRAINING_CODE) == reached


@cache
def front_door(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("-m", "mlops_tui", *arguments)


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_front_door_is_light(argument: str) -> None:
    done = front_door(argument)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "mlops" in done.stdout
    assert loaded(done).isdisjoint(HEAVY)


def test_version_needs_no_typer() -> None:
    assert loaded(front_door("--version")).isdisjoint({"typer", "pydantic", "rich", "mlops_tui.cli"})


def test_completion_is_light() -> None:
    done = run("-m", "mlops_tui", _MLOPS_COMPLETE="complete_bash", COMP_WORDS="mlops ", COMP_CWORD="1")
    assert {"run", "datasets", "models"} <= set(done.stdout.split()), done.stderr[-2000:]
    assert loaded(done).isdisjoint(HEAVY)


def test_the_service_carries_no_application() -> None:
    done = run("-c", "import mlops_tui.service")
    assert done.returncode == 0, done.stderr[-2000:]
    application = {"mlops_tui.flows", "mlops_tui.adapters", "mlops_tui.config", "mlops_tui.cli"}
    assert loaded(done).isdisjoint(application | {"typer", "textual", "duckdb", "bentoml"})


def test_the_screens_load_nothing_that_computes(tmp_path: Path) -> None:
    """A screen stays open for days and reads: what needs polars or numpy runs as a command of its own."""
    done = run("-c", SCREENS, str(made.normal(tmp_path / "flights").root))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "models 0" not in done.stdout
    assert {"datasets", "models", "reports"} <= set(done.stdout.split())
    assert loaded(done).isdisjoint(NOT_IN_SCREENS)


def test_only_the_catalogue_connects() -> None:
    allowed = PACKAGE / "adapters" / "catalogue"
    for path in python_files("mlops_tui"):
        if path.is_relative_to(allowed):
            continue
        calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
        assert "connect" not in names, f"{path}: DuckDB loses commits if its file is opened without our lock"


def test_nothing_that_runs_code_when_it_is_opened() -> None:
    for path in python_files("mlops_tui", "tests", "sample_data"):
        assert tops(path).isdisjoint(NOT_SAFE_TO_OPEN), path


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_versions_and_hashes_and_no_place(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    for place in ("://", "file:", "index-url", "find-links", "trusted-host", "pypi.org", "files.pythonhosted.org"):
        assert place not in text
    starts = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert starts
    assert all(re.match(r"[a-z0-9][a-z0-9.-]*==\S+ (; .* )?\\$", line) for line in starts)
    assert len(re.findall(r"\\\n    --hash=sha256:", text)) >= len(starts)


def test_the_locks_agree() -> None:
    """What a Bento carries, and what the tests run with, is what the product runs with."""
    runtime, *others = (dict(re.findall(r"^(\S+)==(\S+)", lock.read_text("utf-8"), re.MULTILINE)) for lock in LOCKS)
    for other in others:
        assert {name: version for name, version in other.items() if runtime.get(name, version) != version} == {}
    assert runtime.keys() <= others[0].keys()
