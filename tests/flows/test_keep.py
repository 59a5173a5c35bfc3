"""Keeping a workspace: a backup brings it back, garbage goes and nothing else, and the doctor sees what is wrong."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import duckdb
import pytest

from mlops_tui.errors import External, InvalidInput, MlopsError, NotFound
from mlops_tui.flows import backup as backups
from mlops_tui.flows import keep, lookup
from mlops_tui.flows.build import reproduce, runs
from mlops_tui.flows.release import approvals
from mlops_tui.flows.workspace import Workspace, init, open_workspace
from mlops_tui.records import digest


def sick(workspace: Workspace) -> dict[str, str]:
    return {finding.check: finding.text for finding in keep.examine(workspace) if not finding.ok}


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"rotten" + path.read_bytes()[6:])


# ── backup and restore ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fresh", [False, True])
def test_a_backup_brings_back_a_damaged_workspace(trained: Workspace, tmp_path: Path, fresh: bool) -> None:
    tar = tmp_path / "kept.tar"
    assert backups.backup(trained, tar) == tar.stat().st_size
    version = lookup.model_version(trained, "flight-delay")
    if fresh:
        target, _ = init(tmp_path / "other")
    else:
        target = trained
        approvals.approve(trained, "flight-delay", "after the backup")
        damage(trained.objects.path(version.booster))
        trained.objects.path(lookup.dataset_version(trained, "flights").parts[0].hash).unlink()
        (trained.home / "catalogue.duckdb").write_bytes(b"rotten" * 5000)
        with pytest.raises(MlopsError):
            runs.list_runs(open_workspace(trained.root), None, None, 10)
    assert backups.restore(target, tar) == len(list(target.objects.all()))
    assert sick(target) == {}
    assert lookup.model_version(target, "flight-delay") == version
    assert approvals.standing_of(target, version).state == "waiting"
    assert reproduce.reproduce(target, version.run).identical
    (aside,) = (target.home / "backups").iterdir()
    assert (aside / "catalogue.duckdb").exists()


def test_two_restores_in_a_row(trained: Workspace, tmp_path: Path) -> None:
    backups.backup(trained, tmp_path / "kept.tar")
    for _ in range(2):
        backups.restore(trained, tmp_path / "kept.tar")
    assert sick(trained) == {}


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as made:
        for info, content in members:
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return path


def plain(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


OBJECT = "objects/" + "a" * 64
MALICIOUS = {
    "upwards": plain("../escaped"),
    "upwards below objects": plain("objects/../../escaped"),
    "absolute": plain("/tmp/escaped"),
    "another file": plain("mlops.toml"),
    "symlink": link("catalogue.duckdb", "/etc/passwd", tarfile.SYMTYPE),
    "symlink as object": link(OBJECT, "/etc/passwd", tarfile.SYMTYPE),
    "hard link": link(OBJECT, "catalogue.duckdb", tarfile.LNKTYPE),
    "folder": link("objects", "", tarfile.DIRTYPE),
    "device": link("catalogue.duckdb", "", tarfile.CHRTYPE),
    "pipe": link("catalogue.duckdb", "", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("what", MALICIOUS)
def test_a_malicious_tar_is_refused_and_nothing_changes(empty: Workspace, tmp_path: Path, what: str) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    stamp = empty.catalogue.stamp()
    bad = archive(tmp_path / "bad.tar", (MALICIOUS[what], b""))
    with pytest.raises(InvalidInput, match="is no backup of a workspace"):
        backups.restore(empty, bad)
    bad.unlink()
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert empty.catalogue.stamp() == stamp


def test_a_tar_that_lies_or_is_no_tar_is_refused(empty: Workspace, tmp_path: Path) -> None:
    stamp = empty.catalogue.stamp()
    lying = archive(tmp_path / "lying.tar", (plain(OBJECT), b"other bytes"), (plain("catalogue.duckdb"), b"x"))
    with pytest.raises(InvalidInput, match="does not have its hash"):
        backups.restore(empty, lying)
    without = archive(tmp_path / "without.tar", (plain("objects/" + digest(b"x")), b"x"))
    with pytest.raises(InvalidInput, match="has no catalogue"):
        backups.restore(empty, without)
    text = tmp_path / "text.tar"
    text.write_text("no tar at all")
    with pytest.raises(InvalidInput, match="is no backup"):
        backups.restore(empty, text)
    with pytest.raises(NotFound, match="no file"):
        backups.restore(empty, tmp_path / "nothing.tar")
    assert empty.catalogue.stamp() == stamp


def test_a_backup_that_cannot_be_written_leaves_nothing(trained: Workspace, tmp_path: Path) -> None:
    with pytest.raises(External, match="cannot write"):
        backups.backup(trained, tmp_path / "no" / "such" / "kept.tar")
    assert list((trained.home / "backups").iterdir()) == []


# ── garbage ──────────────────────────────────────────────────────────────────────────────────────


def age(path: Path, hours: float) -> None:
    then = path.stat().st_mtime - 3600 * hours
    os.utime(path, (then, then))


def test_gc_removes_what_nothing_names_and_only_that(trained: Workspace) -> None:
    approvals.approve(trained, "flight-delay", "")
    named = set(trained.objects.all())
    old, young = trained.objects.put(b"left by a crash"), trained.objects.put(b"about to be named")
    half = trained.objects.folder / ".new-half"
    half.write_bytes(b"written by a process that was killed")
    for path in (*(trained.objects.path(hash_) for hash_ in named | {old}), half):
        age(path, 2)
    found = keep.collect(trained, remove=False)
    assert (found.objects, found.removed) == ((old,), False)
    assert found.bytes >= len(b"left by a crash")
    assert set(trained.objects.all()) == named | {old, young}
    assert half.exists()
    assert keep.collect(trained, remove=True).objects == (old,)
    assert set(trained.objects.all()) == named | {young}
    assert not half.exists()
    assert sick(trained) == {}
    assert reproduce.reproduce(trained, runs.list_runs(trained, None, None, 1)[0].id).identical


# ── doctor, audit ────────────────────────────────────────────────────────────────────────────────


def test_a_healthy_workspace_is_healthy(trained: Workspace, empty: Workspace) -> None:
    assert sick(trained) == {}
    assert sick(empty) == {}


@pytest.mark.parametrize("what", ["missing", "damaged"])
def test_the_doctor_finds_a_bad_object(trained: Workspace, what: str) -> None:
    path = trained.objects.path(lookup.model_version(trained, "flight-delay").golden)
    if what == "missing":
        path.unlink()
    else:
        damage(path)
    assert list(sick(trained)) == ["objects"]
    assert what in sick(trained)["objects"]


def test_the_doctor_finds_a_bad_pipeline_file_and_a_broken_chain(trained: Workspace) -> None:
    (trained.root / "pipelines" / "bad.toml").write_text("[pipeline]\nname = 'bad'\nrownds = 3\n")
    with duckdb.connect(str(trained.catalogue.path)) as con:
        con.execute("UPDATE audit SET user_name = 'eve' WHERE number = 2")
    assert sorted(sick(trained)) == ["audit", "pipelines"]
    assert "not as written: 2" in sick(trained)["audit"]
    assert keep.verify(trained).broken == (2,)


def test_the_doctor_says_that_the_catalogue_is_gone(trained: Workspace) -> None:
    trained.catalogue.path.unlink()
    assert "is not there" in sick(open_workspace(trained.root))["catalogue"]


def test_events_are_told_newest_first_and_by_subject(trained: Workspace) -> None:
    found = keep.events(trained, None, 100)
    assert [event.number for event in found] == list(range(len(found), 0, -1))
    assert {"dataset.version", "run.started", "run.completed", "model.created", "model.judged"} <= {
        event.action for event in found
    }
    assert [event.action for event in keep.events(trained, "flights:1", 10)] == ["dataset.version"]
    assert len(keep.events(trained, None, 2)) == 2
    assert keep.verify(trained).broken == ()


def test_what_comes_back_is_looked_at_first(trained: Workspace, tmp_path: Path) -> None:
    before = trained.catalogue.path.read_bytes()
    garbage = archive(tmp_path / "garbage.tar", (plain("catalogue.duckdb"), b"garbage" * 100))
    with pytest.raises(InvalidInput, match="is damaged"):
        backups.restore(trained, garbage)
    assert trained.catalogue.path.read_bytes() == before


def test_a_backup_names_a_damaged_object_instead_of_keeping_it(trained: Workspace, tmp_path: Path) -> None:
    damage(next(trained.objects.folder.glob("??/*")))
    with pytest.raises(External, match="is damaged"):
        backups.backup(trained, tmp_path / "kept.tar")
    assert not (tmp_path / "kept.tar").exists()


def test_a_restore_is_told_in_the_audit(trained: Workspace, tmp_path: Path) -> None:
    backups.backup(trained, tmp_path / "kept.tar")
    approvals.approve(trained, "flight-delay:1", "good")
    backups.restore(trained, tmp_path / "kept.tar")
    assert keep.events(trained, None, 1)[0].action == "workspace.restored"
    assert keep.verify(trained).broken == ()


def test_gc_leaves_an_old_object_that_was_just_stored_again(trained: Workspace) -> None:
    hash_ = trained.objects.put(b"left by a run that was killed")
    age(trained.objects.path(hash_), 2)
    trained.objects.put(b"left by a run that was killed")
    assert keep.collect(trained, remove=True).objects == ()
