"""What a challenger in the shadow would have answered, beside what the live model did to the same rows."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.flows.watch import answers
from mlops_tui.flows.watch.predictions import shadow_of
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two model versions agree on the rows that both scored, of what has been gathered.

    `same` is the share of rows with the same predicted class, None for numbers; `difference` the mean absolute
    difference of score or value.
    """

    live: str
    shadow: str
    rows: int
    same: float | None
    difference: float | None


def agreement(workspace: Workspace, item: Deployment, rival: Deployment | None) -> Agreement | None:
    """Compare, row by row, the gathered answers of what serves and of its shadow; None without a shadow."""
    if rival is None or rival.mode != "shadow":
        return None
    live, shadow, deployment = item.ref, rival.ref, item.name
    import polars as pl

    from mlops_tui.core.samples import SCORE

    with workspace.catalogue.read() as act:
        answered, beside = rows.prediction_parts(act, deployment), rows.prediction_parts(act, shadow_of(deployment))
    mine = [answers.scan(workspace, one) for one in answered if f"{one.model}:{one.version}" == live]
    theirs = [answers.scan(workspace, one) for one in beside if f"{one.model}:{one.version}" == shadow]
    if not (mine and theirs):
        return Agreement(live, shadow, 0, None, None)
    first, second = pl.concat(mine), pl.concat(theirs)
    once = ["__request", "__row"]  # a client may send one id again and again
    both = first.unique(once, keep="last").join(second.unique(once, keep="last"), on=once, suffix="_shadow")
    score = f"{SCORE}_shadow"
    names = both.collect_schema().names()
    gap = (pl.col(SCORE) - pl.col(score)).abs().mean() if score in names else pl.lit(None, pl.Float64)
    same = (pl.col("__prediction") == pl.col("__prediction_shadow")).mean()
    count, alike, difference = both.select(pl.len(), same.alias("same"), gap.alias("gap")).collect().row(0)
    return Agreement(live, shadow, count, alike, difference)
