"""Commands of the act build: datasets, pipelines, runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_tui.cli import build_texts as texts
from mlops_tui.cli import output
from mlops_tui.cli.output import JsonFlag, LimitOption, YesFlag

if TYPE_CHECKING:
    from mlops_tui.flows.build.datasets import Refreshed
    from mlops_tui.records import DatasetVersion

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
datasets = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Datasets and their versions.")
pipelines = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Pipeline files.")
runs = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Training runs.")
app.add_typer(datasets, name="datasets")
app.add_typer(pipelines, name="pipelines")
app.add_typer(runs, name="runs")

DatasetArgument = Annotated[str, typer.Argument(help="NAME (the newest version) or NAME:VERSION.")]
RunArgument = Annotated[str, typer.Argument(help="A run's id, or the first characters of it.")]
PipelineArgument = Annotated[str, typer.Argument(help="A pipeline's name, or the path of its file.")]

# ── datasets ─────────────────────────────────────────────────────────────────────────────────────


@datasets.command("add")
def datasets_add(
    name: Annotated[str, typer.Argument(help="The dataset's name.")],
    source: Annotated[str, typer.Argument(help="A file, a folder or a glob: CSV, Parquet, JSONL or Arrow.")],
    key: Annotated[list[str] | None, typer.Option(help="A column that identifies a row; may be given again.")] = None,
    time: Annotated[str | None, typer.Option(help="The column of the event's time.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Register a dataset and read its first version; a pipeline's own dataset is registered by its run."""
    from mlops_tui.flows import pipelines as files
    from mlops_tui.flows.build import datasets as flow

    with output.workspace(as_json=as_json) as workspace:
        done = flow.add(workspace, files.data_section(name, source, key or [], time))
    _refreshed(done, as_json)


@datasets.command("refresh")
def datasets_refresh(
    name: Annotated[str, typer.Argument(help="The dataset's name.")], as_json: JsonFlag = False
) -> None:
    """Read what is new or changed in the source; exit 1 if the version breaks its contract."""
    from mlops_tui.flows.build import datasets as flow

    with output.workspace(as_json=as_json) as workspace:
        done = flow.refresh(workspace, flow.settings_of(workspace, name))
    _refreshed(done, as_json)


def _refreshed(done: Refreshed, as_json: bool) -> None:
    version = done.version
    value = {
        "changed": done.changed,
        "reason": done.reason,
        "shared_parts": done.shared_parts,
        **_dataset_keys(version),
    }
    output.emit(value, as_json, lambda: texts.refreshed_text(done))
    raise typer.Exit(1 if version.state == "broken" else 0)


def _dataset_keys(version: DatasetVersion) -> dict[str, Any]:
    return {
        "dataset": version.dataset, "version": version.version, "rows": version.rows, "hash": version.hash,
        "state": version.state, "parts": len(version.parts), "columns": len(version.schema), "source": version.source,
        "author": version.author, "created_at": version.created_at, "findings": version.findings,
    }  # fmt: skip


@datasets.command("list")
def datasets_list(
    name: Annotated[str | None, typer.Argument(help="Only this dataset's versions.")] = None,
    limit: LimitOption = 50,
    as_json: JsonFlag = False,
) -> None:
    """List dataset versions, newest first."""
    from mlops_tui.flows.build import datasets as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.list_versions(workspace, name, limit)
    columns = ("dataset", "version", "rows", "columns", "parts", "state", "created", "by", "hash")
    rows = [
        (v.dataset, v.version, v.rows, len(v.schema), len(v.parts), v.state, v.created_at, v.author, v.hash[:12])
        for v in found
    ]
    empty = "no datasets yet; next: mlops datasets add NAME SOURCE"
    output.emit({"items": [_dataset_keys(v) for v in found]}, as_json, lambda: output.table(columns, rows, empty))


@datasets.command("show")
def datasets_show(reference: DatasetArgument, as_json: JsonFlag = False) -> None:
    """Show a version: schema, profile, findings, parts."""
    from mlops_tui.flows import lookup
    from mlops_tui.flows.build import datasets as flow

    with output.workspace(as_json=as_json) as workspace:
        version = lookup.dataset_version(workspace, reference)
        profile = flow.profile_of(workspace, version)
    value = {**_dataset_keys(version), "schema": version.schema, "profile": profile.columns, "parts": version.parts}
    output.emit(value, as_json, lambda: texts.dataset_text(version, profile))


