"""Datasets: only what is new is read, parts are shared, and the contract decides what is trained on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_tui.adapters import sources
from mlops_tui.config import Data
from mlops_tui.errors import Busy, InvalidInput, NotFound, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.build import datasets, runs
from mlops_tui.flows.build.survey import known, survey
from mlops_tui.flows.workspace import Workspace, init
from mlops_tui.records import Progress
from tests import workspaces


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made, _ = init(tmp_path / "workspace")
    (made.root / "in").mkdir()
    return made


def table(start: int = 0, rows: int = 5, **columns: Any) -> pl.DataFrame:
    """Rows with the ids `start`, `start` + 1, …"""
    numbers = range(start, start + rows)
    base: dict[str, Any] = {
        "id": list(numbers),
        "size": [n * 1.5 for n in numbers],
        "kind": [f"k{n % 3}" for n in numbers],
    }
    return pl.DataFrame(base | columns)


def put(workspace: Workspace, name: str, frame: pl.DataFrame) -> Path:
    path = workspace.root / "in" / name
    sources.write_table(frame, path)
    return path


def data(source: str = "in", **more: Any) -> Data:
    return Data.model_validate({"dataset": "things", "source": source, "key": ["id"]} | more)


def read_in(workspace: Workspace, settings: Data) -> tuple[datasets.Refreshed, list[str]]:
    """Refresh, and return what it did and which files it read."""
    seen: list[Progress] = []
    done = datasets.refresh(replace(workspace, report=seen.append), settings)
    return done, [event.text.removeprefix("reading ") for event in seen if event.text.startswith("reading ")]


def rows_of(workspace: Workspace, done: datasets.Refreshed) -> pl.DataFrame:
    return lookup.frame(workspace, done.version).collect()


def errors(done: datasets.Refreshed) -> list[str]:
    return [finding.check for finding in done.version.findings if finding.level == "error"]


# ── what is read, and what is shared ─────────────────────────────────────────────────────────────


def test_an_unchanged_source_costs_no_read(workspace: Workspace) -> None:
    path = put(workspace, "a.csv", table())
    first, read = read_in(workspace, data())
    assert (first.changed, first.version.version, first.version.rows, read) == (True, 1, 5, ["in/a.csv"])
    stat = path.stat()
    path.write_bytes(b"\0" * stat.st_size)  # no table any more: whoever reads it fails
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again, read = read_in(workspace, data())
    assert (again.changed, again.version, read) == (False, first.version, [])
    assert "1 file unchanged" in again.reason


def test_a_new_file_shares_the_old_parts(workspace: Workspace) -> None:
    put(workspace, "a.parquet", table())
    first, _ = read_in(workspace, data())
    put(workspace, "b.parquet", table(5))
    second, read = read_in(workspace, data())
    assert (second.version.version, second.version.parent, second.shared_parts, read) == (2, 1, 1, ["in/b.parquet"])
    assert second.version.parts[0] == first.version.parts[0]
    assert rows_of(workspace, second)["id"].to_list() == list(range(10))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl", "a.arrow"])
def test_appended_rows_become_one_new_part(workspace: Workspace, name: str) -> None:
    put(workspace, name, table())
    first, _ = read_in(workspace, data())
    put(workspace, name, pl.concat([table(), table(5, 3)]))
    second, _ = read_in(workspace, data())
    assert second.version.parts[0] == first.version.parts[0]
    assert [part.rows for part in second.version.parts] == [5, 3]
    assert rows_of(workspace, second).equals(pl.concat([table(), table(5, 3)]))


def test_a_rewritten_file_replaces_its_part(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    put(workspace, "b.csv", table(5))
    first, _ = read_in(workspace, data())
    put(workspace, "a.csv", table(size=[9.5] * 5))
    second, read = read_in(workspace, data())
    assert (read, second.shared_parts, second.version.state) == (["in/a.csv"], 1, "ok")
    assert rows_of(workspace, second).filter(pl.col("id") < 5)["size"].to_list() == [9.5] * 5
    assert rows_of(workspace, first)["size"].to_list() != rows_of(workspace, second)["size"].to_list()


def test_a_touched_file_is_hashed_once_and_not_read(workspace: Workspace) -> None:
    path = put(workspace, "a.csv", table())
    first, _ = read_in(workspace, data())
    os.utime(path, ns=(1, 1))
    assert survey(workspace, data(), known(workspace, data().dataset)).touched
    touched, read = read_in(workspace, data())
    assert (touched.changed, touched.version, read) == (False, first.version, [])
    assert not survey(workspace, data(), known(workspace, data().dataset)).touched  # the new time is remembered


def test_a_file_that_is_gone(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    path = put(workspace, "b.csv", table(5))
    first, _ = read_in(workspace, data())
    path.unlink()
    kept, _ = read_in(workspace, data())
    assert (kept.changed, kept.version) == (False, first.version)
    whole, _ = read_in(workspace, data(incremental=False))
    assert (whole.version.rows, whole.version.version, whole.shared_parts) == (5, 2, 1)
    assert "1 gone file" in whole.reason


def test_the_same_rows_and_settings_make_the_same_hash(workspace: Workspace, tmp_path: Path) -> None:
    other, _ = init(tmp_path / "other")
    (other.root / "in").mkdir()
    for place in (workspace, other):
        put(place, "a.csv", table())
    assert read_in(workspace, data())[0].version.hash == read_in(other, data())[0].version.hash


def test_add_registers_and_refuses_other_settings(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    assert datasets.add(workspace, data()).changed
    assert not datasets.add(workspace, data()).changed
    assert datasets.settings_of(workspace, "things") == data()
    with pytest.raises(Refused, match="there already, with other settings"):
        datasets.add(workspace, data(key=[]))
    with pytest.raises(NotFound, match="did you mean 'things'"):
        datasets.settings_of(workspace, "thing")


# ── formats ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("in/a.csv", ["a.csv"]),
        ("in/a.jsonl", ["a.jsonl"]),
        ("in/a.arrow", ["a.arrow"]),
        ("in/a.parquet", ["a.parquet"]),
        ("in/*.csv", ["a.csv", "b.csv"]),
        ("in", ["a.csv", "b.jsonl", "c.arrow", "d.parquet"]),
    ],
)
def test_sources(workspace: Workspace, source: str, files: list[str]) -> None:
    for number, name in enumerate(files):
        put(workspace, name, table(5 * number))
    done, read = read_in(workspace, data(source))
    assert read == [f"in/{name}" for name in files]
    assert (done.version.state, done.version.rows) == ("ok", 5 * len(files))
    assert rows_of(workspace, done).equals(table(0, 5 * len(files)))


def test_what_is_no_table_changes_nothing(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    first, _ = read_in(workspace, data())
    (workspace.root / "in" / "b.parquet").write_text("id,size\n1,2\n")
    with pytest.raises(InvalidInput, match="is not a Parquet file"):
        read_in(workspace, data())
    assert datasets.list_versions(workspace) == [first.version]


def test_an_empty_source_makes_no_dataset(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="holds no file of a known format"):
        datasets.add(workspace, data())
    assert datasets.list_versions(workspace) == []


# ── the contract ─────────────────────────────────────────────────────────────────────────────────

NARROW, WIDE = [1, 2, 3, 4, 5], [1.5, 2.5, 3.5, 4.5, 5.5]
DRIFT: dict[str, tuple[pl.DataFrame, str, str]] = {
    # what arrives second: the finding's check, and the policy that lets it pass
    "new": (table(5, extra=NARROW), "new_column", "add"),
    "missing": (table(5).drop("kind"), "missing_column", "null"),
    "wider": (table(5, count=WIDE), "type_change", "widen"),
}


@pytest.mark.parametrize("let_in", [False, True])
@pytest.mark.parametrize("what", DRIFT)
def test_drift_is_named_and_decided_by_the_contract(workspace: Workspace, what: str, let_in: bool) -> None:
    batch, check, policy = DRIFT[what]
    first = table(count=NARROW) if what == "wider" else table()
    put(workspace, "a.parquet", first)
    read_in(workspace, data(checks={check: policy} if let_in else {}))
    put(workspace, "b.parquet", batch)
    done, _ = read_in(workspace, data(checks={check: policy} if let_in else {}))
    (finding,) = [found for found in done.version.findings if found.check == check]
    assert "in/b.parquet" in finding.message
    assert finding.column in finding.message if finding.column else False
    if let_in:
        assert (finding.level, done.version.state) == ("warning", "ok")
        expected = pl.concat([first, batch], how="diagonal_relaxed")
        assert rows_of(workspace, done).select(expected.columns).equals(expected)
    else:
        assert (finding.level, done.version.state, done.version.version) == ("error", "broken", 2)


def test_a_change_that_only_text_could_hold_is_refused_under_every_policy(workspace: Workspace) -> None:
    put(workspace, "a.parquet", table())
    read_in(workspace, data(checks={"type_change": "widen"}))
    put(workspace, "b.parquet", table(5, size=["x"] * 5))
    done, _ = read_in(workspace, data(checks={"type_change": "widen"}))
    assert (done.version.state, errors(done)) == ("broken", ["type_change"])
    shown = lookup.frame(workspace, done.version, lenient=True).collect()
    assert shown.height == 10  # it can still be looked at
    assert datasets.export(workspace, done.version, workspace.root / "out.csv") == 10


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("wrong", [{"size": ["x"] * 5}, {"extra": NARROW}])
def test_a_broken_version_is_kept_and_healed(workspace: Workspace, ending: str, wrong: dict[str, Any]) -> None:
    put(workspace, f"a.{ending}", table())
    good, _ = read_in(workspace, data())
    put(workspace, f"b.{ending}", table(5, **wrong))
    broken, _ = read_in(workspace, data())
    assert (broken.version.version, broken.version.state, broken.changed) == (2, "broken", True)
    same, _ = read_in(workspace, data())
    assert (same.changed, same.version.version) == (False, 2)
    put(workspace, f"b.{ending}", table(5))
    healed, _ = read_in(workspace, data())
    assert (healed.version.version, healed.version.state, errors(healed)) == (3, "ok", [])
    assert healed.version.schema == good.version.schema
    assert [item.state for item in datasets.list_versions(workspace, "things")] == ["ok", "broken", "ok"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_new_file_beside_a_broken_one_is_read_for_itself(workspace: Workspace, ending: str) -> None:
    for name, frame in (("a", table()), ("b", table(5, size=["x"] * 5)), ("c", table(10))):
        put(workspace, f"{name}.{ending}", frame)
        done, _ = read_in(workspace, data())
    assert (done.version.version, errors(done)) == (3, ["type_change"])
    put(workspace, f"b.{ending}", table(5))
    healed, _ = read_in(workspace, data())
    assert (healed.version.state, healed.version.rows, healed.version.schema[1].dtype) == ("ok", 15, "Float64")


@pytest.mark.parametrize("what", DRIFT)
def test_one_file_that_is_written_anew_drifts_too(workspace: Workspace, what: str) -> None:
    batch, check, policy = DRIFT[what]
    put(workspace, "a.parquet", table(count=NARROW) if what == "wider" else table())
    good, _ = read_in(workspace, data("in/a.parquet"))
    put(workspace, "a.parquet", batch)
    broken, _ = read_in(workspace, data("in/a.parquet"))
    assert (broken.version.state, errors(broken)) == ("broken", [check])
    lax, _ = read_in(workspace, data("in/a.parquet", checks={check: policy}))
    assert lax.version.state == "ok" or what == "missing"  # its part was kept as it came: the file must come again
    put(workspace, "a.parquet", table(9, count=NARROW) if what == "wider" else table(9))
    healed, _ = read_in(workspace, data("in/a.parquet", checks={"missing_column": "null", "type_change": "widen"}))
    assert (healed.version.state, good.version.version) == ("ok", 1)


def test_a_broken_version_is_not_trained_on(empty: Workspace) -> None:
    workspaces.arrive(empty, 1)
    settings, _ = lookup.pipeline(empty, "flight-delay")
    checks = {"columns": {"distance": {"min": 100}}}
    strict = settings.model_copy(update={"data": Data.model_validate(settings.data.model_dump() | {"checks": checks})})
    done = datasets.refresh(empty, strict.data)
    assert (done.version.state, errors(done)) == ("broken", ["min"])
    with pytest.raises(Refused, match=r"flights:1 breaks its contract: column 'distance'.* below 100"):
        runs.train(empty, strict, done.version, "test")
    assert runs.list_runs(empty, None, None, 10) == []


def test_repeated_rows_are_left_out_and_conflicting_ones_break(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    read_in(workspace, data())
    put(workspace, "b.csv", table(3, 4))  # 3 and 4 again, 5 and 6 new
    again, _ = read_in(workspace, data())
    assert (again.version.rows, again.version.state) == (7, "ok")
    (told,) = again.version.findings
    assert (told.check, told.level, told.value) == ("repeated_rows", "warning", 2.0)
    put(workspace, "c.csv", table(0, 1, size=[99.5]))
    conflict, _ = read_in(workspace, data())
    assert (conflict.version.rows, conflict.version.state) == (8, "broken")
    assert errors(conflict) == ["unique"]
    without, _ = read_in(workspace, data(key=[]))
    assert without.version.state == "ok"  # no key, no conflict


def test_a_contract_that_changed_is_judged_again_without_a_read(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    first, _ = read_in(workspace, data())
    strict = data(checks={"columns": {"size": {"max": 3.0}}})
    second, read = read_in(workspace, strict)
    assert (read, second.changed, second.version.state, second.reason) == ([], True, "broken", "the contract changed")
    assert second.version.hash == first.version.hash
    lax, _ = read_in(workspace, data(checks={"columns": {"size": {"max": 300.0}}}))
    assert (lax.version.state, lax.version.version) == ("ok", 3)


def test_check_looks_and_changes_nothing(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    first, _ = read_in(workspace, data())
    found = datasets.check(workspace, first.version, data(checks={"min_rows": 6, "columns": {"sise": {"min": 0}}}))
    assert [finding.check for finding in found] == ["min_rows", "unknown_column"]
    assert "did you mean 'size'" in found[1].message
    assert datasets.list_versions(workspace) == [first.version]


# ── looking at them ──────────────────────────────────────────────────────────────────────────────


def test_diff_tells_schema_parts_and_shift(workspace: Workspace) -> None:
    lenient = {"new_column": "add"}
    put(workspace, "a.parquet", table(rows=200))
    first, _ = read_in(workspace, data(checks=lenient))
    put(workspace, "b.parquet", table(200, 400, extra=[1] * 400, size=[5000.0 + n for n in range(400)]))
    second, _ = read_in(workspace, data(checks=lenient))
    found = datasets.diff(workspace, first.version, second.version)
    assert (found.added_columns, found.removed_columns, found.changed_types) == (("extra",), (), ())
    assert found.shared_parts == 1
    moved = {shift.column: shift.moved for shift in found.shifts}
    assert moved["size"]
    assert not moved["kind"]


def test_profile_says_what_is_there(workspace: Workspace) -> None:
    put(workspace, "a.parquet", table(size=[1.0, 2.0, None, 4.0, None]))
    done, _ = read_in(workspace, data())
    profile = {column.name: column for column in datasets.profile_of(workspace, done.version).columns}
    assert (profile["size"].nulls, profile["size"].null_share, profile["size"].quantiles[0]) == (2, 0.4, 1.0)
    assert dict(profile["kind"].top) == {"k0": 2, "k1": 2, "k2": 1}


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl", "arrow"])
def test_an_export_comes_back_as_the_same_rows(workspace: Workspace, ending: str) -> None:
    put(workspace, "a.parquet", table(size=[1.5, None, 2.5, None, 3.5]))
    put(workspace, "b.parquet", table(5))
    done, _ = read_in(workspace, data())
    out = workspace.root / f"out.{ending}"
    assert datasets.export(workspace, done.version, out) == 10
    assert sources.read(out, done.version.schema).equals(rows_of(workspace, done))


# ── two at the same time ─────────────────────────────────────────────────────────────────────────

REFRESH = """
import sys
from pathlib import Path
from mlops_tui.config import Data
from mlops_tui.flows.build import datasets
from mlops_tui.flows.workspace import open_workspace
sys.stdin.read()
done = datasets.refresh(open_workspace(Path(sys.argv[1])), Data(dataset="things", source="in", key=["id"]))
print(done.changed, done.version.version)
"""


def test_two_refreshes_at_the_same_time_make_one_version(workspace: Workspace) -> None:
    put(workspace, "a.csv", table(rows=500))
    pipe, command = subprocess.PIPE, [sys.executable, "-c", REFRESH, str(workspace.root)]
    both = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    answers = sorted(process.communicate("")[0].strip() for process in both)
    assert answers == ["False 1", "True 1"]
    assert len(datasets.list_versions(workspace)) == 1


def test_a_refresh_elsewhere_is_named(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    impatient = replace(workspace, catalogue=replace(workspace.catalogue, timeout=0.1))
    with (
        workspace.exclusive("dataset-things", "the dataset 'things'"),
        pytest.raises(Busy, match=f"the dataset 'things' is in use by process {os.getpid()}"),
    ):
        datasets.refresh(impatient, data())


# ── what a source takes back ─────────────────────────────────────────────────────────────────────


def test_one_growing_file_heals_after_a_bad_row(workspace: Workspace) -> None:
    path = put(workspace, "a.csv", table())
    good = path.read_bytes()
    first, _ = read_in(workspace, data("in/a.csv"))
    path.write_bytes(good + b"5,much,k2\n")
    assert read_in(workspace, data("in/a.csv"))[0].version.state == "broken"
    path.write_bytes(good + b"5,7.5,k2\n")
    healed, _ = read_in(workspace, data("in/a.csv"))
    assert (healed.version.state, healed.version.rows, healed.version.schema) == ("ok", 6, first.version.schema)


def test_a_bad_file_that_is_removed_takes_its_rows_with_it(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    first, _ = read_in(workspace, data())
    bad = put(workspace, "b.csv", table(5, size=["much"] * 5))
    assert read_in(workspace, data())[0].version.state == "broken"
    bad.unlink()
    healed, _ = read_in(workspace, data())
    assert (healed.version.state, healed.version.hash) == ("ok", first.version.hash)


def test_rows_that_another_file_repeated_come_back_when_that_one_goes(workspace: Workspace) -> None:
    put(workspace, "a.csv", table(0, 10))
    put(workspace, "b.csv", table(7, 8))
    first, _ = read_in(workspace, data())
    assert first.version.rows == 15
    put(workspace, "a.csv", table(0, 7))
    second, _ = read_in(workspace, data())
    assert sorted(rows_of(workspace, second)["id"].to_list()) == list(range(15))
    (workspace.root / "in" / "a.csv").unlink()
    third, _ = read_in(workspace, data(incremental=False))
    assert sorted(rows_of(workspace, third)["id"].to_list()) == list(range(7, 15))


def test_a_file_without_a_column_that_the_contract_names_is_a_finding(workspace: Workspace) -> None:
    contract = {"columns": {"size": {"min": 0}}}
    put(workspace, "a.csv", table())
    read_in(workspace, data("in/a.csv", checks=contract))
    put(workspace, "a.csv", table().drop("size"))
    done, _ = read_in(workspace, data("in/a.csv", checks=contract))
    assert done.version.state == "broken"
    assert {finding.check for finding in done.version.findings} >= {"missing_column"}


def test_a_typed_file_is_never_cast_in_silence(workspace: Workspace) -> None:
    put(workspace, "a.parquet", table())
    read_in(workspace, data())
    put(workspace, "b.parquet", table(5, size=[2**53 + 1] * 5))
    done, _ = read_in(workspace, data())
    assert done.version.state == "broken"
    assert [finding.check for finding in done.version.findings] == ["type_change"]


def test_the_order_of_a_contract_and_keys_that_decide_nothing_change_nothing(workspace: Workspace) -> None:
    put(workspace, "a.csv", table())
    one = data(checks={"columns": {"size": {"min": 0}, "kind": {"null_share_max": 0.5}}})
    two = data(checks={"columns": {"kind": {"null_share_max": 0.5}, "size": {"min": 0}}}, label_delay="2d")
    first, _ = read_in(workspace, one)
    assert known(workspace, "things").same_settings(two)
    assert read_in(workspace, two)[0].version == first.version
