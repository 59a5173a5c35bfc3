"""The dashboard, the alerts and the scrape configuration ask for what a service really counts; promtool reads them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_tui import counters

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
LABELS = {"endpoint", "outcome", "le", "model", "role", "column", "finding", "kind", "reason", "approved"}
LABELS |= {"job", "instance"}  # of the scrape
PROMTOOL = shutil.which("promtool")
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def asked() -> Iterator[str]:
    """Every query of the dashboard and of the alerts."""
    for panel in PANELS:
        yield from (target["expr"] for target in panel["targets"])
    yield from (note["expr"] for note in DASHBOARD["annotations"]["list"])
    yield from (rule["expr"] for rule in RULES)


def counted() -> set[str]:
    """The names of all samples that a service can tell, from its own exposition."""
    text = counters.exposition()[1].decode()
    kinds = dict(re.findall(r"^# TYPE (mlops_\w+) (\w+)$", text, re.MULTILINE))
    bare = {name.removesuffix("_total") if kind == "counter" else name: kind for name, kind in kinds.items()}
    return {name + ending for name, kind in bare.items() for ending in ENDINGS[kind]}


def test_every_metric_that_is_asked_for_is_counted_and_the_other_way_round() -> None:
    found = {name for query in asked() for name in re.findall(r"\bmlops_\w+", query)}
    assert found <= counted()
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in counted()}
    assert {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in found} == families
    variables = " ".join(one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query")
    assert set(re.findall(r"\bmlops_\w+", variables)) <= counted()


@pytest.mark.parametrize("query", list(asked()))
def test_a_query_is_well_formed_and_names_labels_that_there_are(query: str) -> None:
    depth = 0
    for sign in re.sub(r'"[^"]*"', '""', query):
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    by = " ".join(re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", query))
    named = {*re.findall(r"\w+", by), *re.findall(r'(\w+)(?:=~|!=|!~|=)"', query)}
    assert named <= LABELS


def test_every_outcome_and_reason_that_is_asked_for_is_one_that_the_service_says() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mlops_tui" / "service").glob("*.py"))
    values = re.findall(r'(?:outcome|reason)=~?"([^"]+)"', " ".join(asked()))
    said = {value for one in values for value in one.split("|")}
    assert {"bug", "withdrawn"} <= said
    assert {value for value in said if f'"{value}"' not in code} == set()


def test_the_dashboard_can_be_imported() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    names = {one["name"]: one["type"] for one in DASHBOARD["templating"]["list"]}
    assert names["datasource"] == "datasource"
    assert (DASHBOARD["id"], DASHBOARD["schemaVersion"]) == (None, 41)
    for panel in PANELS:
        places = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(place == {"type": "prometheus", "uid": "${datasource}"} for place in places)
        assert panel["title"]
        assert panel["description"].endswith(".")
    used = set(re.findall(r"\$(\w+)", " ".join(asked())))
    assert used <= {*names, "__rate_interval"}


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_page_tells_every_alert() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(Mlops\w+)` \|", page, re.MULTILINE)
    assert told == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "next"}


def test_the_scrape_configuration_names_the_alerts() -> None:
    found = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert found["rule_files"] == ["alerts.yml"]
    (job,) = found["scrape_configs"]
    assert f'up{{job="{job["job_name"]}"}} == 0' in [rule["expr"] for rule in RULES]


# ── as Prometheus itself reads them, where it is installed ───────────────────────────────────────

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
SERVER = 'job="mlops",instance="a"'
FIRES: list[tuple[str, str, list[str]]] = [
    ("MlopsDown", "3m", [f"up{{{SERVER}}} 0+0x60"]),
    ("MlopsBug", "3m", [f'mlops_requests_total{{{SERVER},endpoint="/predict",outcome="bug"}} _ _ 1+0x60']),
    ("MlopsBug", "20m", [f'mlops_requests_total{{{SERVER},endpoint="/predict",outcome="bug"}} 1+0x15 2+0x60']),
    ("MlopsCanaryWithdrawn", "5m", [f'mlops_swaps_total{{{SERVER},reason="withdrawn"}} _ _ 1+0x60']),
    ("MlopsRestarts", "20m", [f"mlops_start_time_seconds{{{SERVER}}} 1+60x60"]),
    (
        "MlopsFailing",
        "20m",
        [
            f'mlops_requests_total{{{SERVER},endpoint="/predict",outcome="ok"}} 0+100x60',
            f'mlops_requests_total{{{SERVER},endpoint="/predict",outcome="overloaded"}} 0+2x60',
        ],
    ),
    (
        "MlopsOddInputs",
        "70m",
        [
            f'mlops_rows_total{{{SERVER},endpoint="/predict"}} 0+100x120',
            f'mlops_inputs_total{{{SERVER},column="carrier",finding="unseen"}} 0+10x120',
            f'mlops_inputs_total{{{SERVER},column="dest",finding="null"}} 0+1x120',
        ],
    ),
]


def promtool(*words: str) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_reads_the_rules_and_the_configuration() -> None:
    promtool("check", "rules", str(FOLDER / "alerts.yml"))
    promtool("check", "config", str(FOLDER / "prometheus.yml"))


@needs_promtool
def test_promtool_reads_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    plain = [
        query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*") for query in asked()
    ]
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(plain)]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "queries.yml"))


@needs_promtool
@pytest.mark.parametrize(
    ("alert", "moment", "series"), FIRES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_alert_fires_when_it_should(alert: str, moment: str, series: list[str], tmp_path: Path) -> None:
    """Once, of the one thing that is wrong; and not of a server that is well."""
    well = [one.rpartition("} ")[0].replace('instance="a"', 'instance="b"') for one in series]
    quiet = [f"{name}}} {'1+0x120' if name.startswith('up') else '0+0x120'}" for name in well]
    given = [
        dict(zip(("series", "values"), re.split(r"(?<=}) ", one, maxsplit=1), strict=True)) for one in series + quiet
    ]
    # which labels and words an alert carries is not what this asks, so it is counted
    counts = {"expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})', "eval_time": moment}
    counts["exp_samples"] = [{"labels": "{}", "value": 1}]  # type: ignore[assignment]
    tests = [{"interval": "1m", "input_series": given, "promql_expr_test": [counts]}]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yml")], "tests": tests}))
    promtool("test", "rules", str(file))
