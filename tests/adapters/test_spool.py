"""The spool, from the queue to the reader: every line whole, in order, once, bounded, and nobody waits for it."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_tui import counters, spool
from mlops_tui.adapters import spool as reader
from mlops_tui.errors import Busy, External, InvalidInput

ANSWER = b'{"predictions":[{"prediction":true,"probability":0.7}],"model":"tiny:3","request_id":"r"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def opened(folder: Path) -> Iterator[spool.Spool]:
    made = spool.Spool(folder, 10**6)
    yield made
    made.close()


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def everything(folder: Path) -> list[dict[str, Any]]:
    """All lines of a spool, none of which may be bad."""
    found = []
    for name, size, _ in reader.segments(folder):
        lines, end, bad = reader.read(folder / name, 0)
        assert (bad, end) == (0, size)
        found += lines
    return found


def counted(name: str) -> float:
    """The value of a counter, named with its labels."""
    text = counters.exposition()[1].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


# ── the writer ───────────────────────────────────────────────────────────────────────────────────


def test_lines_come_out_as_they_went_in(folder: Path, opened: spool.Spool) -> None:
    now = datetime.now(UTC)
    before, kept = (
        now.replace(microsecond=now.microsecond // 1000 * 1000),
        counted('mlops_spooled_total{kind="predict"}'),
    )
    for number in range(1000):
        body = b'{"rows": [\r\n {"a": %d, "b": "\\n\xc3\xa9"}\n]}' % number
        opened.predicted(f"r{number}", body, ANSWER)
    assert opened.labelled("l1", b'{"labels": [{"request_id": "r0", "label": true}]}').result(10) is None
    lines = everything(folder)
    assert [line["id"] for line in lines] == [f"r{number}" for number in range(1000)] + ["l1"]
    assert [line["kind"] for line in lines] == ["predict"] * 1000 + ["labels"]
    assert lines[7]["body"] == {"rows": [{"a": 7, "b": "\né"}]}
    assert lines[7]["answer"] == msgspec.json.decode(ANSWER)
    assert set(lines[-1]) == {"kind", "id", "at", "body"}
    assert before <= datetime.fromisoformat(lines[0]["at"]) <= datetime.now(UTC)
    assert counted('mlops_spooled_total{kind="predict"}') - kept == 1000


def test_a_line_is_written_within_a_moment_and_its_segment_is_live_until_the_end(folder: Path) -> None:
    made = spool.Spool(folder, 10**6)
    made.predicted("r", b"[{}]", ANSWER)
    until(lambda: bool(reader.segments(folder)) and len(everything(folder)) == 1, 2)
    ((name, size, live),) = reader.segments(folder)
    assert live
    with pytest.raises(Busy, match="still writes"):
        reader.remove(folder / name)
    made.predicted("s", b"[{}]", ANSWER)
    made.close()
    assert [(one, live) for one, _, live in reader.segments(folder)] == [(name, False)]
    assert [line["id"] for line in reader.read(folder / name, size)[0]] == ["s"]
    reader.remove(folder / name)
    reader.remove(folder / name)
    assert reader.segments(folder) == []


def test_what_comes_between_the_last_batch_and_the_end_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ending = spool.Spool(folder, 10**6), threading.Event()

    def measured(size: int) -> None:
        if not ending.is_set():
            made.predicted("late", b"[{}]", ANSWER)
            ending.set()
            until(lambda: made._ending)

    monkeypatch.setattr(counters, "spool_size", measured)
    made.predicted("r", b"[{}]", ANSWER)
    assert ending.wait(10)
    made.close()
    assert [line["id"] for line in everything(folder)] == ["r", "late"]


def test_nothing_is_made_before_there_is_something_to_keep(folder: Path, opened: spool.Spool) -> None:
    assert not folder.exists()
    assert reader.segments(folder) == []


def test_a_team_may_take_what_a_service_wrote(folder: Path, opened: spool.Spool) -> None:
    mask = os.umask(0o002)
    try:
        assert opened.labelled("r", b"{}").result(10) is None
    finally:
        os.umask(mask)
    assert (folder / reader.segments(folder)[0][0]).stat().st_mode & 0o777 == 0o664


def test_a_full_spool_drops_counts_and_takes_again_once_it_was_gathered(folder: Path, opened: spool.Spool) -> None:
    dropped = counted('mlops_spool_dropped_total{reason="size"}')
    body = b'[{"a": "%s"}]' % (b"x" * 10_000)
    for _ in range(200):
        opened.predicted("r", body, ANSWER)
    assert opened.labelled("l", body).result(10) == "size"
    names = reader.segments(folder)
    kept = len(everything(folder))
    assert 980_000 < sum(size for _, size, _ in names) <= 10**6
    assert counted('mlops_spool_dropped_total{reason="size"}') - dropped == 201 - kept
    assert not any(live for _, _, live in names), "what is full can be removed"
    for name, _, _ in names:
        reader.remove(folder / name)
    assert opened.labelled("l", body).result(10) is None
    until(lambda: counted("mlops_spool_bytes") == sum(size for _, size, _ in reader.segments(folder)))


def test_several_processes_share_the_bound(folder: Path) -> None:
    (folder).mkdir()
    (folder / "20260101T000000000000-1-1.jsonl").write_bytes(b"{}\n" * 300_000)
    made = spool.Spool(folder, 10**6)
    answers = [made.labelled("l", b'"%s"' % (b"x" * 30_000)) for _ in range(4)]
    found = [future.result(10) for future in answers]
    made.close()
    assert set(found) <= {None, "size"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10**6
    assert "size" in found


def test_a_segment_that_is_full_is_followed_by_another(folder: Path, opened: spool.Spool) -> None:
    for number in range(60):
        assert opened.labelled(f"l{number}", b'"%s"' % (b"x" * 10_000)).result(10) is None
    segments = reader.segments(folder)
    assert len(segments) == 5
    assert [live for _, _, live in segments] == [False] * 4 + [True]
    assert max(size for _, size, _ in segments) <= 10**6 / 8
    assert [line["id"] for line in everything(folder)] == [f"l{number}" for number in range(60)]


def test_a_folder_that_goes_comes_back_with_the_next_line(folder: Path, opened: spool.Spool) -> None:
    for number in range(3):
        assert opened.labelled(f"l{number}", b"{}").result(10) is None
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    folder.parent.rename(folder.parent.with_name("elsewhere"))
    dropped = counted('mlops_spool_dropped_total{reason="disk"}')
    assert opened.labelled("l3", b"{}").result(10) == "disk"
    assert counted('mlops_spool_dropped_total{reason="disk"}') - dropped == 1
    assert not folder.parent.exists()
    folder.parent.with_name("elsewhere").rename(folder.parent)
    assert opened.labelled("l4", b"{}").result(10) is None
    assert [line["id"] for line in everything(folder)] == ["l4"]


def test_a_disk_that_hangs_fills_the_queue_and_holds_nobody_up(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    hanging = folder / "hanging"
    os.mkfifo(hanging)
    made = spool.Spool(folder, 10**9)
    made._segments._file = os.open(hanging, os.O_RDWR)  # takes 64 KiB and then waits for a reader
    dropped = counted('mlops_spool_dropped_total{reason="queue"}')
    body, times = b"[%s]" % (b" " * 2**20), []
    for _ in range(64):
        begun = time.perf_counter()
        made.predicted("r", body, ANSWER)
        times.append(time.perf_counter() - begun)
    waiting = made.labelled("l", b"[%s]" % (b" " * 2**20))
    assert waiting.result(0) == "queue"
    assert 32 <= counted('mlops_spool_dropped_total{reason="queue"}') - dropped <= 35
    assert sorted(times)[-3] < 0.1
    made.close(0.1)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "faster than the disk" in caplog.records[0].message
    assert "are lost" in caplog.records[1].message
    with hanging.open("rb", buffering=0) as other:  # let the thread go
        while made._thread.is_alive():
            other.read(2**20)


def test_labels_that_nobody_waits_for_any_more_are_not_written(folder: Path) -> None:
    made = spool.Spool(folder, 10**6)
    gate = threading.Event()
    append = made._segments.append
    made._segments.append = lambda *given: (gate.wait(10), append(*given))[1]  # type: ignore[method-assign]
    first = made.labelled("l1", b"{}")
    until(first.running)
    second, third = made.labelled("l2", b"{}"), made.labelled("l3", b"{}")
    assert second.cancel()
    gate.set()
    assert (first.result(10), third.result(10)) == (None, None)
    made.close()
    assert [line["id"] for line in everything(folder)] == ["l1", "l3"]


@pytest.mark.parametrize("most", ["0", "-1", "1.5", "many", "", "٣"])
def test_a_bound_that_is_none_is_refused(most: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="whole number of megabytes"):
        spool.from_environment({"MLOPS_SPOOL": str(tmp_path), "MLOPS_SPOOL_MB": most})
    assert spool.from_environment({"MLOPS_SPOOL_MB": most}) is None


# ── the reader ───────────────────────────────────────────────────────────────────────────────────

NAME = "20260101T000000000000-7-1.jsonl"


def test_only_segments_are_listed_oldest_first(folder: Path) -> None:
    folder.mkdir()
    names = ["20260102T000000000000-3-1.jsonl", "20260101T235959000000-900-12.jsonl", NAME]
    for name in [*names, "unreadable.jsonl", ".hidden", "20260101T000000000000-7-1.jsonl.bak"]:
        (folder / name).write_bytes(b"{}\n")
    assert reader.segments(folder) == [(name, 3, False) for name in sorted(names)]


def test_what_is_no_line_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b'{"a":1}\n\xff\n\n[1]\n{"a":\r2}\n{"a"\n' + b"[" * 9999 + b'\n{"a":3}\n{"torn":')
    lines, end, bad = reader.read(path, 0)
    assert (lines, bad) == ([{"a": 1}, {"a": 2}, {"a": 3}], 6)
    assert end == path.stat().st_size, "the rest of a line whose writer is gone is done with"
    with path.open("rb") as live:
        fcntl.flock(live, fcntl.LOCK_EX)
        lines, end, bad = reader.read(path, 0)
        assert (len(lines), bad) == (3, 5)
        assert reader.read(path, end) == ([], end, 0)
    with pytest.raises(External, match="cannot read the spool"):
        reader.read(tmp_path / "none", 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(values=st.lists(st.text(max_size=20), max_size=12), limit=st.integers(1, 60), rest=st.booleans())
def test_pages_of_any_size_hold_every_line_once(tmp_path: Path, values: list[str], limit: int, rest: bool) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"".join(msgspec.json.encode({"v": value}) + b"\n" for value in values) + b'{"v' * rest)
    found, offset, bad = [], 0, 0
    while offset < path.stat().st_size:
        lines, after, more = reader.read(path, offset, limit)
        assert after > offset
        found, offset, bad = found + lines, after, bad + more
    assert [line["v"] for line in found] == values
    assert bad == rest
