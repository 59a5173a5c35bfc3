"""How steps of a cycle and the state of all pipelines read on a screen."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mlops_tui.cli.output import paint, table
from mlops_tui.texts.cells import MARKS, cell

if TYPE_CHECKING:
    from mlops_tui.flows.planning import Step
    from mlops_tui.flows.status import PipelineStatus

STEPS = {"run": "▶", "skip": "·", "wait": "…", "blocked": "✗"}
COLUMNS = ("pipeline", "data", "model", "champion", "watch", "rules", "next")
LABEL = 8  # columns for what a sentence is about


def steps_text(steps: Sequence[Step]) -> str:
    """Steps, one a line."""
    return "\n".join(f"{STEPS[step.action]} {step.step:<9} {step.action:<8} {step.reason}" for step in steps)


def status_text(found: Sequence[PipelineStatus]) -> str:
    """A line a pipeline, then its sentences: on a terminal those that somebody should read, elsewhere all."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns
    parts = [table(COLUMNS, [_row(one) for one in found], "no pipelines yet; next: mlops pipelines new NAME SOURCE")]
    for one in found:
        said = [f"  {label:<{LABEL}} {cell(text)}" for label, text, calls in _sentences(one) if calls or not terminal]
        if terminal:
            said = [textwrap.fill(line, width, subsequent_indent=" " * (LABEL + 3)) for line in said]
        if said:
            parts.append("\n".join([paint(one.name, "1"), *said]))
    return "\n\n".join(parts)


def _row(one: PipelineStatus) -> tuple[object, ...]:
    from mlops_tui.flows.status import next_step

    step = next_step(one.plan) if one.plan else None
    live = f" {one.live_value:.3f}" if one.live_value is not None else ""
    return (
        one.name, one.dataset, _version(one.model, one.model_state), _version(one.champion, one.deployment_state),
        f"{MARKS[one.watch_state]}{live}" if one.watch_state else None,
        one.decided.partition(":")[0] if one.decided else None,
        "✗ the file" if one.error else f"{STEPS[step.action]} {step.step}" if step else "nothing",
    )  # fmt: skip


def _version(reference: str | None, state: str | None) -> str | None:
    """A version of the pipeline's model, and its state."""
    number = f":{reference.rpartition(':')[2]}" if reference else ""
    return f"{number} {state or ''}".strip() or None


def _sentences(one: PipelineStatus) -> Iterator[tuple[str, str, bool]]:
    """Yield what a sentence is about, the sentence, and whether it calls for somebody."""
    if one.dataset:
        yield "data", f"{one.dataset}, {one.rows:,} rows, {one.dataset_state}", False
    if one.model:
        tested = f", test {one.metric} {one.value:.4f}" if one.value is not None else ""
        yield "model", f"{one.model} {one.model_state}{tested}", False
    if one.champion_since:
        yield "champion", one.champion_since, one.champion != one.model
    if one.deployment:
        yield "serves", f"{one.deployment} {one.deployment_state}{f' at {one.url}' if one.url else ''}", False
    if one.beside:
        yield "beside", one.beside, False
    if one.watch:
        live = f"; live {one.live_metric} {one.live_value:.4f}" if one.live_value is not None else ""
        yield "watch", one.watch + live, one.watch_state in ("warn", "fail")
    if one.decided:
        yield "rules", one.decided, one.decided_state in ("warn", "due")
    yield "next", one.error or one.next, bool(one.error) or one.next != "nothing to do"
    if one.error and one.next:
        yield "", one.next, True
