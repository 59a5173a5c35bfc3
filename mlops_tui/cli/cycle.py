"""Commands of the cycle itself: init, demo, doctor, plan, run, status."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_tui.cli import cycle_texts as texts
from mlops_tui.cli import output
from mlops_tui.cli.output import JsonFlag

if TYPE_CHECKING:
    from mlops_tui.flows.cycle import Done
    from mlops_tui.flows.demo import Demo

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
PipelineArgument = Annotated[str, typer.Argument(help="A pipeline's name, or the path of its file.")]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="The folder; made if it is not there.")] = Path(),
    group: Annotated[str | None, typer.Option(help="The Unix group that shares the workspace.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a workspace in a folder; running it again changes nothing."""
    from mlops_tui.flows.workspace import init as make

    workspace, is_new = make(directory, group)
    text = f"{'made' if is_new else 'already'} a workspace: {workspace.root}\nnext: mlops pipelines new NAME SOURCE"
    output.emit({"workspace": str(workspace.root), "created": is_new}, as_json, text)


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(help="The folder of the demo's workspace.")] = Path("demo"),
    as_json: JsonFlag = False,
) -> None:
    """Run the whole cycle on the sample data: two batches, a challenger, a served answer."""
    from mlops_tui.flows import demo as flow

    with output.progress(as_json) as report:
        done = flow.run(directory, (lambda _: None) if as_json else output.note, report)
    output.emit(done, as_json, lambda: _demo_text(done, directory))


def _demo_text(done: Demo, directory: Path) -> str:
    from mlops_tui.cli.release_texts import report_text

    shown = [
        (
            row.get("carrier"),
            row.get("dest"),
            row.get("sched_dep_time"),
            answer["probability"],
            answer["prediction"],
            late,
        )
        for row, answer, late in zip(done.rows, done.answer["predictions"], done.truth, strict=True)
    ]
    program = "mlops" if shutil.which("mlops") else sys.argv[0]
    approved = "approved" if done.approved else "NOT approved"
    columns = ("carrier", "to", "leaves at", "P(late)", "predicted late", "was late")
    return "\n".join([
        texts.steps_text(done.first.steps), "", texts.steps_text(done.second.steps), "",
        report_text(done.report), "",
        f"POST {done.url}/predict → {done.answer['model']}, {approved}, answered request {done.answer['request_id']}",
        output.table(columns, shown, "no rows"), "",
        "try next:",
        f"  {program} -C {directory} status",
        f"  {program} -C {directory} models show flight-delay",
        f"  {program} -C {directory} deployments start flight-delay",
        f"  {program} -C {directory} rules check flight-delay",
        f"  {program} -C {directory} rules backtest flight-delay --step 14d",
    ])  # fmt: skip


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Check the workspace, its catalogue and this machine; exit 1 if something is wrong."""
    from mlops_tui.flows import keep

    with output.workspace(as_json=as_json) as workspace:
        found = keep.examine(workspace)
    ok = all(item.ok for item in found)
    lines = [f"{output.mark(item.ok)} {item.check:<12} {item.text}" for item in found]
    output.emit({"ok": ok, "items": found}, as_json, "\n".join(lines))
    raise typer.Exit(0 if ok else 1)


@app.command()
def plan(pipeline: PipelineArgument, as_json: JsonFlag = False) -> None:
    """Say which steps of a pipeline would run, and why; changes nothing."""
    from mlops_tui.flows import cycle

    with output.workspace(as_json=as_json) as workspace:
        made = cycle.plan(workspace, pipeline)
    value = {"pipeline": made.pipeline, "id": made.id, "due": made.due, "steps": made.steps}
    end = f"next: mlops run {made.pipeline}" if made.due else "nothing to do"
    output.emit(value, as_json, lambda: f"plan {made.id} of {made.pipeline}\n{texts.steps_text(made.steps)}\n{end}")


@app.command()
def run(
    pipeline: PipelineArgument,
    plan: Annotated[str | None, typer.Option(help="Refuse if the state is not that of this plan any more.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the steps of a pipeline that are due; exit 1 if a contract or a gate says no."""
    from mlops_tui.flows import cycle

    with output.workspace(as_json=as_json) as workspace:
        done = cycle.apply(workspace, pipeline, plan)
    output.emit(done, as_json, lambda: _done_text(done))
    raise typer.Exit(1 if done.refused else 0)


def _done_text(done: Done) -> str:
    lines = [texts.steps_text(done.steps)]
    if not done.changed:
        lines.append("nothing to do: everything is up to date" if not _stuck(done) else "nothing was done")
    if any(step.action == "wait" for step in done.steps):
        lines.append(f"next: mlops models approve {done.model} --comment …, then mlops run {done.pipeline}")
    for step in done.refused:
        shown = f"datasets show {done.dataset}" if step.step in ("data", "train") else f"models show {done.model}"
        lines.append(f"next: mlops {shown}")
    return "\n".join(dict.fromkeys(lines))


def _stuck(done: Done) -> bool:
    return bool(done.refused) or any(step.action == "wait" for step in done.steps)


@app.command()
def status(as_json: JsonFlag = False) -> None:
    """Show every pipeline on one screen: data, model, champion, what serves, what it waits for."""
    from mlops_tui.flows import status as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.status(workspace)
    output.emit({"items": found}, as_json, lambda: texts.status_text(found))
