"""Fixed workspaces for the screens: records put straight into a real catalogue, the same on every machine.

What counts as alive in them is the process that made them: never stop their deployment.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mlops_tui.adapters.catalogue import build, release
from mlops_tui.config import PipelineFile
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import DatasetVersion, Finding, GateResult
from tests.tui import made_data as data
from tests.tui import made_flights as flights
from tests.tui import made_models as models
from tests.tui import made_release as served
from tests.tui import made_rules as rules
from tests.tui.made_base import NOW, Making, empty, making_of, moment, pipeline
from tests.tui.made_crowd import crowded
from tests.tui.made_data import Source
from tests.tui.made_models import Training
from tests.tui.made_rules import Asked

__all__ = ["NOW", "broken", "crowded", "empty", "normal"]
FLIGHT_DELAY = """\
# Will this flight arrive more than 15 minutes late?
[pipeline]
name = "flight-delay"
description = "Arrives more than 15 minutes late: departures from New York, 2013"
[data]
dataset = "flights"
source = "data/flights/*.parquet"
time = "moment"
key = ["id"]
label_delay = "1d"
[data.checks]
min_rows = 1000
unique = ["id"]
[data.checks.columns.distance]
min = 50
max = 3000
[target]
column = "late"
task = "binary"
[features.derive]
dep_hour = "sched_dep_time // 100"
[split]
method = "time"
folds = 3
[train]
rounds = 300
seed = 7
[train.params]
num_leaves = 15
learning_rate = 0.03
[[gates]]
metric = "auc"
min = 0.62
[[gates]]
metric = "auc"
versus = "champion"
margin = 0.002
[[gates]]
slice = "carrier"
metric = "auc"
min = 0.58
[[gates]]
check = "latency_p99_ms"
max = 25.0
[approval]
mode = "manual"
reviewers = 1
[serve]
port = 3999
[monitor]
window = "7d"
[[rules]]
when = "gain"
[[rules]]
when = "drift"
share = 0.3
[[rules]]
when = "decay"
drop = 0.03
[[rules]]
when = "age"
days = 90
[[rules]]
name = "silent decay"
all = [{ when = "prediction_drift" }, { when = "estimated_decay" }]
[policy]
cooldown = "12h"
max_cycles_per_week = 3
"""
OTHER = """\
[pipeline]
name = "{name}"
[data]
dataset = "{dataset}"
source = "data/{dataset}/*"
time = "moment"
key = ["id"]
[data.checks]
min_rows = 100
{checks}
[target]
column = "{target}"
task = "{task}"
[split]
method = "time"
[train]
rounds = 300
seed = 7
[[gates]]
metric = "{metric}"
{bound}
[approval]
mode = "auto"
{more}
"""
CHURN = {"name": "churn", "dataset": "customers", "target": "next_plan", "task": "multiclass", "metric": "auc",
         "bound": "min = 0.7", "more": '[[rules]]\nwhen = "new_data"\nrows = 2000', "checks": ""}  # fmt: skip
STUCK = {"name": "stuck", "dataset": "meters", "target": "kwh", "task": "regression", "metric": "rmse",
         "bound": "max = 1.5", "more": "", "checks": "[data.checks.columns.kwh]\nmin = 0.0"}  # fmt: skip
FRESH = {"name": "fresh", "dataset": "fresh", "target": "sold", "task": "binary", "metric": "auc",
         "bound": "min = 0.6", "more": "", "checks": ""}  # fmt: skip
MISTAKEN = """\
[pipeline]
name = "mistaken"
[data]
dataset = "flights"
source = "data/flights/*.parquet"
[target]
column = "late"
task = "binari"
[trian]
rounds = 300
[[gates]]
metric = "auc"
"""


def normal(root: Path) -> Workspace:
    """Four pipelines: flight-delay with everything, churn that is well, fresh that never ran, stuck on its data."""
    workspace = empty(root)
    with making_of(workspace) as making:
        flights.tell(making, pipeline(making, "flight-delay", FLIGHT_DELAY))
        _churn(making, pipeline(making, "churn", OTHER.format(**CHURN)))
        _stuck(making, pipeline(making, "stuck", OTHER.format(**STUCK)))
        rules.agent(making)
    (root / "pipelines" / "fresh.toml").write_text(OTHER.format(**FRESH), encoding="utf-8")
    (root / "data" / "fresh").mkdir()
    (root / "data" / "fresh" / "2013-10.csv").write_text("id,moment,size,sold\n1,2013-10-01T08:00:00Z,L,yes\n")
    return workspace


def broken(root: Path) -> Workspace:
    """As normal, with a file of mistakes, the details of the champion's run gone, and a server that is down."""
    workspace = normal(root)
    (root / "pipelines" / "mistaken.toml").write_text(MISTAKEN, encoding="utf-8")
    with making_of(workspace) as making:
        serving = release.deployment(making.act, "flight-delay")
        champion = build.model_version(making.act, "flight-delay", 3)
        assert serving is not None
        assert champion is not None
        release.put_deployment(making.act, replace(serving, pid=served.NOBODY, born=0.0))
        lost = build.runs_by_prefix(making.act, champion.run)[0].details
        rules.agent(making, alive=False)
        text = "flight-delay:3 is down; given up after 5 restarts: the server died while starting; its log is empty"
        rules.notice(making, "deployment_down", "flight-delay", text, moment("10-15 11:58"))
    workspace.objects.path(str(lost)).unlink()
    return workspace


