"""Predictions: every line of a spool becomes rows once, typed, in few parts, and is found again by time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from mlops_tui.adapters.catalogue import build, release
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.core import monitor
from mlops_tui.errors import Busy, NotFound
from mlops_tui.flows import keep
from mlops_tui.flows.watch import answers, predictions
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment, Input, ModelVersion, PredictionPart, Signature, to_json
from mlops_tui.spool import Segments

NAME = "flight-delay"
ONE = f"{NAME}:1"
START = datetime(2026, 11, 23, 14, tzinfo=UTC)
INPUTS = (Input("distance", "Int64", False), Input("temp", "Float64", True), Input("carrier", "String", True))
LATE = Signature("binary", "late", "Boolean", INPUTS, ("false", "true"), extras=("flight_id", "time_hour"))


def serve(workspace: Workspace, signature: Signature = LATE, version: int = 1, model: str = NAME) -> None:
    """Write down a model version with this signature, and that the deployment serves it."""
    kept = workspace.objects.put(to_json(signature))
    nothing = workspace.objects.put(b"nothing")
    hashes = dict.fromkeys(("booster", "transform", "reference", "golden", "rows"), nothing)
    same = dict.fromkeys(("dataset_hash", "pipeline_hash", "code_hash", "key"), "")
    made = ModelVersion(
        model, version, run="0" * 12, task=signature.task, dataset="flights", dataset_version=1, created_at=START,
        author="test", signature=kept, calibration=None, **hashes, **same,
    )  # fmt: skip
    server = Deployment(NAME, model, version, f"{model}:{version}", "127.0.0.1", 3000, 1, 0.0, "stopped", "test", START)
    with workspace.catalogue.write(workspace.now()) as act:
        build.add_model_version(act, made)
        release.put_deployment(act, server)
        act.record("test.served", model)


def row(number: int) -> dict[str, Any]:
    """A row of a request, as a client sends it."""
    moment = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    temp = None if number % 7 == 0 else number / 10
    return {
        "distance": number, "temp": temp, "carrier": "UA", "flight_id": f"F{number}", "time_hour": moment.isoformat(),
    }  # fmt: skip


def request(number: int, size: int = 1, model: str = f"{NAME}:1", **more: Any) -> dict[str, Any]:
    """The line of request `r<number>`, whose rows are number·size and on, answered that many seconds after START."""
    answers = [
        {"prediction": at % 2 == 0, "probability": 1 / (at + 2)} for at in range(number * size, (number + 1) * size)
    ]
    return {
        "kind": "predict", "id": f"r{number}", "at": moment(number),
        "body": {"rows": [row(at) for at in range(number * size, (number + 1) * size)]},
        "answer": {"predictions": answers, "model": model, "request_id": f"r{number}"},
    } | more  # fmt: skip


def labelled(number: int, *labels: dict[str, Any]) -> dict[str, Any]:
    """The line of a request that brought labels."""
    return {"kind": "labels", "id": f"l{number}", "at": moment(number), "body": {"labels": list(labels)}}


def moment(number: int) -> str:
    """When request `number` came, as a service writes it."""
    return f"{(START + timedelta(seconds=number)).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def folder_of(workspace: Workspace) -> Path:
    """The deployment's spool."""
    return workspace.home / "spool" / NAME


def write(segments: Segments, lines: Sequence[dict[str, Any] | bytes]) -> None:
    """Append lines as a service does."""
    data = b"".join((line if isinstance(line, bytes) else msgspec.json.encode(line)) + b"\n" for line in lines)
    assert segments.append(data, durable=False)[0] == len(data)


def spool(workspace: Workspace, *lines: dict[str, Any] | bytes) -> None:
    """Write lines to a segment that is finished."""
    with closing(Segments(folder_of(workspace), 2**30)) as segments:
        write(segments, lines)


def parts(workspace: Workspace) -> list[PredictionPart]:
    """The parts of the deployment's predictions."""
    with workspace.catalogue.read() as act:
        return rows.prediction_parts(act, NAME)


def held(workspace: Workspace) -> dict[str, int]:
    """How far each segment was read."""
    with workspace.catalogue.read() as act:
        return rows.gathered(act, NAME)


