"""spool → predictions (+ labels): what a deployment answered and was told, gathered into parquet parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_tui.adapters.catalogue import Act, release
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.adapters.files import unfinished
from mlops_tui.errors import Busy, InvalidInput, NotFound, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.watch import answers
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import BENCH, valid_name
from mlops_tui.records import Deployment, LabelPart, PredictionPart, Progress, Signature

if TYPE_CHECKING:
    import polars as pl

Lines = Sequence[dict[str, Any]]
Part = TypeVar("Part", PredictionPart, LabelPart)
CHUNK = 8 * 2**20  # bytes of a spool that are read at a time
FULL = 50_000  # rows; smaller parts are merged
ENDPOINT = "endpoint"  # where labels come from that clients sent
UNREADABLE = "unreadable"  # in a spool's folder: lines that could not be read here
FROM = "\0from"  # in a line: the segment and the place in it from which it was read with others


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was gathered: requests and their rows, labels; lines that are not JSON, and that cannot be read here."""

    deployment: str
    requests: int = 0
    rows: int = 0
    labels: int = 0
    bad_lines: int = 0
    unreadable: int = 0


@dataclass
class _Chunk:
    """Lines that are gathered in one transaction; where they end, and the segments that end with them."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    bytes: int = 0
    bad: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    finished: list[Path] = field(default_factory=list)


@dataclass
class _Read:
    """What a chunk's lines hold: frames by model version, labels in their order, and lines that cannot be read.

    `shadowed` are the answers of challengers in the shadow, which nobody got.
    """

    requests: int = 0
    answered: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    shadowed: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    labels: list[pl.DataFrame] = field(default_factory=list)
    aside: list[dict[str, Any]] = field(default_factory=list)


def deployed(workspace: Workspace, name: str) -> Deployment:
    """Return a deployment as the catalogue has it; raises NotFound naming the known ones."""
    valid_name("deployment", name)
    with workspace.catalogue.read() as act:
        found = release.deployment(act, name)
        if found is None:
            known = [one.name for one in release.deployments(act)]
            raise unknown("deployment", name, known, "mlops deployments list")
    return found


# ── gathering ────────────────────────────────────────────────────────────────────────────────────


def gather(workspace: Workspace, deployment: str) -> Gathered:
    """Move what lies in a deployment's spool into parts, each line once whatever happens; raises NotFound, Busy.

    Objects are written first; one transaction names them and says how far each segment was read; a finished segment's
    file goes after it, and its row with the next one. A line that cannot be read here, as it is of a model that this
    workspace does not have, is kept below `unreadable/`.
    """
    from mlops_tui.adapters import spool

    known, found = deployed(workspace, deployment), Gathered(deployment)
    with workspace.exclusive(f"gather-{deployment}", f"gathering for the deployment '{deployment}'"):
        for chunk in _chunks(workspace, deployment):
            if chunk.ends:
                one = _keep(workspace, known, chunk)
                counts = (getattr(found, name) + getattr(one, name) for name in Gathered.__slots__[1:])
                found = Gathered(deployment, *counts)
                workspace.report(Progress("gather", f"{found.rows} predictions, {found.labels} labels"))
            for path in chunk.finished:
                with suppress(Busy):  # somebody else reads it just now: the next gathering removes it
                    spool.remove(path)
    return found


def _chunks(workspace: Workspace, deployment: str) -> Iterator[_Chunk]:
    """Yield what was not gathered yet, oldest first; the caller keeps each chunk before it asks for the next."""
    from mlops_tui.adapters import spool

    with workspace.catalogue.read() as act:
        held = rows.gathered(act, deployment)
    folder, chunk = workspace.home / "spool" / deployment, _Chunk()
    for name, _, live in spool.segments(folder):
        at = held.get(name, 0)
        while True:  # to its end as it is by now: a segment that was not live when it was listed grows no more
            lines, end, bad = spool.read(folder / name, at, CHUNK)
            if end == at:
                break
            for line in lines:
                line[FROM] = f"{Path(name).stem}-{at}"
            chunk.lines += lines
            chunk.bytes, chunk.bad = chunk.bytes + end - at, chunk.bad + bad
            chunk.ends[name] = at = end
            if chunk.bytes >= CHUNK:
                yield chunk
                chunk = _Chunk()
        if not live:
            chunk.finished.append(folder / name)
    if chunk.ends or chunk.finished:
        yield chunk


def _keep(workspace: Workspace, known: Deployment, chunk: _Chunk) -> Gathered:
    """Store what a chunk holds, then write down all of it at once."""
    import polars as pl

    read = _read(workspace, chunk.lines)
    folder = workspace.home / "spool" / known.name
    if read.aside:
        _set_aside(workspace, folder / UNREADABLE, read.aside)
    with workspace.catalogue.read() as act:
        held = rows.prediction_parts(act, known.name)
        beside = rows.prediction_parts(act, shadow_of(known.name))
    parts = [_part(workspace, known.name, ref, frames, held) for ref, frames in read.answered.items()]
    parts += [_part(workspace, shadow_of(known.name), *one, beside) for one in read.shadowed.items()]
    answered = sum(frame.height for frames in read.answered.values() for frame in frames)
    labelled = sum(frame.height for frame in read.labels)
    labels = _label_part(workspace, known.name, pl.concat(read.labels, how="diagonal")) if labelled else None
    found = Gathered(known.name, read.requests, answered, labelled, chunk.bad, len(read.aside))
    with workspace.catalogue.write(workspace.now()) as act:
        for part, merged in parts:
            for old in merged:
                rows.drop_prediction_part(act, old)
            rows.add_prediction_part(act, part)
        if labels:
            add_labels(act, *labels)
        for name in rows.gathered(act, known.name):
            if not (folder / name).exists():
                rows.drop_segment(act, known.name, name)
        for name, end in chunk.ends.items():
            rows.put_segment(act, known.name, name, end)
        counts = {name: count for name, count in asdict(found).items() if name != "deployment"}
        act.record("predictions.gathered", known.name, **counts)
    return found


def shadow_of(deployment: str) -> str:
    """Return the name under which the answers of a deployment's shadows are kept, apart from what was answered."""
    return f"{deployment}@shadow"