def _churn(making: Making, settings: PipelineFile) -> None:
    """Two months of customers, two versions that the pipeline approved by itself, two quiet decisions."""
    source = data.source(making, data.CUSTOMERS, "customers", (2210, 2304))
    for number, level in ((1, 0.7812), (2, 0.7934)):
        at = moment(f"{9 + number // 2:02}-03 05:00")
        made = (at - timedelta(minutes=2), "ben")
        version = data.dataset_version(making, settings, number, (data.CUSTOMERS, source.parts[:number]), made)
        why = f"new data: customers:2, trained last on :{number - 1}" if number > 1 else flights.NEVER
        _auto(making, settings, version, Training(number, at, "ben", why, level, 3.3), source)
    build.put_source_files(making.act, "customers", data.arrived(making, source.parts))
    quiet = rules.rule("new_data", False, "4,514 rows, none since the champion was trained", 0.0, 2000.0)
    for day in (14, 15):
        rules.decide(making, Asked("churn", moment(f"10-{day} 06:10"), "customers:2", "churn:2"), [quiet])


def _stuck(making: Making, settings: PipelineFile) -> None:
    """A version that was trained on, and a newer one that breaks its contract."""
    wrong = tuple(replace(one, ends=(-4.2, 9.8)) if one.name == "kwh" else one for one in data.METERS)
    source = data.source(making, data.METERS, "meters", (744,))
    parts = (*source.parts, data.part(making, wrong, "meters", 2, 672))
    first = data.dataset_version(making, settings, 1, (data.METERS, source.parts), (moment("09-12 04:00"), "ada"))
    _auto(making, settings, first, Training(1, moment("09-12 04:01"), "ada", flights.NEVER, 0.8421, 2.1), source)
    text = "column 'kwh': 282 rows are below 0, the worst -3.94; first at row 745"
    finding = Finding("min", "error", text, "kwh", -3.94, ">= 0")
    at = moment("10-13 04:00")
    data.dataset_version(making, settings, 2, (wrong, parts), (at, "ada"), (finding,))
    build.put_source_files(making.act, "meters", data.arrived(making, parts))
    told = f"meters:2 breaks its contract: {text}"
    rules.notice(making, "failed", "stuck", told, at, error="webhook: it answered 404, not tried again")


def _auto(making: Making, settings: PipelineFile, version: DatasetVersion, training: Training, source: Source) -> None:
    """Train on a dataset version; its one gate passes, and the pipeline approves it by itself."""
    run = models.run(making, settings, version, training, source.columns)
    assert run.ended_at is not None
    gate, level = settings.gates[0], training.level
    sign, bound = ("≥", gate.min) if gate.min is not None else ("≤", gate.max)
    text = f"{gate.metric} is {level} ({version.rows // 5:,} test rows): {sign} {bound}"
    passed = GateResult(f"{gate.metric} {sign} {bound}", True, level, None, None, bound, text)
    made = models.model(making, settings, run, training.number, (None, [passed]), source)
    at = run.ended_at + timedelta(seconds=3)
    served.say(making, made, "approved", "auto", "every gate passed", at)
    served.point(making, made, "champion", "approved by auto", at, training.user)
