"""labels: what really happened, late: from files and from clients, kept as history, joined to predictions when read.

A label that comes before its prediction is gathered is joined later, as one is that the pipeline's own data brings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import build
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.errors import InvalidInput, NotFound, near_miss
from mlops_tui.flows import lookup
from mlops_tui.flows.watch import answers, predictions
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Column, DatasetVersion, LabelPart, LabelsAdded, ModelVersion, Signature

if TYPE_CHECKING:
    import polars as pl

EXAMPLES = 5
SENT_AS = {"__request": "request_id", "__row": "row"}


@dataclass(frozen=True, slots=True)
class Given:
    """One label that a row was given, None where one was taken back; `at` is when it came true, where that was said."""

    label: str | None
    at: datetime | None
    source: str
    user: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class _Subject:
    """What labels are of: a model's signature, its pipeline's key, and the newest data that keeps the contract."""

    signature: Signature
    key: tuple[str, ...]
    dataset: DatasetVersion | None


def _subject(workspace: Workspace, version: ModelVersion) -> _Subject:
    signature = lookup.signature(workspace, version)
    try:
        data = lookup.pipeline(workspace, version.model)[0].data
    except NotFound:  # a model from elsewhere: its rows are told by request alone
        return _Subject(signature, (), None)
    with workspace.catalogue.read() as act:
        return _Subject(signature, tuple(data.key), build.good_dataset_version(act, data.dataset))


# ── adding ───────────────────────────────────────────────────────────────────────────────────────


def add(workspace: Workspace, deployment: str, file: Path) -> LabelsAdded:
    """Keep the labels of a CSV, Parquet, JSON-lines or Arrow file; what stands already is not kept again.

    Its label column is named as the target or `label`; null takes a label back. Its rows are told by `request_id` and
    `row` (0 if there is no such column), or by all columns of the pipeline's key. Raises InvalidInput, and keeps
    nothing, for a file that lacks them or holds what cannot be a label; NotFound for an unknown deployment.
    """
    from mlops_tui.core import labels

    served = predictions.deployed(workspace, deployment)
    subject = _subject(workspace, lookup.model_version(workspace, f"{served.model}:{served.version}"))
    given, identity = _read(file, subject)
    predictions.gather(workspace, deployment)  # so that what is said of rows without a prediction is true
    with workspace.exclusive(f"gather-{deployment}", f"gathering for the deployment '{deployment}'"):
        history = _history(workspace, deployment, given)
        same = labels.known(history[labels.LABEL], subject.signature).fill_null(history[labels.LABEL])
        found = labels.changes(given, history.with_columns(same), identity)
        if found.frame.height:
            hash_, count = predictions.store(workspace, found.frame), found.frame.height
            with workspace.catalogue.write(workspace.now()) as act:
                part = LabelPart(deployment, 0, hash_, count, file.name, act.user, act.now)
                predictions.add_labels(act, part)
                act.record("labels.added", deployment, file=file.name, new=found.new, corrected=found.corrected)
    wanted = given.select(identity).unique(maintain_order=True)
    there = _answered(workspace, deployment, identity).join(wanted.lazy(), on=list(identity), how="semi")
    missing = wanted.join(there.collect(engine="streaming"), on=list(identity), how="anti", maintain_order="left")
    examples = tuple(_shown(row) for row in missing.head(EXAMPLES).to_dicts())
    return LabelsAdded(deployment, given.height, found.new, found.corrected, found.repeated, missing.height, examples)


def _shown(row: Mapping[str, object]) -> str:
    return ", ".join(f"{SENT_AS.get(name, name)}={value}" for name, value in row.items())


def _read(file: Path, subject: _Subject) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read a file as a history of labels without an order; returns it and the columns that tell its rows."""

    from mlops_tui.adapters import sources
    from mlops_tui.core import labels

    signature = subject.signature
    types = {one.name: one.dtype for one in (subject.dataset.schema if subject.dataset else ())}
    types |= {one.name: one.dtype for one in signature.inputs}
    types |= dict.fromkeys((signature.target, "label"), signature.target_dtype) | {"request_id": "String"}
    frame = sources.read(file, tuple(Column(name, dtype) for name, dtype in types.items()))
    column, identity = _label_column(file, frame, signature), _identity(file, frame, subject.key)
    told = _requests(file, frame) if identity == labels.BY_REQUEST else frame.select(labels.texts(identity))
    for name in identity:
        _refuse(file, told[name].is_null(), f"'{SENT_AS.get(name, name)}' is empty")
    given = labels.as_text(frame[column])
    known = labels.known(given, signature)
    wrong = known.is_null() & given.is_not_null()
    found = given.filter(wrong).head(1).to_list()
    _refuse(
        file, wrong, f"{found[0]!r} is no label of '{signature.target}': {labels.expected(signature)}" if found else ""
    )
    return told.with_columns(known.alias(labels.LABEL), _moments(frame)), identity


