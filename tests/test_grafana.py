"""The dashboard and the alerts ask for what a service really tells: names of series, and their labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from mlops_tui import counters

FOLDER = Path(__file__).parents[1] / "docs" / "grafana"
FILES = (FOLDER / "dashboard.json", FOLDER / "alerts.yml")
SCRAPED = {"job", "instance"}  # labels that Prometheus adds
SELECTED = re.compile(r"(mlops_\w+)\{([^}]*)\}")
BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")


@pytest.fixture
def exposed(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Every series of a service that has seen all that it counts, with the names of its labels."""
    monkeypatch.setattr(counters, "held", counters.Held(models=(("flight-delay:1", "live", "true"),)))
    counters.count("/predict", "ok", 3, 0.01)
    counters.odd({("distance", "range"): 1})
    counters.predicted("flight-delay:1", "live", [0.5])
    counters.swapped("started")
    text = counters.exposition()[1].decode()
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    found: dict[str, set[str]] = {}
    for one in samples:
        found.setdefault(one.name, set()).update(one.labels)
    return found


def expressions() -> list[str]:
    """Every query of both files."""
    dashboard = json.loads(FILES[0].read_text(encoding="utf-8"))
    alerts = yaml.safe_load(FILES[1].read_text(encoding="utf-8"))
    return [*_queries(dashboard), *(rule["expr"] for group in alerts["groups"] for rule in group["rules"])]


def _queries(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _queries(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in ("expr", "query", "definition") and isinstance(one, str):
                yield one
            else:
                yield from _queries(one)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_series_that_is_named_is_exposed(path: Path, exposed: dict[str, set[str]]) -> None:
    named = set(re.findall(r"\bmlops_\w+", path.read_text(encoding="utf-8")))
    assert len(named) > 5
    assert named - set(exposed) == set()


def test_every_series_that_is_exposed_is_on_the_dashboard(exposed: dict[str, set[str]]) -> None:
    shown = set(re.findall(r"\bmlops_\w+", FILES[0].read_text(encoding="utf-8")))
    family = re.compile(r"_(total|bucket|sum|count|created)$")
    assert {family.sub("", name) for name in exposed} == {family.sub("", name) for name in shown}


def test_labels_are_those_of_the_series(exposed: dict[str, set[str]]) -> None:
    for text in expressions():
        for name, selectors in SELECTED.findall(text):
            assert set(re.findall(r"(\w+)\s*[=!]", selectors)) <= exposed[name] | SCRAPED, text
        known = set().union(*(exposed[name] for name in re.findall(r"\bmlops_\w+", text) if name in exposed))
        for names in BY.findall(text):
            assert {one.strip() for one in names.split(",")} <= known | SCRAPED, text
        assert text.count("(") == text.count(")"), text
        assert text.count("{") == text.count("}"), text


def test_panels_have_places_of_their_own_and_say_what_they_show() -> None:
    panels = json.loads(FILES[0].read_text(encoding="utf-8"))["panels"]
    cells = [
        (x, y)
        for one in panels
        for x in range(one["gridPos"]["x"], one["gridPos"]["x"] + one["gridPos"]["w"])
        for y in range(one["gridPos"]["y"], one["gridPos"]["y"] + one["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({one["id"] for one in panels}) == len(panels)
    assert all(one["description"] for one in panels if one["type"] != "row")


def test_alerts_say_what_to_do() -> None:
    (group,) = yaml.safe_load(FILES[1].read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("page", "ticket")