def add_labels(act: Act, part: LabelPart, merged: Sequence[LabelPart] = ()) -> None:
    """Write down a stored part of labels as the newest, in place of those whose labels it holds too."""
    number = rows.last_label_part(act, part.deployment) + 1
    for old in merged:
        rows.drop_label_part(act, old)
    rows.add_label_part(act, replace(part, number=number))


def store(workspace: Workspace, frame: pl.DataFrame) -> str:
    """Store rows as a parquet object and return its hash."""
    with workspace.objects.temporary() as file:
        frame.write_parquet(file, compression="zstd")
        return workspace.objects.put_file(file)


def _part(
    workspace: Workspace, deployment: str, ref: str, frames: Sequence[pl.DataFrame], held: Sequence[PredictionPart]
) -> tuple[PredictionPart, list[PredictionPart]]:
    """Store a model version's new predictions; returns the part, and the parts whose rows it holds too.

    Parts are in the order in which they were gathered.
    """
    import polars as pl

    model, _, version = ref.partition(":")
    mine = [part for part in held if (part.model, part.version) == (model, int(version))]
    count = sum(frame.height for frame in frames)
    merged = _to_merge(sorted(mine, key=lambda part: part.gathered_at), count)
    whole = pl.concat([*(answers.scan(workspace, part).collect() for part in merged), *frames])
    first, last = whole.select(pl.col("__at").min().alias("first"), pl.col("__at").max().alias("last")).row(0)
    made = PredictionPart(
        deployment, model, int(version), store(workspace, whole), whole.height, first, last, workspace.now()
    )  # fmt: skip
    return made, merged


def _label_part(workspace: Workspace, deployment: str, frame: pl.DataFrame) -> tuple[LabelPart, list[LabelPart]]:
    """Store what clients labelled; returns the part, without its number, and the parts whose labels it holds too.

    Only what clients sent one after the other is merged: when each label came stands in its row.
    """
    import polars as pl

    with workspace.catalogue.read() as act:
        held = rows.label_parts(act, deployment)
    since = [number for number, part in enumerate(held, 1) if (part.source, part.user) != (ENDPOINT, workspace.user)]
    merged = _to_merge(held[since[-1] if since else 0 :], frame.height)
    whole = pl.concat([*(answers.scan(workspace, part).collect() for part in merged), frame], how="diagonal")
    hash_ = store(workspace, whole)
    return LabelPart(deployment, 0, hash_, whole.height, ENDPOINT, workspace.user, workspace.now()), merged


def _to_merge(held: Sequence[Part], count: int) -> list[Part]:
    """Return the newest of the parts, oldest first, that are merged with so many rows that follow them.

    A part is, once what follows it is half as large: parts stay few, and no row is written often.
    """
    merged: list[Part] = []
    for part in reversed(held):
        if part.rows >= FULL or part.rows > 2 * count:
            break
        merged.insert(0, part)
        count += part.rows
    return merged


# ── lines to frames ──────────────────────────────────────────────────────────────────────────────


def _read(workspace: Workspace, lines: Lines) -> _Read:
    """Read predictions by the signature of the model that answered, and labels as they are."""
    from mlops_tui.core import answered

    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if str(line.get("id", "")).startswith(BENCH):
            continue  # a load test's, not a client's
        groups.setdefault(_group(line), []).append(line)
    read = _Read()
    for (kind, ref), own in groups.items():
        if kind == "labels":
            read.labels, bad = answered.readable(answered.labels, own)
        else:
            signature = _signature(workspace, ref)
            frames, bad = answered.readable(partial(answered.predictions, signature), own) if signature else ([], own)
            if frames and kind == "shadow":
                read.shadowed[ref] = frames
            elif frames:
                read.answered[ref] = frames
                read.requests += len(own) - len(bad)
        read.aside += bad
    return read


def _group(line: dict[str, Any]) -> tuple[str, str]:
    """A line's kind, and the model version that answered: "" for a line that is not as a service writes it."""
    answer, kind = line.get("answer"), str(line.get("kind"))
    if kind in ("predict", "shadow") and isinstance(answer, dict):
        return kind, str(answer.get("model"))
    return ("labels", "") if line.get("kind") == "labels" else ("", "")


def _signature(workspace: Workspace, ref: str) -> Signature | None:
    """The signature of a model version that is written NAME:VERSION; None for what is not in this workspace."""
    try:
        name, version, _ = lookup.parse("model", ref)
        return lookup.signature(workspace, lookup.model_version(workspace, f"{name}:{version}"))
    except (InvalidInput, NotFound):
        return None


def _set_aside(workspace: Workspace, folder: Path, lines: Lines) -> None:
    """Keep lines that cannot be read here, under names that a second try after a kill writes again."""
    import msgspec

    folder.mkdir(exist_ok=True)
    for begin in dict.fromkeys(line[FROM] for line in lines):
        own = [{key: value for key, value in line.items() if key != FROM} for line in lines if line[FROM] == begin]
        path = folder / f"{begin}.jsonl"
        part = unfinished(path)
        part.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in own))
        part.replace(path)
    text = f"{len(lines)} lines cannot be read here and are kept in {workspace.relative(folder)}"
    workspace.report(Progress("gather", text))
