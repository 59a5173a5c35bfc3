"""The catalogue: one transaction an act, one writer at a time, nothing lost, and a chain that shows changes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tui.adapters.catalogue import Catalogue, audit, build, lock, migrate, release
from mlops_tui.errors import Busy, External, InvalidInput
from mlops_tui.records import AliasChange, Code, ModelVersion, Run, to_json

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEAD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from mlops_tui.adapters.catalogue import Catalogue, build, release
from mlops_tui.records import AliasChange
catalogue, who = Catalogue(Path(sys.argv[1]), 60.0, sys.argv[2]), sys.argv[2]
"""
HOLD_WRITE = """
with catalogue.write(datetime.now(UTC)) as act:
    build.put_pipeline(act, "half", "done")
    act.record("test", "half")
    print("in", flush=True)
    sys.stdin.read()
"""
HOLD_READ = """
with catalogue.read() as act:
    print("in", flush=True)
    sys.stdin.read()
"""
WRITE_MANY = """
sys.stdin.read()
for number in range(12):
    with catalogue.write(datetime.now(UTC)) as act:
        build.put_pipeline(act, f"{who}-{number}", "here")
        release.move_alias(act, AliasChange(who, "best", number, who, "", act.now))
        act.record("test", f"{who}-{number}")
    print(f"{who}-{number}", flush=True)
    with catalogue.read() as act:
        assert f"{who}-{number}" in build.pipelines(act)
"""
READ_ON = """
print("in", flush=True)
count = 0
while not Path(sys.argv[3]).exists():
    with catalogue.read() as act:
        build.pipelines(act)
    count += 1
print(count, flush=True)
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    made = Catalogue(tmp_path / "catalogue.duckdb", 30.0, "ann")
    made.create()
    return made


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HEAD + script, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parents[2])


@contextmanager
def holder(script: str, catalogue: Catalogue) -> Iterator[subprocess.Popen[str]]:
    """Another process that is inside an act until it is told to end."""
    process = start(script, catalogue.path, "bob")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def see(catalogue: Catalogue, name: str) -> None:
    with catalogue.write(NOW) as act:
        build.put_pipeline(act, name, f"pipelines/{name}.toml")
        act.record("pipeline.seen", name, path=name)


def names(catalogue: Catalogue) -> list[str]:
    with catalogue.read() as act:
        return list(build.pipelines(act))


# ── transactions ─────────────────────────────────────────────────────────────────────────────────


def test_an_act_is_kept_and_an_error_undoes_all_of_it(catalogue: Catalogue) -> None:
    see(catalogue, "kept")

    def fail() -> None:
        with catalogue.write(NOW) as act:
            build.put_pipeline(act, "undone", "x")
            act.record("test", "undone")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(catalogue) == ["kept"]
    with catalogue.read() as act:
        assert [event.subject for event in audit.events(act)] == ["kept"]


def test_a_double_entry_undoes_the_act(catalogue: Catalogue) -> None:
    see(catalogue, "a")

    def twice() -> None:
        with catalogue.write(NOW) as act:
            build.put_pipeline(act, "b", "x")
            act.change("INSERT INTO pipelines VALUES ('a', 'again')")
            act.record("test", "a")

    with pytest.raises(InvalidInput, match="double entry"):
        twice()
    assert names(catalogue) == ["a"]


def test_a_change_without_an_event_is_a_bug_and_is_not_kept(catalogue: Catalogue) -> None:
    with pytest.raises(AssertionError, match="audit event"), catalogue.write(NOW) as act:
        build.put_pipeline(act, "silent", "x")
    assert names(catalogue) == []


def test_a_read_cannot_change_anything(catalogue: Catalogue) -> None:
    with pytest.raises(duckdb.Error, match="read-only"), catalogue.read() as act:
        build.put_pipeline(act, "a", "x")
    assert names(catalogue) == []


def test_the_stamp_moves_with_a_commit_only(catalogue: Catalogue) -> None:
    see(catalogue, "a")
    before = catalogue.stamp()
    names(catalogue)
    assert catalogue.stamp() == before
    see(catalogue, "b")
    assert catalogue.stamp() != before


# ── several processes ────────────────────────────────────────────────────────────────────────────


def test_busy_names_the_holder(catalogue: Catalogue) -> None:
    impatient = Catalogue(catalogue.path, 0.2, "ann")
    with holder(HOLD_WRITE, catalogue) as process:
        for act in (impatient.read(), impatient.write(NOW)):
            with pytest.raises(Busy, match=f"process {process.pid} of bob"), act:
                pass


def test_readers_share_and_keep_a_writer_out(catalogue: Catalogue) -> None:
    impatient = Catalogue(catalogue.path, 0.2, "ann")
    with holder(HOLD_READ, catalogue):
        assert names(impatient) == []
        with pytest.raises(Busy), impatient.write(NOW):
            pass
    see(impatient, "after")


SEEN = """
import os, sys
from pathlib import Path
from mlops_tui.adapters.catalogue import lock
if os.getuid() == 0:
    os.setuid(65534)
