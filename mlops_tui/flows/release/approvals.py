"""Who may go live: approvals bound to content, and the aliases that they move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mlops_tui.adapters.catalogue import Act, build, release, views
from mlops_tui.core.approval import Standing, is_outdated, is_settled, standing, tenures
from mlops_tui.errors import InvalidInput, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import valid_name
from mlops_tui.records import AliasChange, Approval, GateReport, ModelVersion, from_json

Verdict = Literal["approved", "rejected"]


def standing_of(workspace: Workspace, version: ModelVersion) -> Standing:
    """Return where a model version stands now."""
    with workspace.catalogue.read() as act:
        return standing(version, release.approvals(act, version.model, version.version))


def approve(workspace: Workspace, reference: str, comment: str, by: str | None = None) -> tuple[ModelVersion, Standing]:
    """Approve a model version; with the last missing approval it becomes champion, in the same transaction.

    Raises Refused if a gate failed, if its bytes are damaged, or if whoever started the run is the only one
    to approve where the pipeline asks for a reviewer.
    """
    version = lookup.model_version(workspace, reference, newest=True)
    name = _signer(workspace, by)
    if version.gates_passed is None:
        raise Refused(f"{version.ref} has no gate report yet", f"mlops run {version.model}")
    if not version.gates_passed:
        raise Refused(f"{version.ref} cannot be approved: a gate failed", f"mlops models show {version.ref}")
    if version.reviewers and name.casefold() == version.author.casefold():
        raise Refused(
            f"{name} started the run of {version.ref}; the pipeline asks for {version.reviewers} other reviewer(s)",
            f"ask somebody else: mlops models approve {version.ref} --comment …",
        )
    check_content(workspace, version)
    return _say(workspace, version, "approved", name, comment)


def reject(workspace: Workspace, reference: str, comment: str, by: str | None = None) -> tuple[ModelVersion, Standing]:
    """Reject a model version; if it is the champion, the alias goes back to the champion before it."""
    version = lookup.model_version(workspace, reference, newest=True)
    return _say(workspace, version, "rejected", _signer(workspace, by), comment)


def settle(workspace: Workspace, version: ModelVersion) -> Standing:
    """Make a version that passed every gate champion where the pipeline approves by itself; return where it stands."""
    now = standing_of(workspace, version)
    if version.approval != "auto" or now.state != "approved" or is_settled(version, now):
        return now
    return _say(workspace, version, "approved", "auto", "every gate passed")[1]


def _signer(workspace: Workspace, by: str | None) -> str:
    if by is None or by == workspace.user:
        return workspace.user
    if workspace.settings.approval.identity == "unix":
        raise Refused("this workspace takes reviewers by their Unix user: --by is switched off in mlops.toml")
    name = valid_name("reviewer", by)
    if name == "auto":
        raise InvalidInput("'auto' is how a pipeline signs; sign with your own name")
    return name


def _say(
    workspace: Workspace, version: ModelVersion, verdict: Verdict, name: str, comment: str
) -> tuple[ModelVersion, Standing]:
    with workspace.catalogue.write(workspace.now()) as act:
        current = build.model_version(act, version.model, version.version)
        if current is None or current.subject() != version.subject():
            raise Refused(f"{version.ref} changed meanwhile", f"look again: mlops models show {version.ref}")
        if verdict == "approved":
            _check_report(workspace, act, current)
        before = standing(current, release.approvals(act, version.model, version.version))
        others = [one for one in before.rejecters if one != name]
        if verdict == "approved" and others:
            raise Refused(
                f"{version.ref} was rejected by {', '.join(others)}: it is for them to take that back",
                f"mlops models approve {version.ref} --by {others[0]} --comment …",
            )
        word = Approval(
            version.model, version.version, verdict, version.subject(), name, workspace.user, comment, act.now
        )
        release.add_approval(act, word)
        act.record(f"model.{verdict}", version.ref, name=name, comment=comment, covers=word.subject)
        now = standing(current, release.approvals(act, version.model, version.version))
        at_head = champion(act, version.model)
        if (
            verdict == "approved"
        ):  # one more word on what is approved already moves nothing, unless there is no champion
            if is_settled(current, now) and (at_head is None or not is_settled(current, before)):
                point(act, version.model, "champion", version.version, f"approved by {name}")
        elif at_head == version.version:
            former = formers(act, version.model).get(version.model)
            why = f":{version.version} was rejected by {name}"
            point(act, version.model, "champion", former.version if former else None, why)
        return current, now


def _check_report(workspace: Workspace, act: Act, version: ModelVersion) -> None:
    """Raise Refused if the champion changed since a version was compared with it: it may be worse than the new one."""
    report, now = from_json(workspace.objects.get(version.report or ""), GateReport), champion(act, version.model)
    if is_outdated(report, now):
        was = f":{report.champion}" if report.champion else "no champion"
        raise Refused(
            f"{version.ref} was judged against {was}, and the champion is :{now} now",
            f"mlops run {version.model} judges the version of the present data and settings again",
        )


def champion(act: Act, model: str) -> int | None:
    """Return the number of a model's champion."""
    return release.aliases(act, model).get((model, "champion"))


