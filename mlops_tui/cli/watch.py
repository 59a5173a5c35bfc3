"""Commands of the act watch: labels, monitor, rules, agent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mlops_tui.cli import monitor_texts, output, rules_texts
from mlops_tui.cli.output import JsonFlag, LimitOption

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
labels = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="What really happened.")
monitor = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="What predictions show.")
rules = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="When the cycle runs again.")
agent = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="What closes the loop.")
app.add_typer(labels, name="labels")
app.add_typer(monitor, name="monitor")
app.add_typer(rules, name="rules")
app.add_typer(agent, name="agent")

DeploymentArgument = Annotated[str, typer.Argument(help="The deployment's name.")]
PipelineArgument = Annotated[str, typer.Argument(help="A pipeline's name, or the path of its file.")]
FromOption = Annotated[str | None, typer.Option("--from", help="From this moment on: 2013-05-01 or 2013-05-01T12:00Z.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Up to this moment, not including it.")]
FailFlag = Annotated[bool, typer.Option("--fail", help="Exit 1 if the newest judged window drifted or is faulty.")]


def moment(option: str, text: str | None) -> datetime | None:
    """Return the moment that a text says, in UTC where it says no zone; raises InvalidInput."""
    from mlops_tui.errors import InvalidInput

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{option} {text!r} is no moment: write 2013-05-01 or 2013-05-01T12:00Z") from None
    if not 1900 <= found.year < 2200:
        raise InvalidInput(f"{option} {text!r}: the years from 1900 to 2199 can be asked for")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


# ── labels ───────────────────────────────────────────────────────────────────────────────────────


@labels.command("add")
def labels_add(
    deployment: DeploymentArgument,
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON lines: request_id or the key, and the label.")],
    as_json: JsonFlag = False,
) -> None:
    """Add what really happened; the last label of a row stands, and none is lost."""
    from mlops_tui.flows.watch import labels as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.add(workspace, deployment, file)
    output.emit(found, as_json, lambda: monitor_texts.labels_text(found))


# ── monitor ──────────────────────────────────────────────────────────────────────────────────────


@monitor.command("run")
def monitor_run(
    deployment: DeploymentArgument,
    start: FromOption = None,
    end: ToOption = None,
    window: Annotated[str | None, typer.Option(help="A window's length, as in 7d; else the pipeline's.")] = None,
    fail: FailFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Gather predictions and measure every window; rules read no report of a range or a window of its own."""
    from mlops_tui.flows.watch import monitor as flow

    asked = flow.Range(moment("--from", start), moment("--to", end), window)
    with output.workspace(as_json=as_json) as workspace:
        found = flow.run(workspace, deployment, asked)
    output.emit(found, as_json, lambda: monitor_texts.report_text(found))
    newest = flow.newest_judged(found.windows)
    wrong = [*newest.faults, *(f"{name} drifted" for name in newest.drifted)] if fail and newest else []
    if newest and wrong:
        output.note(f"failed: in the window from {newest.start:%Y-%m-%d}: {', '.join(wrong)}")
    raise typer.Exit(1 if wrong else 0)


@monitor.command("list")
def monitor_list(
    deployment: Annotated[str | None, typer.Argument(help="Only this deployment's reports.")] = None,
    limit: LimitOption = 20,
    as_json: JsonFlag = False,
) -> None:
    """List monitor reports, newest first."""
    from mlops_tui.flows.watch import monitor as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.reports(workspace, deployment, limit)
    output.emit({"items": found}, as_json, lambda: monitor_texts.reports_text(found))


@monitor.command("show")
def monitor_show(
    report: Annotated[str, typer.Argument(help="A deployment (its newest report), or a report's id.")],
    as_json: JsonFlag = False,
) -> None:
    """Draw a report: features by window as a heat map, the worst first, and the newest judged window in words."""
    from mlops_tui.flows.watch import monitor as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.report(workspace, report)
    output.emit(found, as_json, lambda: monitor_texts.report_text(found))