def _label_column(file: Path, frame: pl.DataFrame, signature: Signature) -> str:
    found = [name for name in dict.fromkeys((signature.target, "label")) if name in frame.columns]
    if not found:
        near = near_miss(signature.target, frame.columns)
        raise InvalidInput(f"{file}: no column '{signature.target}' or 'label'{near}", "one of them holds the labels")
    if len(found) > 1:
        raise InvalidInput(f"{file}: both '{signature.target}' and 'label' are there", "leave out what is no label")
    return found[0]


def _identity(file: Path, frame: pl.DataFrame, key: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that tell the rows of a file: request and row, else the whole key."""
    from mlops_tui.core.labels import BY_REQUEST

    if "request_id" in frame.columns and "request_id" not in key:
        return BY_REQUEST
    missing = [name for name in key if name not in frame.columns]
    if key and not missing:
        return key
    needs = "'request_id'" + (f", or the key {', '.join(map(repr, key))}" if key else "; there is no key here")
    near = near_miss(missing[0] if key else "request_id", frame.columns)
    raise InvalidInput(f"{file}: which rows its labels are of is not told: it needs {needs}{near}")


def _requests(file: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """The request and row numbers of a file's labels."""
    import polars as pl

    from mlops_tui.core.labels import REQUEST, ROW, as_text

    given = frame["row"] if "row" in frame.columns else pl.Series(["0"] * frame.height)
    numbers = as_text(given).cast(pl.Int32, strict=False)
    _refuse(file, ~(numbers >= 0).fill_null(False), "'row' is a row's number in its request, from 0")
    return pl.DataFrame([as_text(frame["request_id"]).alias(REQUEST), numbers.alias(ROW)])


def _moments(frame: pl.DataFrame) -> pl.Series:
    """When labels came true, in UTC: the column `at`, where it holds moments."""
    import polars as pl

    from mlops_tui.core.labels import AT, OWN

    kind = frame.schema.get("at")
    if not isinstance(kind, pl.Datetime):
        return pl.Series(AT, [None] * frame.height, OWN[AT])
    zoned = frame["at"].dt.replace_time_zone("UTC") if kind.time_zone is None else frame["at"]
    return zoned.cast(OWN[AT]).alias(AT)


def _refuse(file: Path, wrong: pl.Series, what: str) -> None:
    """Raise InvalidInput, with the first row of a file where something is wrong, and how many there are."""
    count = int(wrong.sum())
    if count:
        more = f" (and {count - 1} more)" if count > 1 else ""
        raise InvalidInput(f"{file}: row {wrong.arg_true()[0] + 1}: {what}{more}", "nothing of the file was kept")


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def joined(workspace: Workspace, deployment: str, version: ModelVersion, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a model version's predictions with the target's column, in its type: null where there is no label.

    What was said of a row stands, even that its label was taken back; the newest version of the pipeline's dataset
    speaks for the others. A label that the model does not know (another class) is left out.
    """
    from mlops_tui.core import labels

    subject = _subject(workspace, version)
    said = labels.attach(frame, _history(workspace, deployment, frame))
    found = said[labels.LABEL]
    late = from_dataset(workspace, subject, frame)
    if late is not None:
        found = found.zip_with(said[labels.ORDER].is_not_null(), late)
    known = labels.known(found, subject.signature)
    return frame.with_columns(labels.typed(known, subject.signature))


def from_dataset(workspace: Workspace, subject: _Subject, frame: pl.DataFrame) -> pl.Series | None:
    """Return the frame's labels, as text, in the newest data of the pipeline; None where its key cannot be joined."""
    import polars as pl

    from mlops_tui.core.labels import texts

    key, target, data = list(subject.key), subject.signature.target, subject.dataset
    if data is None or not key or not set(key) <= set(frame.columns):
        return None
    if not {*key, target} <= {column.name for column in data.schema}:
        return None
    mine = frame.select(texts(key))
    known = lookup.frame(workspace, data).select(texts([*key, target])).filter(pl.col(target).is_not_null())
    found = known.join(mine.unique().lazy(), on=key, how="semi").collect(engine="streaming").unique(key, keep="any")
    return mine.join(found, on=key, how="left", maintain_order="left")[target]


def history(workspace: Workspace, deployment: str, told: Mapping[str, object]) -> list[Given]:
    """Return every label that a row was given, in the order that they came; `told` as in a label that is sent."""
    import polars as pl

    from mlops_tui.core import labels

    predictions.deployed(workspace, deployment)
    if "request_id" in told:
        wanted = {labels.REQUEST: pl.lit(told["request_id"]), labels.ROW: pl.lit(told.get("row", 0))}
    else:
        wanted = {name: pl.lit(labels.text_of(value)) for name, value in told.items()}
    found = []
    with workspace.catalogue.read() as act:
        parts = rows.label_parts(act, deployment)
    for part in parts:
        lazy = answers.scan(workspace, part)
        if set(wanted) <= set(lazy.collect_schema()):
            own = lazy.filter(pl.col(name) == value for name, value in wanted.items())
            for label, at in own.select(labels.LABEL, labels.AT).collect().iter_rows():
                found.append(Given(label, at, part.source, part.user, part.added_at))
    return found


def _history(workspace: Workspace, deployment: str, wanted: pl.DataFrame) -> pl.DataFrame:
    """The history of the labels of a frame's rows, and of few others: what has a request or a key's value of it."""
    import polars as pl

    from mlops_tui.core import labels

    with workspace.catalogue.read() as act:
        parts = rows.label_parts(act, deployment)
    stored = [answers.scan(workspace, part) for part in parts]
    lazy = pl.concat([pl.LazyFrame(schema=labels.OWN), *stored], how="diagonal").with_row_index(labels.ORDER)
    telling = [
        name for name in lazy.collect_schema() if name not in (labels.ROW, labels.LABEL, labels.AT, labels.ORDER)
    ]
    own = [name for name in telling if name in wanted.columns]
    values = wanted.select(labels.texts(own))
    is_one = [pl.col(name).is_in(values[name].unique().implode()) for name in own]
    return lazy.filter(pl.any_horizontal(pl.lit(False), *is_one)).collect(engine="streaming")


def _answered(workspace: Workspace, deployment: str, identity: Sequence[str]) -> pl.LazyFrame:
    """The columns that tell rows, as canonical text, of all that a deployment answered."""
    import polars as pl

    from mlops_tui.core.labels import OWN, texts

    with workspace.catalogue.read() as act:
        frames = [answers.scan(workspace, part) for part in rows.prediction_parts(act, deployment)]
    nothing = pl.LazyFrame(schema={name: OWN.get(name, pl.String()) for name in identity})
    carrying = [frame for frame in frames if set(identity) <= set(frame.collect_schema())]
    return pl.concat([nothing, *(frame.select(texts(identity)) for frame in carrying)])
