"""`models curves` and `monitor feature`: what they print, and what they answer to wrong input."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mlops_tui.cli.curves_texts import contest_text
from mlops_tui.core import curves
from mlops_tui.core.metrics import Answers
from mlops_tui.flows.release import approvals
from mlops_tui.flows.watch import monitor
from mlops_tui.records import Breakdown, Contest, SliceMetrics
from tests import workspaces
from tests.cli.called import call
from tests.cli.test_wrong_input import told
from tests.flows.test_monitor import DAYS, NAME, answer, deploy, march


@pytest.fixture(scope="module")
def root(trained_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose deployment was asked about 1 to 3 March, a window a day, and was looked at."""
    workspace = workspaces.copy(trained_template, tmp_path_factory.mktemp("curves") / "workspace")
    workspaces.write_pipeline(workspace, more=DAYS)
    approvals.approve(workspace, f"{NAME}:1", "good")
    deploy(workspace)
    answer(workspace, march(1, 3))
    monitor.run(workspace, NAME)
    return workspace.root


def test_curves_as_one_object_and_as_text(root: Path) -> None:
    found = call(root, "models", "curves", NAME, "--json").json
    assert {"task", "sets", "rows", "left_out", "models", "differences", "breakdowns", "remark"} == set(found)
    (model,) = found["models"]
    assert model["roc"]["true_positive"][-1] == 1.0
    shown = call(root, "models", "curves", NAME)
    assert (shown.code, shown.err) == (0, "")
    for words in ("flight-delay:1", "log_loss", "ROC", "reliability", "auc by carrier", f"{found['rows']:,} rows"):
        assert words in shown.out


def test_curves_of_two_say_who_is_better(root: Path) -> None:
    shown = call(root, "models", "curves", NAME, f"{NAME}:1")
    assert "better by" in shown.out
    assert "+0.0000 (+0.0000 to +0.0000), 95 % interval, DeLong" in shown.out


def test_curves_of_a_regression_are_residuals_and_what_was_predicted() -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=500)
    models = [Answers("regression", y, y + random.normal(size=500)) for _ in range(2)]
    edges = curves.residual_edges(models)
    drawn = tuple(curves.curves(f"delay:{at}", one, edges) for at, one in enumerate(models, 1))
    slices = Breakdown("carrier", "rmse", (SliceMetrics("AA", 1, (None, None)),), 3)
    text = contest_text(Contest("regression", "rows", 500, None, drawn, (), (slices,), "a remark"))
    for words in ("truth minus prediction", "as predicted", "rmse by carrier", "and 3 rarer values", "a remark"):
        assert words in text
    assert "ROC" not in text


def test_a_feature_as_one_object_and_as_text(root: Path) -> None:
    found = call(root, "monitor", "feature", NAME, "carrier", "--json").json
    assert datetime.fromisoformat(found["windows"][0]["start"]) == datetime(2013, 3, 3, tzinfo=UTC)
    assert len(found["labels"]) == len(found["windows"][0]["reference"]["counts"])
    words = ["--window", "2013-03-01", "--window", "2013-03-02T00:00Z"]
    shown = call(root, "monitor", "feature", NAME, "distance", *words)
    assert (shown.code, shown.err) == (0, "")
    for text in ("reference :1", "2013-03-01 :1", "2013-03-02 :1", "missing", "shape", "healthy up to", "96 to 172"):
        assert text in shown.out
    assert "2013-03-03 :1" not in shown.out


TYPED: list[tuple[str, tuple[str, ...]]] = [
    ("models curves", ("argument", "model")),
    ("models curves fligth-delay", ("no model 'fligth-delay'", "did you mean 'flight-delay'?")),
    ("models curves flight-delay flight-delay:9", ("the newest version is 1",)),
    ("models curves flight-delay flight-delay@winner", ("flight-delay@winner",)),
    ("monitor feature flight-delay", ("argument", "feature")),
    ("monitor feature fligth-delay distance", ("no deployment or report", "did you mean 'flight-delay'?")),
    ("monitor feature flight-delay distnace", ("no feature 'distnace'", "did you mean 'distance'?", "monitor show")),
    ("monitor feature flight-delay distance --window 2013-03-11", ("no window from '2013-03-11'", "'2013-03-01'?")),
    ("monitor feature flight-delay distance --window march", ("--window 'march' is no moment",)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), TYPED, ids=[line for line, _ in TYPED])
def test_what_people_type(line: str, words: tuple[str, ...], root: Path) -> None:
    told(call(root, *line.split()), *words)


def test_a_deployment_without_a_report(trained_template: Path, tmp_path: Path) -> None:
    workspace = workspaces.copy(trained_template, tmp_path / "workspace")
    deploy(workspace)
    line = told(call(workspace.root, "monitor", "feature", NAME, "distance"), "mlops monitor run flight-delay")
    assert "has no monitor report yet" in line