@monitor.command("feature")
def monitor_feature(
    report: Annotated[str, typer.Argument(help="A deployment (its newest report), or a report's id.")],
    feature: Annotated[str, typer.Argument(help="A column that the model reads, or prediction.")],
    window: Annotated[
        list[str] | None,
        typer.Option(help="A window's start, as 2013-05-01; may be said again. Else the newest judged."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show one feature in windows of a report beside the reference: shares by bin or label, what is missing, drift."""
    from mlops_tui.cli import curves_texts
    from mlops_tui.flows.watch import feature as flow

    starts = [start for text in window or [] if (start := moment("--window", text)) is not None]
    with output.workspace(as_json=as_json) as workspace:
        found = flow.feature(workspace, report, feature, starts)
    output.emit(found, as_json, lambda: curves_texts.feature_text(found))


# ── rules ────────────────────────────────────────────────────────────────────────────────────────


@rules.command("check")
def rules_check(pipeline: PipelineArgument, as_json: JsonFlag = False) -> None:
    """Evaluate all rules of a pipeline and say of each its value, threshold, verdict and why; the decision is kept."""
    from mlops_tui.flows.watch import rules as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.check(workspace, pipeline)
    output.emit(found, as_json, lambda: rules_texts.decision_text(found))


@rules.command("list")
def rules_list(
    pipeline: Annotated[str | None, typer.Argument(help="Only this pipeline's rules.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the rules of pipelines, each with its last verdict."""
    from mlops_tui.flows.watch import rules as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.listed(workspace, pipeline)
    items = [
        {"pipeline": settings.name, "default": settings.rules is None, "policy": settings.policy.model_dump(),
         "rules": [{"rule": one.label, **one.model_dump(exclude_unset=True)} for one in settings.rule_set.chosen],
         "last": decision}
        for settings, decision in found
    ]  # fmt: skip
    output.emit({"items": items}, as_json, lambda: rules_texts.rules_text(found))


@rules.command("history")
def rules_history(
    pipeline: Annotated[str | None, typer.Argument(help="Only this pipeline's decisions.")] = None,
    fired: Annotated[bool, typer.Option("--fired", help="Only those that fired.")] = False,
    limit: LimitOption = 20,
    as_json: JsonFlag = False,
) -> None:
    """List decisions, newest first: why a pipeline was retrained, or was not."""
    from mlops_tui.flows.watch import rules as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.history(workspace, pipeline, True if fired else None, limit)
    output.emit({"items": found}, as_json, lambda: rules_texts.decisions_text(found))


@rules.command("show")
def rules_show(
    decision: Annotated[str, typer.Argument(help="A decision's id, or its beginning.")], as_json: JsonFlag = False
) -> None:
    """Show one decision with every rule's reason, and what came of it."""
    from mlops_tui.flows.watch import rules as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.decision(workspace, decision)
    output.emit(found, as_json, lambda: rules_texts.decision_text(found))


@rules.command("backtest")
def rules_backtest(
    pipeline: PipelineArgument,
    policy: Annotated[list[str] | None, typer.Option(help="NAME=FILE with [[rules]], [policy].")] = None,
    start: FromOption = None,
    end: ToOption = None,
    step: Annotated[str | None, typer.Option(help="A step's length: 7d, 1mo; else the pipeline's window.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write every policy's windows to this parquet file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Replay history under several rule sets, and recommend one."""
    from mlops_tui.flows import backtest as flow

    span = moment("--from", start), moment("--to", end)
    if out is not None:
        check_target("--out", out)
    with output.workspace(as_json=as_json) as workspace:
        found = flow.run(workspace, pipeline, policies(policy or []), *span, step)
        if out is not None:
            flow.write(found, out)
    output.emit(found, as_json, lambda: rules_texts.backtest_text(found))


def check_target(option: str, path: Path) -> None:
    """Raise InvalidInput, before anything is computed for it, where no file can be written."""
    from mlops_tui.errors import InvalidInput

    if path.is_dir():
        raise InvalidInput(f"{option} {path} is a folder: name a file")
    if not path.parent.is_dir():
        raise InvalidInput(f"{option} {path}: there is no folder {path.parent}")


def policies(given: list[str]) -> dict[str, Path]:
    """Return the files of NAME=FILE options by name; raises InvalidInput."""
    from mlops_tui.errors import InvalidInput

    found: dict[str, Path] = {}
    for text in given:
        name, separator, path = text.partition("=")
        if not separator or not name or not path:
            raise InvalidInput(f"--policy {text!r}: write NAME=FILE, as in often=rules/often.toml")
        if name in found:
            raise InvalidInput(f"--policy names '{name}' twice")
        found[name] = Path(path)
    return found


# ── the agent ────────────────────────────────────────────────────────────────────────────────────


@agent.command("run")
def agent_run(
    once: Annotated[bool, typer.Option("--once", help="Do one wake and end, as for cron.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Work for this workspace until stopped: refresh, gather, monitor, ask the rules, run cycles, keep servers up."""
    from mlops_tui import agent as face
    from mlops_tui.flows.watch import agent_file
    from mlops_tui.flows.workspace import open_workspace

    workspace = open_workspace(output.settings.directory)
    code = face.run(workspace, once, quiet=as_json or output.settings.quiet)
    output.emit(agent_file.status(workspace), as_json, "")
    raise typer.Exit(code)


@agent.command("status")
def agent_status(as_json: JsonFlag = False) -> None:
    """Show whether the agent works, what it does, what it last did, and what it could not deliver."""
    from mlops_tui.flows.watch import agent_file

    with output.workspace(as_json=as_json) as workspace:
        found = agent_file.status(workspace)
    output.emit(found, as_json, lambda: rules_texts.agent_text(found))


@agent.command("install")
def agent_install(
    system: Annotated[bool, typer.Option("--system", help="A unit of the system's, shown for root to write.")] = False,
    show: Annotated[bool, typer.Option("--print", help="Show the unit and write nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write the systemd unit that keeps the agent running, and say how to start it."""
    from mlops_tui import agent as face

    with output.workspace(as_json=as_json) as workspace:
        found = face.install(workspace, system=system, write=not (show or system))
    head = f"wrote {found.path}" if found.written else f"{found.path}:\n\n{found.text}"
    value = {"path": str(found.path), "text": found.text, "written": found.written, "next": found.next}
    output.emit(value, as_json, "\n".join([head, "next:", *(f"  {line}" for line in found.next)]))