def test_lines_become_typed_rows_and_a_finished_segment_goes(empty: Workspace) -> None:
    serve(empty)
    bare = request(2, 2)
    bare["body"] = [{"distance": 4, "carrier": None, "flight_id": 4.0}, {"distance": 5.0, "temp": 1}]
    spool(empty, request(0, 2), request(1, 2), bare)
    found = predictions.gather(empty, NAME)
    assert (found.requests, found.rows, found.labels, found.bad_lines, found.unreadable) == (3, 6, 0, 0, 0)
    frame = answers.frame(empty, NAME, ONE)
    assert dict(frame.schema) == {
        "__request": pl.String(), "__row": pl.Int32(), "__at": pl.Datetime("us", "UTC"), "distance": pl.Int64(),
        "temp": pl.Float64(), "carrier": pl.String(), "flight_id": pl.String(), "time_hour": pl.String(),
        "__prediction": pl.String(), "__score": pl.Float64(), "__time": pl.Datetime("us", "UTC"),
    }  # fmt: skip
    first = {
        "__request": "r0", "__row": 1, "__at": START, "distance": 1, "temp": 0.1, "carrier": "UA", "flight_id": "F1",
        "time_hour": "2013-01-01T01:00:00Z", "__prediction": "false", "__score": 1 / 3, "__time": START,
    }  # fmt: skip
    assert frame.row(1, named=True) == first
    assert frame["flight_id"].to_list()[-2:] == ["4", None]
    assert not list(folder_of(empty).iterdir())
    assert predictions.gather(empty, NAME) == predictions.Gathered(NAME)
    assert answers.versions(empty, NAME) == [
        answers.Answered(NAME, 1, 6, START, START + timedelta(seconds=2))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("signature", "given", "columns"),
    [
        (
            Signature("multiclass", "grade", "Float64", INPUTS, ("1.0", "2.5")),
            [{"prediction": 1.0, "probabilities": {"1.0": 0.6, "2.5": 0.4}}],
            {"__prediction": ["1.0"], "__score_1.0": [0.6], "__score_2.5": [0.4]},
        ),
        (
            Signature("regression", "delay", "Float64", INPUTS),
            [{"prediction": 12}, {"prediction": None}],
            {"__prediction": [None, None], "__score": [12.0, None]},
        ),
    ],
)
def test_scores_are_named_as_in_the_reference_sample(
    empty: Workspace, signature: Signature, given: list[Any], columns: dict[str, list[Any]]
) -> None:
    serve(empty, signature)
    answer = {"predictions": given, "model": f"{NAME}:1"}
    spool(empty, request(0, body=[{"distance": 1}] * len(given), answer=answer))
    assert predictions.gather(empty, NAME).rows == len(given)
    frame = answers.frame(empty, NAME, ONE)
    assert frame.select(list(columns)).to_dict(as_series=False) == columns
    assert {name for name in frame.columns if name.startswith("__")} == {
        "__request", "__row", "__at", "__time", *columns,
    }  # fmt: skip


def test_a_segment_that_grows_is_read_on_and_stays(empty: Workspace) -> None:
    serve(empty)
    with closing(Segments(folder_of(empty), 2**30)) as segments:
        write(segments, [request(0)])
        assert predictions.gather(empty, NAME).requests == 1
        assert predictions.gather(empty, NAME).requests == 0
        write(segments, [request(1), request(2)])
        spool(empty, request(3))
        assert predictions.gather(empty, NAME).requests == 3
        assert len(list(folder_of(empty).iterdir())) == 1
    assert predictions.gather(empty, NAME).requests == 0
    assert not list(folder_of(empty).iterdir())
    spool(empty, request(4))
    assert predictions.gather(empty, NAME).requests == 1
    assert len(held(empty)) == 1, "the rows of segments that are gone went with the next transaction"
    assert answers.frame(empty, NAME, ONE)["__request"].to_list() == ["r0", "r1", "r2", "r3", "r4"]


