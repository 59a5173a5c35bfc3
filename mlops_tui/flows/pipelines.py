"""Pipeline files: a first one written from what the data looks like, listed, shown, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_tui.config import Data, PipelineFile, load_pipeline
from mlops_tui.errors import InvalidInput, MlopsError, NotFound, Refused, near_miss
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import valid_name

if TYPE_CHECKING:
    import polars as pl

TEMPLATE = """\
# What this pipeline predicts, from what, and when that is good enough. docs/pipeline-file.md explains every key.
[pipeline]
name = "{name}"

[data]
dataset = "{name}"
source = {source}
{time}{key}
[data.checks]                     # a version that breaks these is kept, marked, and not trained on
min_rows = {min_rows}

[target]
column = {target}
task = "{task}"
{positive}
[features]
exclude = {exclude}

[split]
method = "{method}"
test = 0.2
validation = 0.15

[train]
rounds = 500
early_stopping = 50
seed = 7

[[gates]]                         # against the champion, on the same rows: not worse by more than the margin,
                                  # which is in the metric's own unit
metric = "{metric}"
versus = "champion"
margin = {margin}
[[gates]]                         # a feature that alone nearly decides the target is probably known only afterwards
check = "leak"

[approval]
mode = "manual"
reviewers = 1                     # people other than who started the run; 0: anyone

