"""Deployments that are kept up: who is down though it should run is restarted, with patience, and given up loudly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from mlops_tui.adapters.catalogue import lock, release
from mlops_tui.errors import MlopsError, Refused
from mlops_tui.flows.release import deployments, rollouts
from mlops_tui.flows.watch import notices
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Backoff, Deployment, NoticeKind

STAYS = timedelta(seconds=60)  # a deployment that was up for so long counts as up
LONGEST_PAUSE = timedelta(minutes=5)  # between two restarts
BLIND_PAUSE = timedelta(seconds=5)  # where not even its state could be seen


def tend(workspace: Workspace, backoffs: tuple[Backoff, ...], say: Callable[[str], None]) -> tuple[Backoff, ...]:
    """Restart deployments that are down though they should run; return those that have not been up for a minute yet.

    The first restart comes at once, the next after 1 s, 2 s, 4 s … up to five minutes. After `[agent] restarts` of
    them it gives up, says so, and waits until somebody starts the deployment by hand. What goes wrong with one is
    said once, and stops no other.
    """
    known, kept = {one.deployment: one for one in backoffs}, []
    for item in deployments.list_deployments(workspace):
        before = known.get(item.name)
        try:
            after, told = _keep_up(workspace, item.name, before)
        except Exception as error:
            after = _blind(workspace, item.name, before, error)
            told = "" if before and before.error == after.error else after.error
        if told:
            say(f"{item.name}: {told}")
        _settle(workspace, item, say)
        if after is not None:
            kept.append(after)
    return tuple(kept)


def _settle(workspace: Workspace, item: Deployment, say: Callable[[str], None]) -> None:
    """Write down, and tell, that a server has taken its canary back by itself."""
    try:
        ended = rollouts.settle(workspace, item.name)
        if ended is not None:
            text = f"the canary {ended.ref} beside '{item.name}' was {ended.reason}"
            say(text + _tell(workspace, item, "canary_withdrawn", text, f"{item.name} {ended.started_at}"))
    except Exception as error:  # it is looked at again soon, and the server answers on
        say(f"{item.name}: its challenger cannot be looked at: {_words(error)}")


def is_due(item: Deployment, known: Backoff | None, now: datetime) -> bool:
    """Whether a deployment is to be restarted or given up, or what is remembered of it no longer holds."""
    state = deployments.state(item)
    if state == "down":
        return known is None or (known.next_at is not None and known.next_at <= now)
    if known is None:
        return False
    return state == "stopped" or known.next_at is None or now - item.started_at >= STAYS


def _keep_up(workspace: Workspace, name: str, known: Backoff | None) -> tuple[Backoff | None, str]:
    """Look at one deployment: return what is to be remembered of it, and what was done."""
    if lock.is_held(workspace.home / "locks" / f"deployment-{name}"):
        return known, ""  # somebody starts, replaces or stops it at this moment
    item, now = deployments.get(workspace, name), workspace.now()  # as it stands after that look
    if not is_due(item, known, now):
        return known, ""
    if deployments.state(item) != "down":
        if item.wanted == "running" and known and known.next_at is None:  # given up, and somebody has started it
            text = f"{_ref(item)} serves again at {item.url}"
            return None, text + _tell(workspace, item, "deployment_up", text, _outage(item))
        return None, ""
    known = known or Backoff(name, 0, now, "")
    if known.failures >= workspace.settings.agent.restarts:
        return _give_up(workspace, item, known)
    return _restart(workspace, item, known)


def _restart(workspace: Workspace, item: Deployment, known: Backoff) -> tuple[Backoff, str]:
    """Start a deployment again, of the version that it served; count the try, for it has yet to stay up."""
    with workspace.catalogue.read() as act:
        is_trial = any(one.tag == item.bento and not one.approved for one in release.bentos(act, item.model))
    failures, error, final, place = known.failures + 1, "", False, deployments.Place(item.name, item.host, item.port)
    try:
        _, started = deployments.start(workspace, _ref(item), place, unapproved=is_trial, expected=item)
        if not started:
            return known, ""  # somebody was faster: what they did is looked at next
    except Exception as found:
        error = _words(found)
        final = isinstance(found, Refused)  # no longer approved: it will not be so in a minute either
    pause = min(timedelta(seconds=2 ** min(failures - 1, 20)), LONGEST_PAUSE)
    after = Backoff(item.name, failures, workspace.now() + pause, error)
    if error and (final or failures >= workspace.settings.agent.restarts):
        return _give_up(workspace, item, after)
    if error:
        return after, f"was down, restart {failures} failed, the next in {pause.total_seconds():g} s: {error}"
    hour = f"{item.name} {workspace.now():%Y-%m-%d %H}"  # one that falls again and again is told of once an hour
    untold = _tell(workspace, item, "deployment_up", f"{_ref(item)} was down and serves again", hour)
    return after, f"was down, serves {_ref(item)} again{untold}"


def _give_up(workspace: Workspace, item: Deployment, known: Backoff) -> tuple[Backoff, str]:
    """Stop trying, until somebody starts the deployment by hand; not before that has been told."""
    why = known.error or "it did not stay up for a minute"
    text = f"{_ref(item)} is down; given up after {known.failures} restarts: {why}"
    hint = f"mlops deployments logs {item.name}; mlops deployments start {_ref(item)} --name {item.name}"
    untold = _tell(workspace, item, "deployment_down", f"{text}\nnext: {hint}", _outage(item))
    return replace(known, next_at=workspace.now() + LONGEST_PAUSE if untold else None), text + untold


def _blind(workspace: Workspace, name: str, known: Backoff | None, error: Exception) -> Backoff:
    """What is remembered of a deployment that could not be looked after: as before, and tried again soon."""
    text, now = f"cannot be looked after: {_words(error)}", workspace.now()
    before = known or Backoff(name, 0, now, "")
    is_over = before.next_at is not None and before.next_at <= now
    return replace(before, next_at=now + BLIND_PAUSE if is_over else before.next_at, error=text)


def _tell(workspace: Workspace, item: Deployment, kind: NoticeKind, text: str, key: str) -> str:
    """Tell of a deployment; a notice that cannot be written down changes nothing else. Returns why it could not."""
    try:
        notices.tell(workspace, kind, item.name, text, key)
        return ""
    except Exception as error:
        return f"; this could not be told: {_words(error)}"


def _words(error: Exception) -> str:
    return error.message if isinstance(error, MlopsError) else f"{type(error).__name__}: {error}"


def _ref(item: Deployment) -> str:
    return f"{item.model}:{item.version}"


def _outage(item: Deployment) -> str:
    """What makes two notices of a deployment the same: the process that went down."""
    return f"{item.name} {item.pid} {item.born}"
