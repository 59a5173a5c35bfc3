"""From the names that people type to records, frames and scorers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import Act, build, release
from mlops_tui.errors import InvalidInput, NotFound, unknown
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import valid_name
from mlops_tui.records import (
    Calibration,
    DatasetVersion,
    ModelVersion,
    Run,
    RunDetails,
    Signature,
    Transform,
    from_json,
)

if TYPE_CHECKING:
    import polars as pl

    from mlops_tui.config import PipelineFile, Target
    from mlops_tui.core.metrics import Answers
    from mlops_tui.core.scoring import Scorer

REFERENCE = re.compile(r"(?P<name>[^:@]+)(?::(?P<version>\d+)|@(?P<alias>[^:@]+))?")


def parse(noun: str, reference: str) -> tuple[str, int | None, str | None]:
    """Return (name, version, alias) of `name`, `name:3` or `name@alias`; raises InvalidInput for anything else."""
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise InvalidInput(f"{reference!r} names no {noun}; write NAME, NAME:VERSION or NAME@ALIAS")
    version = int(match["version"]) if match["version"] else None
    if version is not None and version > 2**31 - 1:
        raise InvalidInput(f"{reference!r} names no {noun}: there are no versions that high")
    return valid_name(noun, match["name"]), version, match["alias"]


def dataset_version(workspace: Workspace, reference: str) -> DatasetVersion:
    """Return the dataset version that `flights` (the newest) or `flights:4` names; raises NotFound."""
    name, number, alias = parse("dataset", reference)
    if alias:
        raise InvalidInput(f"datasets have no aliases: write {name} or {name}:VERSION")
    with workspace.catalogue.read() as act:
        found = build.dataset_version(act, name, number)
        if found is None:
            _no_version(act, "dataset", name, number, build.dataset_names(act))
    assert found is not None
    return found


def model_version(workspace: Workspace, reference: str, *, newest: bool = False) -> ModelVersion:
    """Return the model version that a reference names; a bare name is the live one, else the champion, else the newest.

    `newest` makes a bare name the newest version: for acts on what has not gone live yet.
    """
    name, number, alias = parse("model", reference)
    with workspace.catalogue.read() as act:
        known = release.aliases(act, name)
        if alias is not None:
            if (name, alias) not in known:
                raise unknown("alias", f"{name}@{alias}", [f"{name}@{a}" for _, a in known])
            number = known[name, alias]
        elif number is None and not newest:
            number = known.get((name, "live"), known.get((name, "champion")))
        found = build.model_version(act, name, number)
        if found is None:
            _no_version(act, "model", name, number, build.model_names(act))
    assert found is not None
    return found


def _no_version(act: Act, noun: str, name: str, number: int | None, names: list[str]) -> None:
    if name in names and number is not None:
        newest = build.next_version(act, f"{noun}_versions", noun, name) - 1
        raise NotFound(f"no {noun} '{name}:{number}'; the newest version is {newest}", f"mlops {noun}s list")
    raise unknown(noun, name, names, f"mlops {noun}s list")


def run(workspace: Workspace, prefix: str) -> Run:
    """Return the run whose id starts with `prefix`; raises NotFound, or InvalidInput if several do."""
    if not re.fullmatch(r"[0-9a-f]{1,12}", prefix):
        raise InvalidInput(f"{prefix!r} is no run id: ids are up to 12 hex digits", "mlops runs list")
    with workspace.catalogue.read() as act:
        found = build.runs_by_prefix(act, prefix)
    if not found:
        raise NotFound(f"no run with an id that starts with '{prefix}'", "mlops runs list")
    if len(found) > 1:
        raise InvalidInput(f"'{prefix}' is not unique: {', '.join(item.id for item in found)}")
    return found[0]


def pipeline(workspace: Workspace, name: str) -> tuple[PipelineFile, Path]:
    """Return a pipeline and its file, by its name or by the path of its file."""
    from mlops_tui.config import load_pipeline

    if name.endswith(".toml"):
        path = Path(name)
        path = path if path.exists() else workspace.root / name
        return load_pipeline(path), path
    valid_name("pipeline", name)
    path = workspace.root / "pipelines" / f"{name}.toml"
    if path.exists():
        found = load_pipeline(path)
        if found.name == name:
            return found, path
    files = {_name_in(file): file for file in sorted((workspace.root / "pipelines").glob("*.toml"))}
    if name not in files:
        raise unknown("pipeline", name, files, "mlops pipelines list")
    return load_pipeline(files[name]), files[name]


def _name_in(path: Path) -> str:
    """The name that a pipeline file gives itself, read without checking the rest of it."""
    import tomllib

    try:
        section = tomllib.loads(path.read_text(encoding="utf-8")).get("pipeline")
        return str(section["name"]) if isinstance(section, dict) and "name" in section else path.stem
    except (OSError, ValueError):
        return path.stem


def pipeline_files(workspace: Workspace) -> dict[str, Path]:
    """Return the file of every pipeline in the workspace, by the pipeline's name."""
    return {_name_in(file): file for file in sorted((workspace.root / "pipelines").glob("*.toml"))}