def test_what_cannot_be_read_here_is_told_and_kept(empty: Workspace) -> None:
    serve(empty)
    few = request(3, 2) | {"body": [row(1)]}
    strange = [request(1, model="elsewhere:7"), few, {"kind": "noise"}, request(4, body=["far"])]
    strange += [labelled(1, {"label": True}), request(5, model="what?"), request(6, at="noon")]
    spool(empty, request(0), *strange, b"{torn", request(2), labelled(2, {"request_id": "r0", "label": True}))
    found = predictions.gather(empty, NAME)
    assert (found.requests, found.rows, found.labels) == (2, 2, 1)
    assert (found.bad_lines, found.unreadable) == (1, len(strange))
    (kept,) = (folder_of(empty) / "unreadable").iterdir()
    lines = [msgspec.json.decode(line) for line in kept.read_bytes().splitlines()]
    assert sorted(lines, key=str) == sorted(strange, key=str)
    assert predictions.gather(empty, NAME) == predictions.Gathered(NAME), "they are not read again"


def test_each_version_has_parts_of_its_own(empty: Workspace) -> None:
    serve(empty)
    serve(empty, Signature("binary", "late", "Boolean", INPUTS[:1], ("false", "true")), version=2)
    second = [request(number, model=f"{NAME}:2", body=[{"distance": 1}]) for number in (1, 2)]
    spool(empty, request(0), *second, request(3))
    assert predictions.gather(empty, NAME).requests == 4
    assert [(one.version, one.rows) for one in answers.versions(empty, NAME)] == [(2, 2), (1, 2)]
    assert "temp" not in answers.frame(empty, NAME, f"{NAME}:2").columns
    assert answers.frame(empty, NAME, f"{NAME}:3").is_empty()


def test_models_of_one_version_number_are_told_apart(empty: Workspace) -> None:
    serve(empty)
    serve(empty, Signature("binary", "late", "Boolean", INPUTS[:1], ("false", "true")), model="imported")
    other = request(1, model="imported:1", body=[{"distance": 7}])
    spool(empty, request(0), other, request(2))
    predictions.gather(empty, NAME)
    assert [one.ref for one in answers.versions(empty, NAME)] == ["imported:1", ONE]
    assert answers.frame(empty, NAME, ONE)["distance"].to_list() == [0, 2]
    assert answers.frame(empty, NAME, "imported:1")["distance"].to_list() == [7]


def test_a_part_a_minute_stays_few_parts_and_rows_are_rarely_written_again(empty: Workspace) -> None:
    serve(empty)
    written = 0
    for number in range(40):
        spool(empty, request(number, 3))
        predictions.gather(empty, NAME)
        newest = max(parts(empty), key=lambda part: part.gathered_at)
        written += newest.rows
    assert len(parts(empty)) <= 7  # log2 of 40, and one
    assert written <= 120 * 7
    frame = answers.frame(empty, NAME, ONE)
    assert frame["distance"].to_list() == list(range(120))
    hashes = {part.hash for part in parts(empty)}
    with empty.catalogue.read() as act:
        assert hashes <= set(keep.named(act)), "gc leaves what is named"


