"""From an approved model version to a Bento that is proven to answer as the model does."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlops_tui.adapters import bento as store
from mlops_tui.adapters.catalogue import release
from mlops_tui.errors import MlopsError, NotFound, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.release import approvals
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, Golden, ModelVersion, Parity, Progress, Serving, from_json, hash_of, to_json


def build(workspace: Workspace, reference: str, *, unapproved: bool = False) -> tuple[Bento, bool]:
    """Return the proven Bento of a model version, and whether it was built now; one that is there is not built again.

    Raises Refused if the version is not approved and `unapproved` is not said, or if the Bento's answers over
    HTTP differ from the model's.
    """
    version = lookup.model_version(workspace, reference)
    if not unapproved:
        approvals.require_approved(workspace, version)
    approved = approvals.standing_of(workspace, version).state == "approved"
    with workspace.exclusive(f"bento-{version.model}", f"the Bento of {version.model}", timeout=600):
        known = current(workspace, version, approved)
        if known is not None and is_there(workspace, known):
            return known, False
        return _build(workspace, version, approved), True


def current(workspace: Workspace, version: ModelVersion, approved: bool = True) -> Bento | None:
    """Return the catalogue's Bento of exactly this content, service code and approval, or None."""
    with workspace.catalogue.read() as act:
        found = release.bentos(act, key=bento_key(version, approved, service_code()))
    return found[0] if found else None


def is_there(workspace: Workspace, bento: Bento) -> bool:
    """Return whether a Bento's folder is still in the store."""
    return store.is_there(workspace.home / "bentos", bento.tag)


def fitting(
    workspace: Workspace, champion: ModelVersion, built: Sequence[Bento], code: str
) -> tuple[Bento | None, str]:
    """Return the approved Bento of exactly the champion's content and the `service_code`, of those `built`; else None.

    With None comes why one has to be built.
    """
    of_version = [one for one in built if one.approved and one.version == champion.version]
    if not of_version:
        return None, f"the champion {champion.ref} has no Bento yet: it is built, and proven over HTTP"
    key = bento_key(champion, True, code)
    found = next((one for one in of_version if one.key == key), None)
    if found is None:
        tag = of_version[0].tag
        return (
            None,
            f"{tag} is out of date: the champion, or the code that serves it, has changed since; it is built anew",
        )
    if not is_there(workspace, found):
        return None, f"{found.tag} is gone from the store: it is built anew"
    return found, ""


def bento_key(version: ModelVersion, approved: bool, code: str) -> str:
    """Return the hash of all that makes a Bento: the model version's content, the code that serves it, its approval."""
    return hash_of((version.ref, version.subject(), version.golden, code, approved))


