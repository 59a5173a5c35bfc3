"""Which page shows which object; the three acts and home."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlops_tui.tui import output
from mlops_tui.tui.build.compare import Compare
from mlops_tui.tui.build.dataset import Dataset
from mlops_tui.tui.build.diff import Diff
from mlops_tui.tui.build.pipeline import Pipeline
from mlops_tui.tui.build.root import Build
from mlops_tui.tui.build.run import RunPage
from mlops_tui.tui.home import Home
from mlops_tui.tui.page import Page
from mlops_tui.tui.release.bento import Bento
from mlops_tui.tui.release.deployment import Deployment
from mlops_tui.tui.release.lists import Release
from mlops_tui.tui.release.model import Model
from mlops_tui.tui.release.versus import Versus
from mlops_tui.tui.watch.backtest import BacktestPage
from mlops_tui.tui.watch.decision import DecisionPage
from mlops_tui.tui.watch.feature import FeaturePage
from mlops_tui.tui.watch.report import ReportPage
from mlops_tui.tui.watch.root import Watch

ROOTS: tuple[Callable[[], Page[Any]], ...] = (Home, Build, Release, Watch)
"""By number key: home, build, release, watch."""

PAGES: dict[str, Callable[[str], Page[Any]]] = {
    "output": output.Output,
    "jobs": output.Jobs,
    "build": Build,
    "dataset": Dataset,
    "dataset version": Dataset,
    "column": Dataset,
    "dataset diff": Diff,
    "run": RunPage,
    "compare": Compare,
    "pipeline": Pipeline,
    "release": Release,
    "model": Model,
    "model version": Model,
    "versus": Versus,
    "bento": Bento,
    "deployment": Deployment,
    "watch": Watch,
    "report": ReportPage,
    "feature": FeaturePage,
    "decision": DecisionPage,
    "backtest": BacktestPage,
}
"""By noun; each takes the object's reference."""
