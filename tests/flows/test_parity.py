"""Ten thousand rows of the sample data over HTTP, nulls and unseen categories among them: the bits of the model."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import polars as pl
import pytest

from mlops_tui.adapters import load, ports
from mlops_tui.core import requests, scoring
from mlops_tui.core.bodies import ARROW, CSV
from mlops_tui.flows import lookup
from mlops_tui.flows.release import deployments
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment
from tests import workspaces

NAME, ROWS = "flight-delay", 10_000


@pytest.fixture
def served(built: Workspace) -> Iterator[Deployment]:
    item, _ = deployments.start(built, f"{NAME}:1", deployments.Place(port=ports.free_port()))
    yield item
    deployments.stop(built, NAME)


def sample(workspace: Workspace) -> pl.DataFrame:
    """Rows of months that the model has not seen, the columns that it reads, some values taken out or made up."""
    known = [one.name for one in lookup.signature(workspace, lookup.model_version(workspace, f"{NAME}:1")).inputs]
    months = [pl.read_parquet(workspaces.SAMPLE / "flights" / f"2013-{month:02}.parquet") for month in (5, 9)]
    rows = pl.concat(months).select(known).head(ROWS).with_row_index("n")
    carrier = pl.when(pl.col("n") % 7 == 0).then(None).when(pl.col("n") % 11 == 0).then(pl.lit("ZZ"))
    nulled = [
        pl.when(pl.col("n") % 13 != at % 13).then(pl.col(name)).alias(name)
        for at, name in enumerate(known)
        if name != "carrier"
    ]
    made = carrier.otherwise(pl.col("carrier")).alias("carrier")
    return rows.with_columns(made, *nulled).select(known)


def test_every_way_over_http_gives_the_bits_of_the_model(built: Workspace, served: Deployment) -> None:
    frame = sample(built)
    scorer = lookup.scorer(built, lookup.model_version(built, f"{NAME}:1"))
    sent = requests.to_json_rows(frame)
    answers = scoring.answers(scorer, requests.rows_to_frame(scorer.signature, sent))
    expected: list[Any] = msgspec.json.decode(msgspec.json.encode(answers))
    assert frame.height == ROWS
    assert frame["carrier"].null_count() > 1000
    assert (frame["carrier"] == "ZZ").sum() > 500
    assert all(frame[name].null_count() for name in frame.columns)

    found: list[Any] = [None] * ROWS

    def keep(number: int, status: int, body: bytes) -> None:
        found[number] = msgspec.json.decode(body)["predictions"][0] if status == 200 else status

    bodies = [load.build("/predict", msgspec.json.encode({"rows": [row]}), {}) for row in sent]
    measured = load.drive(load.Target(served.host, served.port), bodies, load.Load(8, 300, ROWS), keep)
    assert measured.failures == {}
    assert found == expected

    with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as client:
        at_once = [one for part in parts(sent) for one in client.post("/predict", json=part).json()["predictions"]]
        by_csv = [one for part in frame.iter_slices(1000) for one in post(client, CSV, part.write_csv().encode())]
        by_arrow = [one for part in frame.iter_slices(1000) for one in post(client, ARROW, ipc(part))]
        back = client.post("/predict", content=ipc(frame), headers={"Content-Type": ARROW, "Accept": ARROW})
        counted = client.get("/metrics").text
    assert at_once == by_arrow == expected
    assert by_csv == expected
    assert pl.read_ipc_stream(io.BytesIO(back.content)).to_dicts() == expected
    unseen = 5 * (frame["carrier"] == "ZZ").sum()
    assert f'mlops_inputs_total{{column="carrier",finding="unseen"}} {float(unseen)}' in counted


def parts(rows: list[Any]) -> list[list[Any]]:
    return [rows[at : at + 1000] for at in range(0, len(rows), 1000)]


def ipc(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_ipc_stream(file)
    return file.getvalue()


def post(client: httpx.Client, kind: str, body: bytes) -> list[Any]:
    answer = client.post("/predict", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["predictions"])