print(lock.is_held(Path(sys.argv[1])), lock.holder(Path(sys.argv[1])))
"""


def test_a_lock_that_we_may_not_read_counts_as_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.exclusive(path, "a run", timeout=1, user="ada"):
        assert lock.holder(path) == os.getpid()
    assert not lock.is_held(path)
    path.chmod(0)
    shown = subprocess.run([sys.executable, "-c", SEEN, str(path)], capture_output=True, text=True, check=True)
    assert shown.stdout == "True None\n"


def test_a_holder_that_is_killed_lets_go_and_leaves_no_half(catalogue: Catalogue) -> None:
    see(catalogue, "whole")
    with holder(HOLD_WRITE, catalogue) as process:
        process.kill()
        process.wait()
        impatient = Catalogue(catalogue.path, 0.5, "ann")
        assert names(impatient) == ["whole"]
        see(impatient, "next")
    assert names(catalogue) == ["next", "whole"]


def test_eight_writers_at_once_lose_nothing(catalogue: Catalogue) -> None:
    writers = [start(WRITE_MANY, catalogue.path, f"w{number}") for number in range(8)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()  # the start signal
    acknowledged = []
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stderr is not None
        acknowledged += writer.stdout.read().split()
        assert writer.stderr.read() == ""
        assert writer.wait() == 0
        writer.stdout.close()
        writer.stderr.close()
    assert len(acknowledged) == 8 * 12
    assert sorted(names(catalogue)) == sorted(acknowledged)
    with catalogue.read() as act:
        assert release.aliases(act) == {(f"w{number}", "best"): 11 for number in range(8)}
        assert len(audit.events(act, limit=1000)) == 8 * 12
        assert audit.broken_links(act) == []


def test_readers_do_not_starve_a_writer(catalogue: Catalogue, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    readers = [start(READ_ON, catalogue.path, f"r{number}", stop) for number in range(3)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "in\n"
    patient = Catalogue(catalogue.path, 10.0, "ann")
    for number in range(10):
        see(patient, f"p{number}")
    stop.touch()
    counts = [int(reader.communicate()[0]) for reader in readers]
    assert min(counts) >= 1
    assert len(names(catalogue)) == 10


# ── the schema ───────────────────────────────────────────────────────────────────────────────────


def test_a_migration_copies_the_file_first(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE notes AS SELECT 42 AS answer")
    catalogue = Catalogue(path, 5.0, "ann")
    see(catalogue, "a")
    (copy,) = (tmp_path / "backups").iterdir()
    with duckdb.connect(str(copy)) as con:
        tables = [row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        assert tables == ["notes"]
    with catalogue.read() as act:
        assert act.one("SELECT answer FROM notes") == (42,)
        names = ("start", "watch", "runs", "data", "rollouts")
        assert act.query("SELECT number, name FROM migrations") == list(enumerate(names, 1))


def test_runs_from_before_they_had_their_data_and_author_as_columns_get_them(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "catalogue.duckdb", 5.0, "ann")
    with duckdb.connect(str(catalogue.path)) as con:
        for step in migrate.migrations()[:2]:
            migrate.apply(con, step)
        body = to_json(a_run()).decode()
        con.execute("INSERT INTO runs VALUES ('a', 'p', 'completed', 'k', TIMESTAMP '2026-01-01', ?)", [body])
    with catalogue.read() as act:
        run = a_run()
        assert act.query("SELECT id, data, author FROM runs") == [
            ("a", f"{run.dataset}:{run.dataset_version}", run.author)
        ]


def test_a_newer_schema_is_refused_and_left_alone(catalogue: Catalogue) -> None:
    with duckdb.connect(str(catalogue.path)) as con:
        con.execute("INSERT INTO migrations VALUES (9999, 'of tomorrow')")
    with pytest.raises(InvalidInput, match="schema 9999, this version of mlops knows"):
        names(Catalogue(catalogue.path, 5.0, "ann"))
    assert not (catalogue.path.parent / "backups").exists()


def test_no_file_and_no_catalogue_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(External, match="is not there"):
        names(Catalogue(tmp_path / "catalogue.duckdb", 1.0, "ann"))
    text = tmp_path / "text.duckdb"
    text.write_text("no database at all\n" * 1000)
    with pytest.raises(External, match="cannot be read"):
        names(Catalogue(text, 1.0, "ann"))


# ── the audit chain ──────────────────────────────────────────────────────────────────────────────


TAMPER = {
    "changed": ("UPDATE audit SET details = '{\"path\":\"elsewhere\"}' WHERE number = 3", [3]),
    "another user": ("UPDATE audit SET user_name = 'eve' WHERE number = 3", [3]),
    "another time": ("UPDATE audit SET moment = '2020-01-01T00:00:00+00:00' WHERE number = 3", [3]),
    "removed": ("DELETE FROM audit WHERE number = 3", [4]),
    "first removed": ("DELETE FROM audit WHERE number = 1", [2]),
    "put at the end": ("INSERT INTO audit SELECT 7, moment, user_name, action, subject, details, hash, hash FROM audit "
                       "WHERE number = 6", [7]),
    "put in": ("INSERT INTO audit SELECT 3, moment, user_name, action, subject, details, previous, hash FROM audit "
               "WHERE number = 2", [3, 3]),
    "exchanged": ("UPDATE audit SET number = 6 - number WHERE number IN (2, 4)", [2, 3, 4, 5]),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPER)
def test_the_chain_shows_what_was_changed(catalogue: Catalogue, how: str) -> None:
    for number in range(6):
        see(catalogue, f"p{number}")
    with catalogue.read() as act:
        assert audit.broken_links(act) == []
    sql, broken = TAMPER[how]
    with duckdb.connect(str(catalogue.path)) as con:
        con.execute(sql)
    with catalogue.read() as act:
        found = audit.broken_links(act)
    assert set(broken) <= set(found)


def test_events_tell_who_what_and_when(catalogue: Catalogue) -> None:
    see(catalogue, "a")
    see(catalogue, "b")
    with catalogue.read() as act:
        newest = audit.events(act)[0]
        (one,) = audit.events(act, subject="a")
    assert (newest.number, newest.subject, newest.user, newest.at) == (2, "b", "ann", NOW)
    assert (one.action, one.details, newest.previous) == ("pipeline.seen", {"path": "a"}, one.hash)


# ── size, and names that are SQL ─────────────────────────────────────────────────────────────────


def a_run() -> Run:
    code, environment = Code("c" * 64, "0" * 40, False), {"python": "3.12.1", "lightgbm": "4.6.0", "polars": "1.30.0"}
    train = {"rounds": 500, "early_stopping": 50, "seed": 7, "params": {"num_leaves": 31}}
    return Run(
        "RUN-ID", "p", "completed", "k" * 64, {"train": train, "features": {"exclude": ["a", "b", "c"]}},
        *("flights", 3, code, environment, 7, 2, "ann", "new data", NOW, NOW),
        metrics={"auc": 0.7, "brier": 0.1, "log_loss": 0.3},
    )  # fmt: skip


def a_model() -> ModelVersion:
    pieces = {name: name[0] * 64 for name in ("booster", "transform", "signature", "reference", "golden", "rows")}
    pieces |= {name: name[0] * 64 for name in ("dataset_hash", "pipeline_hash", "code_hash")}
    values: dict[str, Any] = {"calibration": None, "metrics": {"auc": 0.7}, **pieces}
    return ModelVersion("m", 1, "RUN-ID", "binary", "flights", 3, NOW, "ann", "k" * 64, **values)


def test_a_hundred_thousand_runs_stay_quick_to_list(catalogue: Catalogue) -> None:
    run, model = to_json(a_run()).decode(), to_json(a_model()).decode()
    with catalogue.write(NOW) as act:
        act.change(
            "INSERT INTO runs SELECT printf('%012x', i), 'p' || i % 20, 'completed', 'k', TIMESTAMP '2026-01-01' + "
            "INTERVAL (i) SECOND, replace(?, 'RUN-ID', printf('%012x', i)), 'flights', 'ann' "
            "FROM range(100000) t(i)", run,
        )  # fmt: skip
        act.change(
            "INSERT INTO run_metrics SELECT printf('%012x', i), m, i / 100000 FROM range(100000) t(i), "
            "(VALUES ('auc'), ('brier'), ('log_loss')) n(m)"
        )
        act.change(
            "INSERT INTO model_versions SELECT 'm' || i % 10, 1 + i // 10, 'k', printf('%012x', i), TIMESTAMP "
            "'2026-01-01' + INTERVAL (i) SECOND, ? FROM range(1000) t(i)", model,
        )  # fmt: skip
        act.record("test", "many")

    begun = time.process_time()
    with catalogue.read() as act:
        newest = build.runs(act, limit=50)
        of_one = build.runs(act, "p7", limit=50)
        best = build.runs(act, sort="auc", limit=50)
        prefix = build.runs_by_prefix(act, "00000001869f")
        models = build.model_versions(act)
    spent = time.process_time() - begun
    print(f"five listings over 100,000 runs and 1,000 model versions: {spent:.3f} s of CPU")
    assert [run.id for run in newest[:2]] == ["00000001869f", "00000001869e"]
    assert best[0].id == "00000001869f" == prefix[0].id
    assert (len(newest), len(of_one), len(best), len(models)) == (50, 50, 50, 1000)
    assert spent < 1.5


NASTY = ["'); DROP TABLE runs; --", "' OR 1=1 --", '"', "a;b", "%", "_", "\\", "", "$1", "?", "../../etc", "名前"]


@pytest.mark.parametrize("name", NASTY)
def test_a_name_is_never_sql(catalogue: Catalogue, name: str) -> None:
    with catalogue.write(NOW) as act:
        build.put_pipeline(act, name, name)
        release.move_alias(act, AliasChange(name, name, 1, name, name, act.now))
        act.record(name, name, **{"name": name})
        assert build.pipelines(act) == {name: name}
        assert release.aliases(act) == {(name, name): 1}
        assert build.runs(act, name, name, sort=name) == []
        assert build.runs_by_prefix(act, name) == []
        assert audit.events(act, name or None)[0].subject == name
        assert audit.broken_links(act) == []


@settings(max_examples=10)
@given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=20))
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    catalogue = Catalogue(tmp_path_factory.mktemp("texts") / "catalogue.duckdb", 5.0, "ann")
    catalogue.create()
    with catalogue.write(NOW) as act:
        for text in texts:
            build.put_pipeline(act, text, text)
            act.record("seen", text, text=text)
    with catalogue.read() as act:
        assert build.pipelines(act) == {text: text for text in texts}
        assert audit.broken_links(act) == []
