"""The object store: written whole or not at all, never again, and checked when it is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.adapters.objects import Objects, file_hash
from mlops_tui.errors import External
from mlops_tui.records import digest


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def damage(objects: Objects, hash_: str) -> None:
    path = objects.path(hash_)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_is_put_comes_back_by_its_hash(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    objects = Objects(tmp_path_factory.mktemp("objects") / "objects")
    hashes = [objects.put(piece) for piece in pieces]
    assert hashes == [digest(piece) for piece in pieces]
    assert [objects.get(hash_) for hash_ in hashes] == pieces
    assert sorted(objects.all()) == sorted(set(hashes))


def test_an_object_is_read_only_and_written_once(objects: Objects) -> None:
    hash_ = objects.put(b"rows")
    before = objects.path(hash_).stat()
    assert stat.S_IMODE(before.st_mode) == 0o444
    assert objects.put(b"rows") == hash_
    after = objects.path(hash_).stat()
    assert after.st_ino == before.st_ino
    assert after.st_mtime_ns > before.st_mtime_ns  # it counts as new: `gc` leaves it to who has just stored it


def test_a_file_moves_into_the_store(objects: Objects) -> None:
    for _ in range(2):  # the second time the store has it already
        with objects.temporary() as file:
            file.write_bytes(b"a part")
            hash_ = objects.put_file(file)
        assert not file.exists()
    assert objects.checked_path(hash_).read_bytes() == b"a part"
    assert file_hash(objects.path(hash_)) == hash_


def test_what_fails_on_the_way_leaves_nothing(objects: Objects) -> None:
    def write_half() -> None:
        with objects.temporary() as file:
            file.write_bytes(b"half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(objects.folder.iterdir()) == []


def test_a_file_that_is_not_finished_is_no_object(objects: Objects) -> None:
    with objects.temporary() as file:
        file.write_bytes(b"not yet")
        assert list(objects.all()) == []


def test_a_missing_object_is_named(objects: Objects) -> None:
    hash_ = objects.put(b"here")
    objects.path(hash_).unlink()
    for read in (objects.get, objects.checked_path):
        with pytest.raises(External, match=f"{hash_[:12]} is missing") as caught:
            read(hash_)
        assert "backup" in caught.value.hint


def test_damage_is_found_at_every_read(objects: Objects) -> None:
    hash_ = objects.put(b"these bytes")
    damage(objects, hash_)
    for read in (objects.get, objects.checked_path):
        with pytest.raises(External, match="damaged"):
            read(hash_)


def test_damage_is_made_good_by_the_same_bytes(objects: Objects) -> None:
    hash_ = objects.put(b"these bytes")
    damage(objects, hash_)
    assert objects.put(b"these bytes") == hash_
    assert objects.get(hash_) == b"these bytes"
    damage(objects, hash_)
    with objects.temporary() as file:
        file.write_bytes(b"these bytes")
        objects.put_file(file)
    assert objects.get(hash_) == b"these bytes"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_says_so(objects: Objects) -> None:
    objects.folder.mkdir()
    objects.folder.chmod(0o555)
    with pytest.raises(OSError, match="Permission"):
        objects.put(b"x")
