"""Deployments for screens: whether each runs, which champion it would serve, and what all of them answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mlops_tui.adapters.catalogue import release
from mlops_tui.flows.queries.traffic import Traffic, traffic
from mlops_tui.flows.release import approvals, deployments
from mlops_tui.flows.release.deployments import State
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment

AT_ONCE = 8  # servers that are asked; each may take a second to say nothing


@dataclass(frozen=True, slots=True)
class Served:
    """A deployment, how it is, its model's champion and the one before, as in `flight-delay:3`; None for none.

    `challenger` is what stands beside it.
    """

    deployment: Deployment
    state: State
    champion: str | None
    former: str | None
    challenger: Deployment | None = None

    @property
    def beside(self) -> str:
        """What stands beside it and how, as in "flight-delay:4, a canary of 10 %"; "" for nothing."""
        return told_of(self.challenger)

    @property
    def ref(self) -> str:
        """The model version that it serves."""
        return f"{self.deployment.model}:{self.deployment.version}"


def told_of(challenger: Deployment | None) -> str:
    """Return what stands beside a deployment and how, as in "flight-delay:4, a canary of 10 %"; "" for nothing."""
    if challenger is None:
        return ""
    how = "in the shadow" if challenger.mode == "shadow" else f"a canary of {100 * challenger.share:.3g} %"
    return f"{challenger.ref}, {how}"


def served(workspace: Workspace) -> list[Served]:
    """Return every deployment by name, from one read of the catalogue and a look at the processes."""
    with workspace.catalogue.read() as act:
        found, aliases, formers = release.deployments(act), release.aliases(act), approvals.formers(act)
        beside = release.challengers(act)
    champions = {model: f"{model}:{number}" for (model, alias), number in aliases.items() if alias == "champion"}
    before = {model: version.ref for model, version in formers.items()}
    return [
        Served(one, deployments.state(one), champions.get(one.model), before.get(one.model), beside.get(one.name))
        for one in found
    ]


def answers(workspace: Workspace, asked: Sequence[Deployment], before: Mapping[str, Traffic]) -> dict[str, Traffic]:
    """Ask these deployments' servers at once what they answered, by name: since `before`, or since they started."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = pool.map(lambda one: traffic(workspace, one, before.get(one.name)), asked)
        return {one.deployment: one for one in told}
