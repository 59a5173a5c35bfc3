"""The loop from start to end, as a team lives it: served, watched, drifted, labelled, retrained, rolled over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

from mlops_tui.adapters import ports
from mlops_tui.core import requests
from tests import workspaces
from tests.cli.called import Answer, call

CLEAN = (datetime(2013, 2, 11, tzinfo=UTC), datetime(2013, 2, 18, tzinfo=UTC))
DRIFTED = (datetime(2013, 2, 25, tzinfo=UTC), datetime(2013, 3, 4, tzinfo=UTC))
MOVED = {"carrier", "sched_dep_time"}
MORE = """
[serve]
port = {port}
[monitor]
window = "7d"
[[rules]]
when = "drift"
share = 0.1
[policy]
cooldown = "0s"
"""


def week(span: tuple[datetime, datetime]) -> pl.DataFrame:
    """The flights of a week whose outcome is known."""
    year = pl.read_parquet(sorted((workspaces.SAMPLE / "flights").glob("*.parquet"))[:3])
    return year.filter(pl.col("time_hour").is_between(*span, closed="left"), pl.col("late").is_not_null())


def drifted() -> pl.DataFrame:
    """A week in which half of the flights change their carrier, and nearly all leave hours later."""
    rows, random = week(DRIFTED), np.random.default_rng(7)
    other, later = (pl.Series(random.random(rows.height) < share) for share in (0.5, 0.9))
    later_time = pl.min_horizontal(pl.col("sched_dep_time") + 600, 2359)
    return rows.with_columns(
        carrier=pl.when(other).then(pl.lit("MQ")).otherwise("carrier"),
        sched_dep_time=pl.when(later).then(later_time).otherwise("sched_dep_time"),
    )


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A workspace with January to March but for two weeks, which the model is asked about instead."""
    workspace = workspaces.make(tmp_path / "team", mode="auto", more=MORE.format(port=ports.free_port()))
    workspaces.arrive(workspace, 1, 2, 3)
    asked = pl.concat([week(CLEAN), week(DRIFTED)])["flight_id"].implode()
    for file in sorted((workspace.root / "data" / "flights").glob("*.parquet")):
        pl.read_parquet(file).filter(~pl.col("flight_id").is_in(asked)).write_parquet(file)
    yield workspace.root
    call(workspace.root, "deployments", "stop", "flight-delay")


def send(url: str, rows: pl.DataFrame) -> None:
    """Ask a deployment about rows, fifty a request, with their key and time."""
    with httpx.Client(base_url=url, timeout=30) as client:
        inputs = [one["name"] for one in client.get("/metadata").json()["signature"]["inputs"]]
        for batch in rows.iter_slices(50):
            sent = requests.to_json_rows(batch.select(*inputs, "flight_id", "time_hour"))
            assert client.post("/predict", json={"rows": sent}).status_code == 200
        workspaces.until_written(client)


def said(answer: Answer) -> dict[str, Any]:
    """What a command answered, if it was done."""
    assert answer.code == 0, answer.out + answer.err
    return answer.json


def window_of(report: dict[str, Any], span: tuple[datetime, datetime]) -> dict[str, Any]:
    """The window of a report that begins with a week."""
    return next(one for one in report["windows"] if datetime.fromisoformat(one["start"]) == span[0])


def test_from_a_served_champion_to_the_next_one(root: Path) -> None:
    served = said(call(root, "run", "flight-delay", "--json"))
    assert served["champion"] == "flight-delay:1"
    a_clean_week_is_quiet(root, served["url"])
    a_drifted_week_names_what_moved(root, served["url"])
    labels_come_late(root)
    fired = the_rules_fire_once_there_is_something_to_learn(root)
    the_agent_closes_the_loop(root, fired)


def a_clean_week_is_quiet(root: Path, url: str) -> None:
    send(url, week(CLEAN))
    clean = window_of(said(call(root, "monitor", "run", "flight-delay", "--json")), CLEAN)
    assert clean["rows"] == week(CLEAN).height, "every answer is gathered, once"
    assert [one["feature"] for one in clean["features"] if one["drifted"] or one["fault"]] == []
    assert clean["performance"] is None
    assert clean["estimate"]["metric"] == "auc"
    assert call(root, "monitor", "run", "flight-delay", "--fail").code == 0


def a_drifted_week_names_what_moved(root: Path, url: str) -> None:
    send(url, drifted())
    moved = window_of(said(call(root, "monitor", "run", "flight-delay", "--json")), DRIFTED)
    assert {one["feature"] for one in moved["features"] if one["drifted"]} == MOVED
    assert {one["feature"] for one in moved["features"][:2]} == MOVED, "the worst first"
    assert call(root, "monitor", "run", "flight-delay", "--fail").code == 1
    shown = call(root, "monitor", "show", "flight-delay").out
    assert all(f"{name} drifted: " in shown for name in MOVED)


def labels_come_late(root: Path) -> None:
    known = pl.concat([week(CLEAN), week(DRIFTED)]).select("flight_id", "late")
    stranger = pl.DataFrame({"flight_id": ["no such flight"], "late": [True]})
    pl.concat([known, stranger]).write_csv(root / "late.csv")
    added = said(call(root, "labels", "add", "flight-delay", "late.csv", "--json"))
    assert (added["rows"], added["new"], added["unmatched"]) == (known.height + 1, known.height + 1, 1)
    assert said(call(root, "labels", "add", "flight-delay", "late.csv", "--json"))["repeated"] == known.height + 1
    clean = window_of(said(call(root, "monitor", "run", "flight-delay", "--json")), CLEAN)
    assert clean["labelled"] == clean["rows"]
    assert 0.5 < clean["performance"]["value"] < 0.9
    assert abs(clean["estimate"]["error"]) < 0.1


def the_rules_fire_once_there_is_something_to_learn(root: Path) -> dict[str, Any]:
    held = said(call(root, "rules", "check", "flight-delay", "--json"))
    assert not held["fires"]
    assert "trained on exactly the data" in held["held"]
    shutil.copy(workspaces.SAMPLE / "flights" / "2013-04.parquet", root / "data" / "flights")
    said(call(root, "datasets", "refresh", "flights", "--json"))
    fired = said(call(root, "rules", "check", "flight-delay", "--json"))
    assert fired["fires"]
    (rule,) = fired["rules"]
    assert (rule["rule"], rule["verdict"], rule["threshold"]) == ("drift", "fires", 0.1)
    assert "2 of " in rule["reason"]
    assert "2013-02-25" in rule["reason"]
    assert any(name in rule["reason"] for name in MOVED), rule["reason"]
    return fired


def the_agent_closes_the_loop(root: Path, fired: dict[str, Any]) -> None:
    done = said(call(root, "agent", "run", "--once", "--json"))["state"]["last"]
    assert any(line.startswith("flight-delay: deploy: ") for line in done), done
    state = said(call(root, "status", "--json"))["items"][0]
    assert (state["champion"], state["model_state"]) == ("flight-delay:2", "approved")
    assert state["deployment_state"] == "running"
    with httpx.Client(base_url=state["url"]) as client:
        assert client.get("/metadata").json()["model"] == "flight-delay:2"
    assert "drift" in state["decided"]
    assert "flight-delay:2 is the champion" in state["decided"]
    decision = said(call(root, "rules", "show", fired["id"], "--json"))
    run = said(call(root, "runs", "list", "--json"))["items"][0]
    assert decision["run"] == run["id"]
    assert fired["id"] in run["reason"], "the run names the decision that asked for it"
