"""A crowded workspace: so many pipelines, model versions and runs, put in bulk from one template of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mlops_tui.adapters.catalogue import Act, build, release
from mlops_tui.config import PipelineFile
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import AliasChange, DatasetVersion, GateResult
from tests.tui import made_data as data
from tests.tui import made_models as models
from tests.tui import made_release as served
from tests.tui import made_rules as rules
from tests.tui import made_watch as watch
from tests.tui.made_base import NOW, Making, empty, making_of, moment, pipeline
from tests.tui.made_rules import Asked

TOPICS = ("churn", "delay", "demand", "fraud", "price")
PIPELINE = """\
[pipeline]
name = "{name}"
[data]
dataset = "events"
source = "data/events/*.parquet"
time = "moment"
key = ["id"]
[target]
column = "late"
task = "binary"
[features.derive]
dep_hour = "sched_dep_time // 100"
dep_minutes = "(sched_dep_time // 100) * 60 + sched_dep_time % 100"
felt = "CASE WHEN temp < 50 THEN temp - 0.7 * wind_speed ELSE temp END"
seats_a_mile = "plane_seats / distance"
[train]
rounds = 300
seed = 7
[train.params]
learning_rate = 0.03
num_leaves = 15
min_data_in_leaf = 200
feature_fraction = 0.7
bagging_fraction = 0.8
bagging_freq = 1
lambda_l2 = 5.0
cat_smooth = 50.0
[[gates]]
metric = "auc"
min = 0.62
[approval]
reviewers = 1
[serve]
port = {port}
[[rules]]
when = "drift"
[[rules]]
when = "decay"
drop = 0.03
[policy]
cooldown = "12h"
"""
METRICS = {"auc": 0.111111, "average_precision": 0.222222, "log_loss": 0.333333}
THEN = moment("01-01 00:00")
MARKS = {
    "@name": "c.name", "@run": "c.id", "2013-01-01T00:00:00": "strftime(c.began, '%Y-%m-%dT%H:%M:%S')",
    "2013-01-01T00:00:09": "strftime(c.ended, '%Y-%m-%dT%H:%M:%S')",
    "0.111111": "c.auc::VARCHAR", "0.222222": "round(c.auc - 0.2361, 4)::VARCHAR",
    "0.333333": "round(1.2256 - c.auc, 4)::VARCHAR",
}  # fmt: skip
"""What stands in a template's body for a row's own value."""
GOOD, FAILED = 987654, 987655  # the versions of the templates
CROWD = """\
CREATE TEMP TABLE crowd AS
SELECT *, left(md5(p || '/' || j), 12) AS id, round(0.68 + (p * 37 + j * 53) % 900 / 10000, 4) AS auc,
    ?::TIMESTAMP - to_minutes(15 * (j * ? + p)) AS began,
    began + INTERVAL 9 SECONDS AS ended,
    CASE WHEN j % 25 = 3 THEN 'failed' WHEN j % 25 = 7 THEN 'interrupted' ELSE 'completed' END AS status
FROM (SELECT name, row_number() OVER (ORDER BY name) - 1 AS p FROM pipelines), range(?) AS every(j)
"""
INTO_RUNS = """\
INSERT INTO runs BY NAME
SELECT t.* REPLACE (c.id AS id, c.name AS pipeline, c.status AS status, md5(c.id) AS key, c.began AS started_at,
    {body} AS body)
FROM crowd c JOIN runs t ON t.status = CASE c.status WHEN 'completed' THEN '@done' ELSE '@cut' END
"""
INTO_METRICS = """\
INSERT INTO run_metrics
SELECT id, metric, CASE metric WHEN 'auc' THEN auc WHEN 'log_loss' THEN round(1.2256 - auc, 4)
    ELSE round(auc - 0.2361, 4) END