def test_full_parts_are_left_alone(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(empty)
    monkeypatch.setattr(predictions, "FULL", 4)
    for number in range(6):
        spool(empty, request(number, 2))
        predictions.gather(empty, NAME)
    assert [part.rows for part in parts(empty)] == [4, 4, 4]


def test_a_range_by_time_received_reads_only_its_parts(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(empty)
    monkeypatch.setattr(predictions, "FULL", 1)
    for number in range(4):
        spool(empty, request(number))
        predictions.gather(empty, NAME)
    empty.objects.path(parts(empty)[0].hash).unlink()
    frame = answers.frame(empty, NAME, ONE, (START + timedelta(seconds=1), START + timedelta(seconds=3)))
    assert frame["__request"].to_list() == ["r1", "r2"]
    assert frame["__time"].equals(frame["__at"])


@pytest.mark.parametrize(
    "inputs", [(), (Input("time_hour", "Datetime(time_unit='us', time_zone='UTC')", True),)], ids=["extra", "input"]
)
def test_a_range_by_event_time_takes_the_time_that_rows_carry(empty: Workspace, inputs: tuple[Input, ...]) -> None:
    extras = ("flight_id",) if inputs else ("flight_id", "time_hour")
    serve(empty, Signature("binary", "late", "Boolean", INPUTS + inputs, ("false", "true"), extras=extras))
    none = request(5, body=[row(5) | {"time_hour": None}])
    spool(empty, *(request(number) for number in range(5)), none)
    predictions.gather(empty, NAME)
    hours = [datetime(2013, 1, 1, number, tzinfo=UTC) for number in range(5)]
    frame = answers.frame(empty, NAME, ONE, (hours[1], None), "time_hour")
    assert frame["__time"].to_list() == [*hours[1:], START + timedelta(seconds=5)]
    frame = answers.frame(empty, NAME, ONE, (None, hours[2]), "time_hour")
    assert frame["__request"].to_list() == ["r0", "r1"]
    assert answers.frame(empty, NAME, ONE, time="nowhere")["__time"].min() == START


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2013-05-01", datetime(2013, 5, 1, tzinfo=UTC)),
        ("2013-05-01 12:30", datetime(2013, 5, 1, 12, 30, tzinfo=UTC)),
        ("2013-05-01T12:30:00.25+02:00", datetime(2013, 5, 1, 10, 30, 0, 250_000, UTC)),
        ("soon", START), (1367366400, START), (None, START), ("9999-12-31", START), ("2099-01-01T00:00:00Z", START),
        ("0001-01-01", START), ("2027-11-24T14:00:00Z", datetime(2027, 11, 24, 14, tzinfo=UTC)), ("2027-11-25", START),
    ],
)  # fmt: skip
def test_an_event_time_is_read_as_clients_write_it(empty: Workspace, text: object, moment: datetime) -> None:
    serve(empty)
    spool(empty, request(0, body=[row(0) | {"time_hour": text}]))
    predictions.gather(empty, NAME)
    frame = answers.frame(empty, NAME, ONE, time="time_hour")
    assert frame["__time"].to_list() == [moment]


@pytest.mark.parametrize("time", [None, "time_hour"])
def test_windows_that_hold_rows_are_found_by_their_times_alone(empty: Workspace, time: str | None) -> None:
    serve(empty)
    spool(empty, *(request(number, 10) for number in range(8)))
    predictions.gather(empty, NAME)
    seconds = 3 * 3600 if time else 3
    frame = answers.frame(empty, NAME, ONE, time=time)
    numbers = answers.occupied(empty, NAME, ONE, seconds, time=time)
    spans = [monitor.window(number, seconds) for number in sorted(numbers)]
    rows_in = [answers.frame(empty, NAME, ONE, span, time).height for span in spans]
    assert sum(rows_in) == frame.height
    assert min(rows_in) > 0
    assert len(spans) == (27 if time else 3)
    assert spans[0][0] <= frame["__time"].min() < spans[0][1]  # type: ignore[operator]
    assert answers.occupied(empty, NAME, ONE, seconds, spans[1], time) == {sorted(numbers)[1]}
    assert answers.occupied(empty, NAME, f"{NAME}:2", seconds, time=time) == set()


def test_one_gathers_at_a_time_and_an_unknown_deployment_is_told(empty: Workspace) -> None:
    serve(empty)
    empty.catalogue.timeout = 0.1
    with (
        empty.exclusive(f"gather-{NAME}", "gathering"),
        pytest.raises(Busy, match=f"gathering for the deployment '{NAME}'"),
    ):
        predictions.gather(empty, NAME)
    with pytest.raises(NotFound, match=f"no deployment 'fligth-delay'; did you mean '{NAME}'"):
        predictions.gather(empty, "fligth-delay")


def test_two_hundred_thousand_rows_are_gathered_in_bounded_memory(empty: Workspace) -> None:
    serve(empty)
    segments = Segments(folder_of(empty), 2**30)
    for number in range(0, 2000, 50):
        write(segments, [request(one, 100) for one in range(number, number + 50)])
    segments.close()
    size = sum(path.stat().st_size for path in folder_of(empty).iterdir())
    began, cpu = time.perf_counter(), time.process_time()
    found = predictions.gather(empty, NAME)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert (found.requests, found.rows) == (2000, 200_000)
    print(f"\n200,000 rows, {size / 1e6:.0f} MB of lines: {seconds:.1f} s, {cpu:.1f} s CPU, {len(parts(empty))} parts")
    began = time.perf_counter()
    frame = answers.frame(empty, NAME, ONE, time="time_hour")
    print(f"read again by event time: {time.perf_counter() - began:.2f} s")
    assert frame["distance"].sort().to_list() == list(range(200_000))
