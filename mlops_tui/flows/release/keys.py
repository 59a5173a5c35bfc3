"""API keys of a deployment: made here, told once, and kept as hashes that its server reads again when they change."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mlops_tui.adapters.files import unfinished
from mlops_tui.errors import External, InvalidInput, unknown
from mlops_tui.flows.release import deployments, servers
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import valid_name
from mlops_tui.records import KeyEntry, KeyFile, from_json, to_json

PREFIX = "mlops_"  # so that a key is known for one where it was left lying


def show(workspace: Workspace, name: str) -> KeyFile:
    """Return the keys of a deployment, by name; without any that was ever made, anybody may ask."""
    path = servers.keys_of(workspace, valid_name("deployment", name))
    try:
        return from_json(path.read_bytes(), KeyFile)
    except FileNotFoundError:
        return KeyFile((), required=False)
    except (OSError, ValueError) as error:  # msgspec's own errors are ValueErrors
        raise External(f"cannot read {workspace.relative(path)}: {error}") from None


def add(workspace: Workspace, name: str, label: str) -> str:
    """Make a key and return it, the only time that it is told; from the first one on requests need one."""
    with _held(workspace, name):
        return _add(workspace, name, label)


def _add(workspace: Workspace, name: str, label: str) -> str:
    known = show(workspace, name)
    if label in {one.name for one in known.keys}:
        raise InvalidInput(f"'{name}' has a key named '{label}'", "remove it first, or choose another name")
    key = PREFIX + secrets.token_urlsafe(32)
    entry = KeyEntry(valid_name("key", label), hashlib.sha256(key.encode()).hexdigest(), workspace.now().isoformat())
    _write(workspace, name, KeyFile((*known.keys, entry)), "key.added", label)
    return key


def remove(workspace: Workspace, name: str, label: str) -> KeyFile:
    """Take a key away; with none left nobody may ask, until the keys are opened."""
    with _held(workspace, name):
        known = show(workspace, name)
        kept = tuple(one for one in known.keys if one.name != label)
        if len(kept) == len(known.keys):
            raise unknown("key", label, [one.name for one in known.keys], f"mlops deployments keys {name}")
        after = replace(known, keys=kept)
        _write(workspace, name, after, "key.removed", label)
    return after


def open_to_all(workspace: Workspace, name: str) -> KeyFile:
    """Take all keys away, and let anybody ask again."""
    after = KeyFile((), required=False)
    with _held(workspace, name):
        _write(workspace, name, after, "key.opened", "")
    return after


@contextmanager
def _held(workspace: Workspace, name: str) -> Iterator[None]:
    """Hold the keys of a deployment, or of a pipeline that has none yet; raises NotFound for another name."""
    valid_name("deployment", name)
    if deployments.find(workspace, name) is None and servers.pipeline_of(workspace, name) is None:
        deployments.get(workspace, name)
    with workspace.exclusive(f"keys-{name}", f"the keys of '{name}'"):
        yield


def _write(workspace: Workspace, name: str, keys: KeyFile, action: str, label: str) -> None:
    path = servers.keys_of(workspace, name)
    part = unfinished(path)
    with workspace.catalogue.write(workspace.now()) as act:
        act.record(action, name, key=label, left=len(keys.keys))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            file = os.open(
                part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644
            )  # hashes of random keys tell nothing, and a container's user reads them
            os.fchmod(file, 0o644)  # whatever the umask: hashes of random keys tell nothing
            with os.fdopen(file, "wb") as stream:
                stream.write(to_json(keys))
            part.replace(path)
        except OSError as error:
            raise External(f"cannot write {workspace.relative(path)}: {error.strerror or error}") from None
