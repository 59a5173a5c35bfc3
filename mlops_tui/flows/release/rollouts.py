"""A challenger beside what a deployment serves, in the shadow or as a canary: promoted, or taken back."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import Literal

from mlops_tui.adapters import processes
from mlops_tui.adapters.catalogue import lock, release
from mlops_tui.errors import InvalidInput, MlopsError, NotFound, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.release import approvals, bentos, deployments, servers
from mlops_tui.flows.release.deployments import Place
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, Challenger, Deployment, hash_of


@dataclass(frozen=True, slots=True)
class Beside:
    """How a challenger stands beside the live model: in the shadow, or as a canary of a share of requests (0 to 1)."""

    mode: Literal["shadow", "canary"]
    share: float = 0.0

    def __post_init__(self) -> None:
        if self.mode == "canary" and not 0 < self.share < 1:
            raise InvalidInput(f"a canary takes a share of requests between 0 and 1, not {self.share:g}")


def challenge(
    workspace: Workspace, reference: str, name: str | None, beside: Beside, unapproved: bool = False
) -> Deployment:
    """Put a model version beside what a deployment serves; another challenger that stands there ends.

    Raises Refused where nothing is served, or if a canary is not approved and `unapproved` is not said: what is in the
    shadow answers nobody, and needs no approval.
    """
    version = lookup.model_version(workspace, reference)
    name = name or version.model
    bento, _ = bentos.build(workspace, version.ref, unapproved=unapproved or beside.mode == "shadow")
    with deployments.locked(workspace, name):
        live = _ready(workspace, _running(workspace, name))
        if live.model != version.model:
            raise InvalidInput(f"the deployment '{name}' serves {live.model}, not {version.model}")
        if live.version == version.version:
            raise InvalidInput(f"'{name}' serves {version.ref} already", f"mlops models list {version.model}")
        folder = str(servers.folder_of(workspace, bento))
        rival = Challenger(folder, version.ref, beside.mode, beside.share)
        before, want = processes.told(servers.runtime_of(workspace, live)), _want(workspace, live)
        servers.tell(workspace, live, servers.control_of(workspace, want, rival, beside.mode))
        now = workspace.now()
        made = dataclasses.replace(
            live, version=version.version, bento=bento.tag, user=workspace.user, started_at=now, mode=beside.mode,
            share=beside.share, reason="",
        )  # fmt: skip
        try:
            with workspace.catalogue.write(now) as act:
                deployments.end_challenger(act, name, f"{version.ref} stands there instead")
                release.put_challenger(act, made)
                release.put_deployment(act, dataclasses.replace(live, serving=hash_of(want.serving)))
                act.record("challenger.started", name, model=version.ref, mode=beside.mode, share=beside.share)
        except BaseException:
            if before is not None:  # what nobody wrote down must not answer anybody
                servers.tell(workspace, live, before)
            raise
    return made


def promote(workspace: Workspace, name: str, comment: str = "") -> Deployment:
    """Have the challenger of a deployment serve all requests, and make it champion; raises Refused if not approved."""
    deployments.get(workspace, name)
    settle(workspace, name)
    rival = challenger(workspace, name)
    if rival is None:
        hint = f"mlops deployments start MODEL --name {name} --canary 0.1"
        raise Refused(f"no challenger stands beside '{name}'", hint)
    version = lookup.model_version(workspace, rival.ref)
    approvals.require_approved(workspace, version)
    reason = f"promoted from {rival.mode}" + (f": {comment}" if comment else "")
    approvals.set_alias(workspace, version.ref, "champion", reason)
    return deployments.start(workspace, version.ref, Place(name, rival.host, rival.port), reason=reason)[0]


def withdraw(workspace: Workspace, name: str, reason: str = "") -> Deployment:
    """Take the challenger of a deployment back; the live model answers all requests. Raises NotFound without one.

    It is written down first: a server that was not told any more is told by whoever looks at it next.
    """
    with deployments.locked(workspace, name):
        live, rival = deployments.get(workspace, name), challenger(workspace, name)
        if rival is None:
            raise NotFound(f"no challenger stands beside '{name}'", f"mlops deployments show {name}")
        ended = _end(workspace, live, rival, reason or "taken back")
        if servers.alive(live):
            servers.tell(workspace, live, servers.control_of(workspace, _want(workspace, live), None, "withdrawn"))
    return ended


def _end(workspace: Workspace, live: Deployment, rival: Deployment, reason: str) -> Deployment:
    """Write down that a challenger ended. A canary that was made champion gives its place to what serves again.

    Else the next cycle would serve whole what was just taken back.
    """
    with workspace.catalogue.write(workspace.now()) as act:
        ended = deployments.end_challenger(act, rival.name, reason)
        was_champion = rival.mode == "canary" and approvals.champion(act, rival.model) == rival.version
        if was_champion and approvals.approved(act, [(live.model, live.version)]):
            approvals.point(act, live.model, "champion", live.version, f"the canary {rival.ref} was {reason}")
    return ended or rival


def settle(workspace: Workspace, name: str) -> Deployment | None:
    """Have catalogue and server agree; returns the canary that its server has taken back by itself, with the reason.

    The server takes one back at once; whoever looks at the deployment next writes it down: a command, the screens, the
    agent. Where they differ otherwise, whoever changed them was killed in between, and the catalogue is right.
    """
    live = deployments.find(workspace, name)
    if live is None or not _differ(workspace, live) or lock.is_held(workspace.home / "locks" / f"deployment-{name}"):
        return None
    with deployments.locked(workspace, name):
        live, rival, ended = deployments.get(workspace, name), challenger(workspace, name), None
        said = processes.serves(servers.runtime_of(workspace, live))
        if said is None or not servers.alive(live) or not _differ(workspace, live):
            return None
        if rival is not None and said.withdrawn:
            ended, rival = _end(workspace, live, rival, f"taken back by itself: {said.withdrawn}"), None
        beside = None
        if rival is not None and rival.mode != "live":
            folder = str(servers.folder_of(workspace, _bento(workspace, rival)))
            beside = Challenger(folder, rival.ref, rival.mode, rival.share)
        with contextlib.suppress(MlopsError):  # one that does not hear is down, or soon will be
            servers.tell(workspace, live, servers.control_of(workspace, _want(workspace, live), beside, "settled"))
    return ended


def _differ(workspace: Workspace, live: Deployment) -> bool:
    """Whether a server serves other models than the catalogue says."""
    said = processes.serves(servers.runtime_of(workspace, live)) if live.runtime else None
    if said is None or live.wanted == "stopped":
        return False
    rival = challenger(workspace, live.name)
    beside = said.challenger
    there = (beside.model, beside.mode, beside.share) if beside else None
    return (said.model, there) != (live.ref, (rival.ref, rival.mode, rival.share) if rival else None)


def rollback(
    workspace: Workspace, name: str, reference: str | None = None, comment: str = ""
) -> tuple[Deployment, str]:
    """Take a canary back, where one stands; else serve the champion before this one, or a named version, as champion.

    Returns what serves then, and what was taken back, as in "flight-delay:3". Raises Refused if the canary was taken
    back by its server already: what serves is then rolled back only where that is said, by `reference`.
    """
    ended = settle(workspace, name)
    if ended is not None and reference is None:
        hint = f"mlops deployments show {name}; to roll back what serves, name a version: --to"
        raise Refused(f"the canary {ended.ref} was {ended.reason}", hint)
    rival = challenger(workspace, name)
    if rival is not None and rival.mode == "canary" and reference is None:
        withdraw(workspace, name, f"rolled back: {comment}" if comment else "rolled back")
        return deployments.get(workspace, name), rival.ref
    known = deployments.get(workspace, name)
    version = lookup.model_version(workspace, _former(workspace, known) if reference is None else reference)
    if version.model != known.model:
        raise InvalidInput(f"the deployment '{name}' serves {known.model}, not {version.model}")
    bento, _ = bentos.build(workspace, version.ref)
    with workspace.catalogue.read() as act:
        left = approvals.champion(act, known.model)
    reason = f"rollback of {name} from :{left or known.version}" + (f": {comment}" if comment else "")
    approvals.set_alias(workspace, version.ref, "champion", reason)
    place = Place(name, known.host, known.port)
    return deployments.start(workspace, f"{bento.model}:{bento.version}", place, reason=reason)[0], known.ref


def list_all(workspace: Workspace) -> list[tuple[Deployment, Deployment | None]]:
    """Return all deployments, each with what stands beside it; what servers took back is written down first."""
    for item in deployments.list_deployments(workspace):
        settle(workspace, item.name)
    with workspace.catalogue.read() as act:
        beside, found = release.challengers(act), release.deployments(act)
    return [(one, beside.get(one.name)) for one in found]


def challenger(workspace: Workspace, name: str) -> Deployment | None:
    """Return what stands beside a deployment, or None."""
    with workspace.catalogue.read() as act:
        return release.challengers(act).get(name)


def _running(workspace: Workspace, name: str) -> Deployment:
    live = deployments.find(workspace, name)
    if live is None or deployments.state(live) != "running":
        text = f"nothing is served under '{name}' that a challenger could stand beside"
        raise Refused(text, "mlops deployments start")
    return live


def _ready(workspace: Workspace, live: Deployment) -> Deployment:
    """The live deployment, its server replaced first if it runs older code than challengers need."""
    want = _want(workspace, live)
    if live.container:
        hint = f"mlops deployments start {live.ref} --name {live.name} --process"
        raise Refused(f"'{live.name}' is a container, which serves what its image holds", hint)
    if servers.can_change(workspace, live, want):
        return live
    return deployments.replace_server(workspace, want, live, "newer code")


def _want(workspace: Workspace, live: Deployment) -> servers.Wanted:
    return servers.wanted(workspace, live.name, (live.host, live.port), _bento(workspace, live))


def _bento(workspace: Workspace, live: Deployment) -> Bento:
    """The Bento that a deployment serves, built anew where the store has lost it."""
    with workspace.catalogue.read() as act:
        known = [one for one in release.bentos(act, live.model, live.version) if one.tag == live.bento]
    if known and bentos.is_there(workspace, known[0]):
        return known[0]
    return bentos.build(workspace, live.ref, unapproved=bool(known) and not known[0].approved)[0]


def _former(workspace: Workspace, known: Deployment) -> str:
    """The champion before the present one; raises Refused, which names one that came after it where there is any."""
    model = known.model
    with workspace.catalogue.read() as act:
        former, now = approvals.formers(act, model).get(model), approvals.champion(act, model)
        were = {one for one in release.champions(act, model).get(model, ()) if one not in (None, now)}
        left = approvals.approved(act, [(model, one) for one in were if one])
    if former is not None:
        return former.ref
    why = f"no champion before {model}:{now} is still approved" if now else f"no champion of {model} is still approved"
    if not left:
        raise Refused(why, f"mlops models list {model}")
    ref = max(left, key=lambda one: one.version).ref
    raise Refused(f"{why}; {ref}, which came after it, is", f"mlops deployments rollback {known.name} --to {ref}")