def service_code() -> str:
    """Return the hash of the code and the locked requirements that a Bento carries; read again when they change."""
    paths = [store.PACKAGE / name for name in (*store.CARRIED, "service.lock")]
    return _service_code(tuple((path, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in paths))


@lru_cache(maxsize=1)
def _service_code(files: tuple[tuple[Path, int, int], ...]) -> str:
    hash_ = hashlib.sha256(store.ENTRY.encode())
    for path, _, _ in files:
        hash_.update(path.read_bytes())
    return hash_.hexdigest()


def _build(workspace: Workspace, version: ModelVersion, approved: bool) -> Bento:
    workspace.report(Progress("bento", f"building {version.ref}"))
    home = workspace.home / "bentos"
    made = contents(workspace, version, approved)
    built = store.build(
        home, made, store.tag_name(version.model), f"v{version.version}{'' if approved else '-unapproved'}"
    )
    workspace.report(Progress("bento", f"proving {built.tag}: golden rows through HTTP"))
    golden = from_json(workspace.objects.get(version.golden), Golden)
    try:
        parity = _prove(workspace, built.tag, golden)
    except BaseException:
        store.remove(home, built.tag)  # a Bento that is not proven does not count as built
        raise
    now = workspace.now()
    key = bento_key(version, approved, service_code())
    bento = Bento(
        built.tag, version.model, version.version, key, approved, built.size, parity, workspace.user, now
    )  # fmt: skip
    with workspace.catalogue.write(now) as act:
        release.put_bento(act, bento)
        act.record("bento.built", bento.tag, model=version.ref, approved=approved, parity=asdict(parity))
    return bento


def _prove(workspace: Workspace, tag: str, golden: Golden) -> Parity:
    """Prove a Bento from a folder of its own; a server that a killed proof left there is stopped first."""
    from mlops_tui.adapters import processes, proof

    runtime = workspace.home / "bentos" / "runtime"
    name = f"proof-{tag.replace(':', '-')}"
    for left in processes.serving_from(runtime, f"{name}{os.sep}"):
        processes.stop(left.pid, left.born)
    parity = proof.prove(workspace.home / "bentos", tag, golden, runtime / name)
    shutil.rmtree(runtime / name, ignore_errors=True)
    return parity


def contents(workspace: Workspace, version: ModelVersion, approved: bool) -> store.Contents:
    """Return what goes into the Bento of a model version."""
    get = workspace.objects.get
    files = {
        "booster.txt": get(version.booster),
        "transform.json": get(version.transform),
        "signature.json": get(version.signature),
        "golden.json": get(version.golden),
        "model.json": to_json(about(workspace, version)),
        "serving.json": to_json(_serving(workspace, version)),
    }
    files |= {"calibration.json": get(version.calibration)} if version.calibration else {}
    return store.Contents(version.ref, files, approved)


def _serving(workspace: Workspace, version: ModelVersion) -> Serving:
    """How the pipeline says that its model is served, for where nothing else will say it: an exported Bento."""
    try:
        serve = lookup.pipeline(workspace, version.model)[0].serve
    except MlopsError:
        return Serving()
    return serve.serving() if serve else Serving()


def about(workspace: Workspace, version: ModelVersion) -> dict[str, Any]:
    """Return what a served model says of itself: task, metrics, where it comes from, who approved it."""
    run = lookup.run(workspace, version.run)
    with workspace.catalogue.read() as act:
        said = release.approvals(act, version.model, version.version)
    words = [word for word in said if word.verdict == "approved" and word.subject == version.subject()]
    return {
        "task": version.task,
        "key": run.settings.get("data", {}).get("key", []),  # by which labels may name a row
        "created_at": version.created_at,
        "metrics": version.metrics,
        "lineage": {
            "run": version.run,
            "dataset": f"{version.dataset}:{version.dataset_version}",
            "dataset_hash": version.dataset_hash,
            "pipeline_hash": version.pipeline_hash,
            "code_hash": version.code_hash,
            "commit": run.code.commit,
            "environment": run.environment,
        },
        "approvals": [{"name": word.name, "at": word.created_at, "comment": word.comment} for word in words],
    }


def list_bentos(workspace: Workspace, model: str | None = None) -> list[Bento]:
    """Return the proven Bentos, newest first."""
    with workspace.catalogue.read() as act:
        return release.bentos(act, model=model)


def export(workspace: Workspace, name: str, path: Path) -> tuple[Bento, Path]:
    """Write a Bento, named by its tag or by its model version, to a .bento file that `bentoml import` reads."""
    bento = find(workspace, name)
    return bento, store.export(workspace.home / "bentos", bento.tag, path)


def find(workspace: Workspace, name: str) -> Bento:
    """Return the newest Bento with a tag, or of the model version that a reference names; raises NotFound."""
    known = list_bentos(workspace)
    by_tag = [bento for bento in known if bento.tag == name]
    if by_tag:
        return by_tag[0]
    if ":v" in name:
        raise unknown("Bento", name, [bento.tag for bento in known], "mlops bentos list")
    version = lookup.model_version(workspace, name)
    for bento in known:
        if (bento.model, bento.version) == (version.model, version.version):
            return bento
    raise NotFound(f"{version.ref} has no Bento yet", f"mlops bentos build {version.ref}")