FROM crowd, (VALUES ('auc'), ('average_precision'), ('log_loss')) AS every(metric) WHERE status = 'completed'
"""
INTO_VERSIONS = """\
INSERT INTO model_versions BY NAME
SELECT t.* REPLACE (c.name AS model, c.v AS version, c.id AS run, c.ended AS created_at, {body} AS body)
FROM (SELECT *, ? - j // ? AS v FROM crowd WHERE j % ? = 0) c
JOIN model_versions t ON t.version = CASE WHEN (c.v + c.p) % 7 = 3 THEN ? ELSE ? END
WHERE c.v > 0
"""
INTO_APPROVALS = """\
INSERT INTO approvals BY NAME
SELECT t.* REPLACE (c.name AS model, c.v AS version, c.ended AS created_at, {body} AS body)
FROM (SELECT *, ? - j // ? AS v FROM crowd WHERE j % ? = 0) c, approvals t
WHERE c.v > 0 AND (c.v + c.p) % 7 <> 3 AND NOT (c.v = ? AND c.p % 4 = 0)
"""


def crowded(root: Path, *, pipelines: int = 200, versions: int = 20_000, runs: int = 100_000) -> Workspace:
    """So many pipelines on one dataset, all of them serving, that share the versions and runs evenly.

    `versions` is a multiple of `pipelines`, and `runs` of five times `versions`, so that only whole runs made versions.
    Some of the newest versions wait for approval or failed their gate, some servers are down, some predictions drift.
    """
    workspace = empty(root)
    with making_of(workspace) as making:
        names = sorted(f"{TOPICS[number % len(TOPICS)]}-{number:03}" for number in range(pipelines))
        files = [pipeline(making, name, PIPELINE.format(name=name, port=4000 + n)) for n, name in enumerate(names)]
        _templates(making, files[0])
        _bulk(making.act, pipelines, versions, runs)
        for number, settings in enumerate(files):
            _serve(making, settings, number)
    return workspace


def _templates(making: Making, settings: PipelineFile) -> None:
    """Put the rows that all others are written after: two runs, two versions, an approval."""
    source = data.source(making, data.FLIGHTS, "events", (2400, 2400, 2400))
    made: list[DatasetVersion] = [
        data.dataset_version(making, settings, number, (data.FLIGHTS, source.parts[:number]), (at, "ada"))
        for number, at in enumerate((moment("04-01 06:00"), moment("07-01 06:00"), moment("10-01 06:00")), 1)
    ]
    build.put_source_files(making.act, "events", data.arrived(making, source.parts))
    training = models.Training(0, THEN, "ben", "new data: events:3, trained last on :2", 0.7278, 9.0)
    run = models.run(making, settings, made[-1], training, data.FLIGHTS)
    passed = GateResult("auc ≥ 0.62", True, 0.7278, 0.7177, 0.7379, 0.62, "auc is 0.7278 (1,440 test rows): ≥ 0.62")
    model = models.model(making, settings, run, GOOD, (None, [passed]), source)
    text = "auc is 0.6104 (1,440 test rows): not ≥ 0.62"
    failed = models.model(making, settings, run, FAILED, (None, [replace(passed, passed=False, sentence=text)]), source)
    for table in ("runs", "run_metrics", "model_versions"):
        making.act.change(f"DELETE FROM {table}")
    making.story.clear()
    done = replace(run, id="@run", pipeline="@name", status="@done", metrics=METRICS)  # type: ignore[arg-type]
    cut = replace(done, status="@cut", metrics={}, details=None, error="it was told to stop")  # type: ignore[arg-type]
    build.add_run(making.act, done)
    build.add_run(making.act, cut)
    for version in (model, failed):
        build.add_model_version(making.act, replace(version, model="@name", run="@run", metrics=METRICS))
    word = served.word(model, "approved", "ada", "as good as the one before", THEN + timedelta(seconds=9))
    release.add_approval(making.act, replace(word, model="@name"))


def _filled(body: str) -> str:
    """The SQL that writes a row's own values into a template's body."""
    for mark, value in MARKS.items():
        body = f"replace({body}, '{mark}', {value})"
    return body


def _bulk(act: Act, pipelines: int, versions: int, runs: int) -> None:
    """Insert runs and their metrics, model versions, approvals, each in one statement."""
    each, ratio = versions // pipelines, runs // versions
    assert (versions % pipelines, runs % (5 * versions)) == (0, 0)
    versioned = _filled("replace(t.body, t.version::VARCHAR, c.v::VARCHAR)")
    act.change(CROWD, NOW.replace(tzinfo=None), pipelines, runs // pipelines)
    act.change(INTO_RUNS.format(body=_filled("replace(t.body, t.status, c.status)")))
    act.change(INTO_METRICS)
    act.change(INTO_VERSIONS.format(body=versioned), each, ratio, ratio, FAILED, GOOD)
    act.change(INTO_APPROVALS.format(body=versioned), each, ratio, ratio, each)
    act.change("DELETE FROM runs WHERE id = '@run'")
    for table in ("model_versions", "approvals"):
        act.change(f"DELETE FROM {table} WHERE model = '@name'")
    act.change("DROP TABLE crowd")


def _serve(making: Making, settings: PipelineFile, number: int) -> None:
    """The champion of a pipeline serves; it was monitored, and its rules were asked twice."""
    act, name = making.act, settings.name
    newest = act.one("SELECT max(version) FROM approvals WHERE model = ?", name)
    model = build.model_version(act, name, newest[0] if newest else None)
    assert model is not None
    at = moment("10-01 00:00") + timedelta(minutes=number)
    for alias in ("champion", "live"):
        release.move_alias(act, AliasChange(name, alias, model.version, "ada", "approved by ada", at))
    served.deployment(making, served.bento(making, model, at, "ada"), settings, at, "ada", alive=number % 10 != 7)
    weeks = range(1, 9) if number % 3 == 0 else range(5)
    report = watch.report(name, name, model.version, weeks, moment("10-15 08:00") + timedelta(minutes=number))
    watch.put_report(making, report)
    for hours in (24, 0):
        asked = Asked(name, report.created_at - timedelta(hours=hours), "events:3", model.ref)
        asked = replace(asked, held="until 2013-10-16 00:00 UTC: the cooldown is 12h" if number % 6 == 3 else "")
        said = rules.flight_rules(report.windows[-1], report.windows[-2], asked.at, model.created_at)
        rules.decide(making, asked, said[1:3])