def formers(act: Act, model: str | None = None) -> dict[str, ModelVersion]:
    """Return, by model, the champion before the present one that is still approved, as `tenures` has them."""
    heads = release.aliases(act, model)
    stacks = {
        name: [one for one in tenures(moves) if one != heads.get((name, "champion"))]
        for name, moves in release.champions(act, model).items()
    }
    found: dict[str, ModelVersion] = {}
    while stacks := {name: stack for name, stack in stacks.items() if stack and name not in found}:
        newest = [(name, stack.pop()) for name, stack in stacks.items()]
        found |= {one.model: one for one in approved(act, newest)}
    return found


def approved(act: Act, keys: Sequence[tuple[str, int]]) -> list[ModelVersion]:
    """Return those of some model versions, by (model, version), that are approved as they are now."""
    versions = build.model_versions_of(act, keys)
    said: dict[str, list[Approval]] = {}
    for word in views.approvals(act, versions):
        said.setdefault(f"{word.model}:{word.version}", []).append(word)
    return [one for one in versions if standing(one, said.get(one.ref, [])).state == "approved"]


def point(act: Act, model: str, alias: str, version: int | None, reason: str) -> None:
    """Move an alias inside an act; one that points there already stays as it is."""
    if release.aliases(act, model).get((model, alias)) == version:
        return
    release.move_alias(act, AliasChange(model, alias, version, act.user, reason, act.now))
    act.record("model.alias", f"{model}@{alias}", version=version, reason=reason)


def set_alias(workspace: Workspace, reference: str, alias: str, reason: str = "") -> ModelVersion:
    """Point an alias to a model version; `champion` only to an approved one, `live` is the deployments' own."""
    version = lookup.model_version(workspace, reference, newest=True)
    valid_name("alias", alias)
    if alias == "live":
        raise InvalidInput("'live' follows what is deployed", f"mlops deployments start {version.ref}")
    if alias == "champion":
        require_approved(workspace, version)
    with workspace.catalogue.write(workspace.now()) as act:
        why = reason or "set by hand"
        point(act, version.model, alias, version.version, why)
        if not act.events:
            act.record("model.alias", f"{version.model}@{alias}", version=version.version, reason=f"stays: {why}")
    return version


def remove_alias(workspace: Workspace, reference: str) -> None:
    """Take an alias away, named as `model@alias`."""
    name, _, alias = lookup.parse("model", reference)
    version = lookup.model_version(workspace, reference)
    if alias is None or alias in ("live", "champion"):
        raise InvalidInput(f"say which alias to remove, as in {name}@candidate; champion and live cannot be removed")
    with workspace.catalogue.write(workspace.now()) as act:
        point(act, version.model, alias, None, "removed by hand")


def require_approved(workspace: Workspace, version: ModelVersion) -> Standing:
    """Return the standing of an approved version; raises Refused, with the reason, for any other."""
    now = standing_of(workspace, version)
    if now.state != "approved":
        hint = {"new": f"mlops run {version.model}", "failed": f"mlops models show {version.ref}"}
        approve = f"mlops models approve {version.ref} --comment …"
        raise Refused(f"{version.ref} is not approved: {now.sentence}", hint.get(now.state, approve))
    check_content(workspace, version)
    return now


def check_content(workspace: Workspace, version: ModelVersion) -> None:
    """Read every object that an approval covers; raises External if one is missing or damaged."""
    pieces = (version.booster, version.transform, version.signature, version.golden)
    for hash_ in (*pieces, version.calibration, version.report):
        if hash_ is not None:
            workspace.objects.checked_path(hash_)