def scorer(workspace: Workspace, version: ModelVersion) -> Scorer:
    """Return a model version ready to score, every piece checked against its hash."""
    from mlops_tui.core import scoring

    get = workspace.objects.get
    calibration = from_json(get(version.calibration), Calibration) if version.calibration else None
    transform, signature = from_json(get(version.transform), Transform), from_json(get(version.signature), Signature)
    return scoring.load(get(version.booster).decode(), transform, signature, calibration)


def signature(workspace: Workspace, version: ModelVersion) -> Signature:
    """Return what a model version takes and answers."""
    return from_json(workspace.objects.get(version.signature), Signature)


def frame(workspace: Workspace, version: DatasetVersion, *, lenient: bool = False) -> pl.LazyFrame:
    """Return a dataset version's rows, part by part in order; `lenient` reads broken versions too, types as text."""
    import polars as pl

    from mlops_tui.core import dataset

    paths = [workspace.objects.checked_path(part.hash) for part in version.parts]
    return dataset.unify([pl.scan_parquet(path) for path in paths], version.schema, lenient=lenient)


def rows_in(frame: pl.LazyFrame, rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the rows of one set (train, validation, test) of a model version, in its dataset version's order."""
    import polars as pl

    numbers = rows.filter(pl.col("set") == name).select(pl.col("row")).sort("row")
    return frame.with_row_index("\0row").filter(pl.col("\0row").is_in(numbers["row"].implode())).drop("\0row").collect()


def held_out(
    workspace: Workspace, version: ModelVersion, target: Target, scorer: Scorer
) -> tuple[Answers, pl.DataFrame] | None:
    """Return a model's answers to its labelled test rows, and those rows; raises NotFound without its dataset."""
    from mlops_tui.core import target as targets

    known, rows = test_rows(workspace, version)
    test, _, _ = targets.labelled(rows_in(frame(workspace, known), rows, "test"), target)
    return (targets.answers_for(scorer, test, target), test) if test.height else None


def test_rows(workspace: Workspace, version: ModelVersion) -> tuple[DatasetVersion, pl.DataFrame]:
    """Return the dataset version of a model and its test rows in there, by number; raises NotFound without its data."""
    import polars as pl

    known = dataset_version(workspace, f"{version.dataset}:{version.dataset_version}")
    if known.hash != version.dataset_hash:
        raise NotFound(f"{known.dataset}:{known.version} is not the data that {version.ref} was trained on")
    return known, pl.read_parquet(workspace.objects.checked_path(version.rows)).filter(pl.col("set") == "test")


def learned(
    workspace: Workspace, model: ModelVersion, dataset: DatasetVersion, rows: pl.DataFrame
) -> pl.DataFrame | None:
    """Return those of a dataset version's rows that a model learned from, to train, to stop or to calibrate.

    A row is known by its part, wherever that stands in either dataset version; one that came again in a rewritten file
    is not. None if the model's data is not in this workspace.
    """
    import polars as pl

    try:
        old = dataset_version(workspace, f"{model.dataset}:{model.dataset_version}")
    except NotFound:
        return None
    if old.hash != model.dataset_hash:  # a model from elsewhere, whose dataset has the name of one of ours
        return None
    taught = pl.read_parquet(workspace.objects.checked_path(model.rows)).filter(pl.col("set") != "test")
    return _places(dataset, rows).join(_places(old, taught), on=["part", "at"], how="semi").select("row")


def _places(dataset: DatasetVersion, rows: pl.DataFrame) -> pl.DataFrame:
    """The part of each row, by hash, and its number in there."""
    import polars as pl

    hashes = [part.hash for part in dataset.parts]
    sizes = pl.Series([part.rows for part in dataset.parts], dtype=pl.Int64)
    parts = pl.DataFrame({"part": hashes, "from": sizes.cum_sum() - sizes}).set_sorted("from")
    # of parts without rows the last one that begins there is found, which is the one that has them
    placed = rows.select(pl.col("row").cast(pl.Int64)).sort("row").join_asof(parts, left_on="row", right_on="from")
    return placed.select("row", "part", at=pl.col("row") - pl.col("from"))


def run_details(workspace: Workspace, run: Run) -> RunDetails:
    """Return what a completed run left behind; raises NotFound for a run that left nothing."""
    if run.details is None:
        raise NotFound(f"run {run.id} is {run.status} and left no results", f"mlops runs logs {run.id}")
    return from_json(workspace.objects.get(run.details), RunDetails)
