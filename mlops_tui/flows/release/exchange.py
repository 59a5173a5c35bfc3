"""Model versions between workspaces: a zip of text, JSON and parquet, opened without trusting it."""

from __future__ import annotations

import dataclasses
import lzma
import re
import zipfile
import zlib
from pathlib import Path

import msgspec

from mlops_tui.adapters import sources, trial
from mlops_tui.adapters.catalogue import build
from mlops_tui.adapters.files import unfinished
from mlops_tui.errors import External, InvalidInput
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import valid_name
from mlops_tui.records import (
    Calibration,
    Golden,
    ModelVersion,
    Run,
    RunDetails,
    Signature,
    Transform,
    digest,
    from_json,
    hash_of,
    to_json,
)

PIECES = ("booster", "transform", "signature", "calibration", "reference", "golden", "rows")
MOST_BYTES = 2 * 2**30
RUN_ID = re.compile(r"[0-9a-f]{12}")
RECORDS: dict[str, type[object]] = {
    "transform": Transform, "signature": Signature, "calibration": Calibration, "golden": Golden,
}  # fmt: skip
NOT_AN_EXPORT = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, ValueError, msgspec.MsgspecError,
    RuntimeError,  # encrypted, compressed in an unknown way, or nested deeper than the stack
)  # fmt: skip
"""What the bytes of a file from elsewhere can raise before they are records."""


def export(workspace: Workspace, reference: str, path: Path) -> ModelVersion:
    """Write a model version with its run to a zip file, complete or not at all."""
    part = unfinished(path)
    version = lookup.model_version(workspace, reference)
    run = lookup.run(workspace, version.run)
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model.json", to_json(version))
            archive.writestr("run.json", to_json(run))
            archive.writestr("details", workspace.objects.get(run.details or ""))
            for name in PIECES:
                if getattr(version, name):
                    archive.writestr(name, workspace.objects.get(getattr(version, name)))
        part.replace(path)
    except OSError as error:
        raise External(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return version


def take_in(workspace: Workspace, path: Path) -> ModelVersion:
    """Add the model version of a file as a new version, without gate report and approval.

    Raises InvalidInput if the file is no export, if any piece does not have the hash that the record names, or if
    the model cannot be opened and asked without harm.
    """
    sources.stat_of(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MOST_BYTES:
                raise InvalidInput(f"{path} unpacks to more than {MOST_BYTES // 2**30} GiB")
            version = from_json(archive.read("model.json"), ModelVersion)
            run = from_json(archive.read("run.json"), Run)
            content = {name: archive.read(name) for name in PIECES if getattr(version, name) is not None}
            details = archive.read("details")
        _check(path, version, run, content, details)
    except NOT_AN_EXPORT as error:
        raise InvalidInput(f"{path} is no exported model version: {error}") from None
    except OSError as error:
        raise External(f"cannot read {path}: {error.strerror or error}") from None
    _try(path, version, content)
    return _add(workspace, version, run, [*content.values(), details])


def _check(path: Path, version: ModelVersion, run: Run, content: dict[str, bytes], details: bytes) -> None:
    for noun, name in (("model", version.model), ("pipeline", run.pipeline), ("dataset", version.dataset)):
        valid_name(noun, name)
    if not RUN_ID.fullmatch(run.id) or run.id != version.run:
        raise InvalidInput(f"{path} is no exported model version: its run {run.id!r} is not that of {version.ref}")
    numbers = (version.version, version.dataset_version, version.reviewers, run.dataset_version, run.seed, run.threads)
    if not all(0 <= one < 2**31 for one in numbers):
        raise InvalidInput(f"{path} is no exported model version: a number of its records is out of range")
    wrong = [name for name, data in content.items() if digest(data) != getattr(version, name)]
    if wrong or digest(details) != run.details:
        raise InvalidInput(f"{path} is damaged: {', '.join(wrong) or 'details'} does not have the hash that it names")
    for name, kind in RECORDS.items():
        if name in content:
            from_json(content[name], kind)
    from_json(details, RunDetails)


def _try(path: Path, version: ModelVersion, content: dict[str, bytes]) -> None:
    """Read LightGBM's text strictly, then open the model in a process of its own."""
    from mlops_tui.core import boosters

    signature, transform = from_json(content["signature"], Signature), from_json(content["transform"], Transform)
    files = {f"{name}.json": content[name] for name in RECORDS if name in content}
    files |= {"booster.txt": content["booster"], "model.json": to_json({"model": version.ref})}
    try:
        if signature.task != version.task:
            raise InvalidInput(f"its signature is for the task {signature.task}, its record says {version.task}")
        boosters.check(content["booster"].decode("utf-8", "replace"), transform, signature)
        trial.open_aside(files)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", error.hint) from None


def _add(workspace: Workspace, version: ModelVersion, run: Run, objects: list[bytes]) -> ModelVersion:
    for data in objects:
        workspace.objects.put(data)
    with workspace.catalogue.write(workspace.now()) as act:
        if not build.runs_by_prefix(act, run.id):
            build.add_run(act, run)
            build.end_run(act, run)
        added = dataclasses.replace(
            version,
            version=build.next_version(act, "model_versions", "model", version.model),
            key=hash_of(("imported", version.key)),  # no plan takes it for a training of its own
            report=None,
            gates_passed=None,
            created_at=act.now,
        )
        build.add_model_version(act, added)
        act.record("model.imported", added.ref, was=version.ref, booster=version.booster)
    return added
