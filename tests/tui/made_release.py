"""Made approvals, aliases, Bentos and deployments."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import psutil  # type: ignore[import-untyped]

from mlops_tui.adapters.catalogue import release
from mlops_tui.config import PipelineFile
from mlops_tui.flows.release.bentos import bento_key, service_code
from mlops_tui.records import AliasChange, Approval, Bento, Deployment, ModelVersion, Parity, to_json
from tests.tui.made_base import Making

NOBODY = 2**22 + 1  # the pid of no process: above what Linux gives


def alive_or_not(alive: bool) -> tuple[int, float]:
    """The pid and birth of this very process, which counts as alive, or of nobody."""
    return (os.getpid(), psutil.Process().create_time()) if alive else (NOBODY, 0.0)


def word(version: ModelVersion, verdict: Any, who: str, comment: str, at: datetime) -> Approval:
    """What a person, or the pipeline as "auto", says of a model version."""
    user = "ada" if who == "auto" else who
    return Approval(version.model, version.version, verdict, version.subject(), who, user, comment, at)


def say(making: Making, version: ModelVersion, verdict: Any, who: str, comment: str, at: datetime) -> None:
    """Put what a person says of a model version."""
    said = word(version, verdict, who, comment, at)
    release.add_approval(making.act, said)
    making.tell(at, said.user, f"model.{verdict}", version.ref, name=who, comment=comment, covers=said.subject)


def point(making: Making, version: ModelVersion, alias: str, reason: str, at: datetime, user: str) -> None:
    """Point an alias to a model version."""
    release.move_alias(making.act, AliasChange(version.model, alias, version.version, user, reason, at))
    making.tell(at, user, "model.alias", f"{version.model}@{alias}", version=version.version, reason=reason)


def bento(making: Making, version: ModelVersion, at: datetime, user: str) -> Bento:
    """Put a proven Bento, and a folder in the store that counts as it."""
    tag = f"{version.model}:v{version.version}"
    folder = making.workspace.home / "bentos" / "bentos" / version.model / f"v{version.version}"
    (folder / "src" / "model").mkdir(parents=True)
    (folder / "bento.yaml").write_text(f"name: {version.model}\n", encoding="utf-8")
    (folder / "src" / "model" / "model.json").write_bytes(to_json({"model": version.ref, "approved": True}))
    parity = Parity(64, 0.0, 1.94, 4.993, 8.91, at)
    found = Bento(
        tag, version.model, version.version, bento_key(version, True, service_code()), True, 1_183_214, parity, user, at
    )
    release.put_bento(making.act, found)
    making.tell(at, user, "bento.built", tag, model=version.ref, approved=True)
    return found


def deployment(
    making: Making, served: Bento, settings: PipelineFile, at: datetime, user: str, *, alive: bool = True
) -> Deployment:
    """Put what a deployment's name stands for: this very process where it is to count as alive, else nobody."""
    assert settings.serve is not None
    found = Deployment(
        settings.deployment, served.model, served.version, served.tag, settings.serve.host, settings.serve.port,
        *alive_or_not(alive), "running", user, at,
    )  # fmt: skip
    release.put_deployment(making.act, found)
    model = f"{served.model}:{served.version}"
    making.tell(at, user, "deployment.started", found.name, model=model, url=found.url)
    return found