# [serve]                         # with this section the cycle serves its champion
# port = 3000
"""
HEADLINE = {"binary": "auc", "multiclass": "auc", "regression": "rmse"}


@dataclass(frozen=True, slots=True)
class Made:
    """A pipeline file that was written, what it predicts, and what to look at in it."""

    path: Path
    target: str
    task: str
    notes: tuple[str, ...]


def data_section(name: str, source: str, key: list[str], time: str | None) -> Data:
    """Return the [data] section of a dataset that no pipeline has yet."""
    return Data(dataset=valid_name("dataset", name), source=source, key=key, time=time)


def new(workspace: Workspace, name: str, source: str, target: str | None) -> Made:
    """Write `pipelines/NAME.toml` from a look at the source's first file; raises Refused if it is there already."""
    from mlops_tui.adapters import sources

    path = workspace.root / "pipelines" / f"{valid_name('pipeline', name)}.toml"
    if path.exists():
        raise Refused(f"{path} is there already", f"mlops pipelines show {name}")
    frame = sources.read(sources.discover(source, workspace.root)[0])
    column = target or frame.columns[-1]
    if column not in frame.columns:
        raise InvalidInput(f"no column '{column}'{near_miss(column, frame.columns)}")
    task, positive = _task(frame[column])
    time, key, identities = _roles(frame, column)
    text = TEMPLATE.format(
        name=name, source=_quote(source), target=_quote(column), task=task,
        positive=f"positive = {positive}\n" if positive else "",
        time=f"time = {_quote(time)}\n" if time else "", key=f"key = [{_quote(key)}]\n" if key else "",
        exclude="[" + ", ".join(map(_quote, identities)) + "]", method="time" if time else "random",
        min_rows=max(1, frame.height // 2), metric=HEADLINE[task],
        margin=0.002 if HEADLINE[task] == "auc" else _margin(frame[column]),
    )  # fmt: skip
    path.write_text(text, encoding="utf-8")
    load_pipeline(path)
    notes = [f"event time: {time or 'none found'}", f"key: {key or 'none found'}"]
    notes += [f"left out as an identity: {', '.join(identities)}"] if identities else []
    return Made(path, column, task, tuple(notes))


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _task(column: pl.Series) -> tuple[str, str | None]:
    """Guess the task from the target's values, and which label counts as 1."""
    import polars as pl

    values = column.drop_nulls()
    distinct = values.n_unique()
    if column.dtype == pl.Boolean:
        return "binary", None
    if distinct == 2:
        labels = values.unique().sort().to_list()
        if labels == [0, 1]:
            return "binary", None
        return "binary", _quote(labels[1]) if isinstance(labels[1], str) else str(labels[1])
    if column.dtype.is_numeric() and (column.dtype.is_float() or distinct > 20):
        return "regression", None
    return "multiclass", None


def _roles(frame: pl.DataFrame, target: str) -> tuple[str | None, str | None, list[str]]:
    """Guess the event time, the key, and text columns that name a row rather than describe it."""
    import polars as pl

    others = [column for column in frame if column.name != target]
    time = next((c.name for c in others if isinstance(c.dtype, pl.Datetime | pl.Date) and not c.null_count()), None)
    whole = [
        c for c in others if not c.null_count() and c.dtype in (pl.String, pl.Int64) and c.n_unique() == frame.height
    ]
    key = next((c.name for c in whole if c.name.lower().endswith("id")), None)
    names = [c.name for c in others if c.dtype == pl.String and c.n_unique() > 0.5 * frame.height and c.name != key]
    return time, key, names


def _margin(column: pl.Series) -> float:
    """One percent of the target's spread."""
    spread = column.drop_nulls().std()
    return float(f"{0.01 * spread:.2g}") if isinstance(spread, int | float) else 0.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A pipeline file, or what is wrong with it."""

    name: str
    path: str
    task: str | None = None
    target: str | None = None
    dataset: str | None = None
    error: str | None = None


def list_pipelines(workspace: Workspace) -> list[Listed]:
    """Return the workspace's pipeline files, by name."""
    found = []
    for name, path in sorted(lookup.pipeline_files(workspace).items()):
        try:
            made = load_pipeline(path)
            found.append(
                Listed(name, workspace.relative(path), made.target.task, made.target.column, made.data.dataset)
            )
        except MlopsError as error:
            found.append(Listed(name, workspace.relative(path), error=error.message))
    return found


def show(workspace: Workspace, name: str) -> tuple[str, str, dict[str, Any]]:
    """Return a pipeline's name, its file, and every key with its value, defaults too."""
    settings, path = lookup.pipeline(workspace, name)
    return settings.name, workspace.relative(path.resolve()), settings.model_dump()


def check(workspace: Workspace, name: str) -> tuple[str, list[str]]:
    """Check a pipeline file, and that the dataset, or else the source's first file, has its columns.

    Returns the name and notes; raises InvalidInput with every mistake.
    """
    settings, path = lookup.pipeline(workspace, name)
    notes = ["no [[rules]]: the default rule, gain, decides"] if settings.rules is None else []
    wrong = column_mistakes(settings, _columns(workspace, settings))
    if wrong:
        raise InvalidInput(f"{workspace.relative(path.resolve())}: " + "\n  ".join(wrong), "mlops datasets show")
    return settings.name, notes


def _columns(workspace: Workspace, settings: PipelineFile) -> list[str]:
    """The dataset's columns, or those of the source's first file where there is no version yet."""
    try:
        version = lookup.dataset_version(workspace, settings.data.dataset)
    except NotFound:
        from mlops_tui.adapters import sources

        return sources.read(sources.discover(settings.data.source, workspace.root)[0]).columns
    return [column.name for column in version.schema]


def column_mistakes(settings: PipelineFile, known: Sequence[str]) -> list[str]:
    """Return what a pipeline names and the dataset does not have, each with its key and the nearest column."""
    derived = settings.features.derive
    named: dict[str, Sequence[str | None]] = {
        "data.time": [settings.data.time], "data.key": settings.data.key, "target.column": [settings.target.column],
        "target.query": [settings.target.query], "target.weight": [settings.target.weight],
        "features.include": settings.features.include or [], "features.exclude": settings.features.exclude,
        "split.column": [settings.split.column], "gates.slice": [gate.slice for gate in settings.gates],
    }  # fmt: skip
    wrong = [
        f"{key}: no column '{column}'{near_miss(column, known)}"
        for key, columns in named.items()
        for column in columns
        if column is not None and column not in known
    ]
    either = (("monotone", list(settings.features.monotone)), ("categorical", settings.features.categorical))
    return wrong + [
        f"features.{key}: no column '{column}'{near_miss(column, [*known, *derived])}"
        for key, columns in either
        for column in columns
        if column not in known and column not in derived
    ]
