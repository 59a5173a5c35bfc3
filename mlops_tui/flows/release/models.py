"""Looking at model versions: lists, one whole, two compared, what one looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_tui.adapters.catalogue import build, release
from mlops_tui.core.approval import Standing, among, standing
from mlops_tui.core.compare import compare
from mlops_tui.errors import InvalidInput, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.release import approvals, gates
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import AliasChange, Approval, GateReport, ModelVersion, Run, RunDetails


@dataclass(frozen=True, slots=True)
class Listed:
    """A model version with its aliases and where it stands."""

    version: ModelVersion
    aliases: tuple[str, ...]
    standing: Standing


@dataclass(frozen=True, slots=True)
class Shown:
    """A model version with everything that is known of it."""

    version: ModelVersion
    aliases: tuple[str, ...]
    standing: Standing
    run: Run
    details: RunDetails
    report: GateReport | None
    approvals: list[Approval]
    history: list[AliasChange]

    @property
    def hashes(self) -> dict[str, str | None]:
        """The content hashes that an approval covers, and their hash."""
        version = self.version
        names = (
            "booster",
            "transform",
            "signature",
            "calibration",
            "dataset_hash",
            "pipeline_hash",
            "code_hash",
            "report",
        )
        return {name: getattr(version, name) for name in names} | {"subject": version.subject()}


def list_models(workspace: Workspace, model: str | None, limit: int) -> list[Listed]:
    """Return model versions, newest first; raises NotFound for a name that is not known."""
    with workspace.catalogue.read() as act:
        found = build.model_versions(act, model, limit)
        if model is not None and not found:
            raise unknown("model", model, build.model_names(act), "mlops models list")
        aliases, said = release.aliases(act, model), release.approvals(act, model)
        newest = build.newest_versions(act)
    words: dict[tuple[str, int], list[Approval]] = {}
    for word in said:
        words.setdefault((word.model, word.version), []).append(word)
    return [
        Listed(
            one,
            _names(aliases, one),
            among(standing(one, words.get((one.model, one.version), [])), one, newest[one.model]),
        )
        for one in found
    ]


def _names(aliases: dict[tuple[str, str], int], version: ModelVersion) -> tuple[str, ...]:
    return tuple(sorted(a for (m, a), v in aliases.items() if (m, v) == (version.model, version.version)))


def show(workspace: Workspace, reference: str) -> Shown:
    """Return everything known of a model version."""
    version = lookup.model_version(workspace, reference)
    run = lookup.run(workspace, version.run)
    with workspace.catalogue.read() as act:
        said = release.approvals(act, version.model, version.version)
        names = _names(release.aliases(act, version.model), version)
        history = release.alias_changes(act, version.model)
        newest = build.newest_versions(act)[version.model]
    report = gates.report_of(workspace, version) if version.report else None
    details = lookup.run_details(workspace, run)
    return Shown(version, names, among(standing(version, said), version, newest), run, details, report, said, history)


@dataclass(frozen=True, slots=True)
class Difference:
    """How two model versions differ: settings by dotted key, metrics, features, and their share of the gain.

    Metrics of different test rows do not compare the models; the gate "versus champion" does, on the same rows.
    """

    old: str
    new: str
    same_test_rows: bool
    settings: dict[str, tuple[Any, ...]]
    metrics: dict[str, tuple[float | None, ...]]
    importance: dict[str, tuple[float | None, float | None]]


def diff(workspace: Workspace, old: str, new: str) -> Difference:
    """Compare two model versions."""
    a, b = show(workspace, old), show(workspace, new)
    compared = compare([a.run, b.run])
    before, after = dict(a.details.importance), dict(b.details.importance)
    names = sorted(before.keys() | after.keys(), key=lambda name: -max(before.get(name, 0), after.get(name, 0)))
    importance = {name: (before.get(name), after.get(name)) for name in names}
    same = compared.same_test_rows and a.version.dataset_hash == b.version.dataset_hash
    return Difference(a.version.ref, b.version.ref, same, compared.settings, compared.metrics, importance)


def change_alias(workspace: Workspace, reference: str, alias: str | None, remove: bool) -> list[AliasChange]:
    """Point an alias to a version, take one away, or neither; returns how the model's aliases moved, newest first."""
    if alias is not None and remove:
        raise InvalidInput("--remove takes MODEL@ALIAS alone", "mlops models alias --help")
    if remove:
        approvals.remove_alias(workspace, reference)
    elif alias is not None:
        approvals.set_alias(workspace, reference, alias)
    name, _, _ = lookup.parse("model", reference)
    lookup.model_version(workspace, name)
    with workspace.catalogue.read() as act:
        return release.alias_changes(act, name)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a model looks at: each feature's share of the gain, and for rows their contributions to the raw score."""

    model: str
    importance: tuple[tuple[str, float], ...]
    rows: list[dict[str, Any]]


def explain(workspace: Workspace, reference: str, path: Path | None, limit: int) -> Explanation:
    """Return what a model looks at; with a file, also why it scored the first `limit` rows as it did."""
    version = lookup.model_version(workspace, reference)
    details = lookup.run_details(workspace, lookup.run(workspace, version.run))
    if path is None:
        return Explanation(version.ref, details.importance, [])
    from mlops_tui.adapters import scans
    from mlops_tui.core import requests, scoring

    scorer = lookup.scorer(workspace, version)
    types = {one.name: one.dtype for one in scorer.signature.inputs}
    rows = scans.scan(path, types).head(limit)
    with scans.naming(path):
        frame = requests.frame_for(scorer.signature, rows.collect())
        told = zip(scoring.answers(scorer, frame), scoring.explain(scorer, frame), strict=True)
    return Explanation(version.ref, details.importance, [answer | why for answer, why in told])