@datasets.command("diff")
def datasets_diff(
    old: DatasetArgument,
    new: Annotated[str | None, typer.Argument(help="The other version; by default the newest.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare two versions: schema, rows, and how far every column moved."""
    from mlops_tui.flows import lookup
    from mlops_tui.flows.build import datasets as flow

    with output.workspace(as_json=as_json) as workspace:
        before = lookup.dataset_version(workspace, old)
        found = flow.diff(workspace, before, lookup.dataset_version(workspace, new or before.dataset))
    value = {
        "old": f"{found.old.dataset}:{found.old.version}", "new": f"{found.new.dataset}:{found.new.version}",
        "rows": [found.old.rows, found.new.rows], "added_columns": found.added_columns,
        "removed_columns": found.removed_columns, "changed_types": found.changed_types,
        "shared_parts": found.shared_parts, "shifts": found.shifts,
    }  # fmt: skip
    output.emit(value, as_json, lambda: texts.difference_text(found))


@datasets.command("check")
def datasets_check(
    reference: DatasetArgument,
    pipeline: Annotated[str | None, typer.Option(help="Check against this pipeline's contract.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a version against its contract; exit 1 if it breaks it."""
    from mlops_tui.flows import lookup
    from mlops_tui.flows.build import datasets as flow

    with output.workspace(as_json=as_json) as workspace:
        version = lookup.dataset_version(workspace, reference)
        data = (
            lookup.pipeline(workspace, pipeline)[0].data if pipeline else flow.settings_of(workspace, version.dataset)
        )
        found = flow.check(workspace, version, data)
    broken = any(finding.level == "error" for finding in found)
    value = {"dataset": version.dataset, "version": version.version, "ok": not broken, "items": found}
    output.emit(value, as_json, lambda: texts.findings_text(found) or f"{reference} keeps its contract")
    raise typer.Exit(1 if broken else 0)


@datasets.command("export")
def datasets_export(
    reference: DatasetArgument,
    path: Annotated[Path, typer.Argument(help="The file to write: .parquet, .csv, .jsonl or .arrow.")],
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a version's rows to a file."""
    from mlops_tui.flows import lookup
    from mlops_tui.flows.build import datasets as flow

    output.confirm_overwrite(path, yes)
    with output.workspace(as_json=as_json) as workspace:
        version = lookup.dataset_version(workspace, reference)
        count = flow.export(workspace, version, path)
    value = {"dataset": version.dataset, "version": version.version, "rows": count, "path": str(path)}
    output.emit(value, as_json, f"{count:,} rows of {version.dataset}:{version.version} → {path}")


# ── pipelines ────────────────────────────────────────────────────────────────────────────────────


@pipelines.command("new")
def pipelines_new(
    name: Annotated[str, typer.Argument(help="The pipeline's name, and its model's.")],
    source: Annotated[str, typer.Argument(help="A file, a folder or a glob.")],
    target: Annotated[str | None, typer.Option(help="The column to predict; by default the last.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a pipeline file from what the source looks like, for you to read and change."""
    from mlops_tui.flows import pipelines as flow

    with output.workspace(as_json=as_json) as workspace:
        made = flow.new(workspace, name, source, target)
    value = {"name": name, "path": str(made.path), "target": made.target, "task": made.task, "notes": made.notes}
    lines = [f"wrote {made.path}: predicts '{made.target}' ({made.task})", *made.notes, f"next: mlops plan {name}"]
    output.emit(value, as_json, "\n".join(lines))


@pipelines.command("list")
def pipelines_list(as_json: JsonFlag = False) -> None:
    """List the workspace's pipeline files."""
    from mlops_tui.flows import pipelines as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.list_pipelines(workspace)
    columns = ("pipeline", "task", "target", "dataset", "file", "mistake")
    rows = [(item.name, item.task, item.target, item.dataset, item.path, item.error) for item in found]
    empty = "no pipelines yet; next: mlops pipelines new NAME SOURCE"
    output.emit({"items": found}, as_json, lambda: output.table(columns, rows, empty))


@pipelines.command("show")
def pipelines_show(pipeline: PipelineArgument, as_json: JsonFlag = False) -> None:
    """Show a pipeline with every key, defaults too."""
    from mlops_tui.flows import pipelines as flow

    with output.workspace(as_json=as_json) as workspace:
        name, path, settings = flow.show(workspace, pipeline)
    output.emit({"name": name, "path": path, "settings": settings}, as_json, lambda: texts.settings_text(settings))


@pipelines.command("check")
def pipelines_check(pipeline: PipelineArgument, as_json: JsonFlag = False) -> None:
    """Check a pipeline file, and its columns against the dataset; every mistake at once."""
    from mlops_tui.flows import pipelines as flow

    with output.workspace(as_json=as_json) as workspace:
        name, notes = flow.check(workspace, pipeline)
    output.emit({"name": name, "ok": True, "notes": notes}, as_json, "\n".join([f"{name}: no mistake", *notes]))


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────


@runs.command("list")
def runs_list(
    pipeline: Annotated[str | None, typer.Argument(help="Only this pipeline's runs.")] = None,
    sort: Annotated[str | None, typer.Option(help="A metric: best first; '-METRIC' for worst first.")] = None,
    keep: Annotated[str | None, typer.Option("--filter", help='As in "auc>0.7 status:completed -note".')] = None,
    limit: LimitOption = 50,
    as_json: JsonFlag = False,
) -> None:
    """List runs, newest first."""
    from mlops_tui.flows.build import runs as flow

    with output.workspace(as_json=as_json) as workspace:
        if keep is None:
            found = flow.list_runs(workspace, pipeline, sort, limit)
        else:
            from mlops_tui.flows.queries import lists

            found = lists.run_rows(workspace, lists.runs(workspace, keep, sort or "", pipeline)[:limit])
    text = "no run fits the filter" if keep and not found else None
    output.emit({"items": found}, as_json, text or (lambda: texts.runs_text(found)))


@runs.command("show")
def runs_show(run: RunArgument, as_json: JsonFlag = False) -> None:
    """Show a run: what it trained on, with what, and what came of it."""
    from mlops_tui.flows import lookup
    from mlops_tui.flows.build import runs as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.honest(workspace, lookup.run(workspace, run))
        details = lookup.run_details(workspace, found) if found.details else None
    value = {**{name: getattr(found, name) for name in found.__slots__}, "details": details}
    output.emit(value, as_json, lambda: texts.run_text(found, details))


@runs.command("compare")
def runs_compare(
    run: Annotated[list[str], typer.Argument(help="Two or more runs.")],
    as_json: JsonFlag = False,
) -> None:
    """Put runs side by side: what differs in their settings, and all their metrics."""
    from mlops_tui.core.compare import compare
    from mlops_tui.errors import InvalidInput
    from mlops_tui.flows import lookup

    if len(run) < 2:
        raise InvalidInput("comparing takes two runs or more", "mlops runs list")
    with output.workspace(as_json=as_json) as workspace:
        found = compare([lookup.run(workspace, one) for one in run])
    value = {"runs": [item.id for item in found.runs], "settings": found.settings, "metrics": found.metrics,
             "same_test_rows": found.same_test_rows}  # fmt: skip
    output.emit(value, as_json, lambda: texts.compared_text(found))


@runs.command("logs")
def runs_logs(run: RunArgument, as_json: JsonFlag = False) -> None:
    """Print what a run said while it worked."""
    from mlops_tui.flows import lookup
    from mlops_tui.flows.build import runs as flow

    with output.workspace(as_json=as_json) as workspace:
        lines = flow.log_lines(workspace, lookup.run(workspace, run))
    output.emit({"items": lines}, as_json, lambda: "\n".join(texts.log_line(line) for line in lines))


@runs.command("stop")
def runs_stop(run: RunArgument, as_json: JsonFlag = False) -> None:
    """Interrupt a run that trains, as Ctrl-C does where it was started, and wait until it has ended."""
    from mlops_tui.flows.build import stop as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.stop(workspace, run)
    output.emit(found, as_json, f"run {found.id} of {found.pipeline}: {found.status}")


@runs.command("reproduce")
def runs_reproduce(
    run: RunArgument,
    seed: Annotated[int | None, typer.Option(help="Train with this seed instead.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Train on this dataset version instead.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train again from what the catalogue holds; exit 1 if the model's bytes are not the same."""
    from mlops_tui.flows.build.reproduce import Instead, reproduce

    with output.workspace(as_json=as_json) as workspace:
        done = reproduce(workspace, run, Instead(seed, dataset))
    output.emit(done, as_json, lambda: texts.reproduced_text(done))
    raise typer.Exit(0 if done.identical else 1)
