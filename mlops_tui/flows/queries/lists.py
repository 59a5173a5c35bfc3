"""Lists for screens and `--filter`: ids in order first, then rows of a page; and names that a person looks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mlops_tui.adapters.catalogue import Act, build, release, views
from mlops_tui.adapters.catalogue import board as rows
from mlops_tui.adapters.catalogue.views import View
from mlops_tui.core import query
from mlops_tui.core.approval import among, standing
from mlops_tui.errors import InvalidInput, MlopsError, near_miss
from mlops_tui.flows.build import runs as training
from mlops_tui.flows.queries import watched
from mlops_tui.flows.queries.sketches import sketch
from mlops_tui.flows.release import models as released
from mlops_tui.flows.release.models import Listed
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import METRICS, Approval, Decision, Event, Run

Ids = Sequence[int]
Terms = tuple[query.Term, ...]
LONGEST = 64  # letters that are looked for in names


def runs(workspace: Workspace, text: str = "", sort: str = "", pipeline: str | None = None) -> Ids:
    """Return the ids of the runs that a filter keeps, newest first, or by a field or a metric (best first).

    Ids hold until the catalogue's stamp changes. Raises InvalidInput for what is no filter or nothing to sort by,
    NotFound for a pipeline that is not known.
    """
    found = _index(workspace, views.RUNS, text, sort, _only("pipeline", pipeline))
    if pipeline is not None and not found:
        training.list_runs(workspace, pipeline, None, 1)  # it knows which pipelines there are
    return found


def run_rows(workspace: Workspace, ids: Sequence[int]) -> list[Run]:
    """Return runs as they are, in the order of their ids."""
    with workspace.catalogue.read() as act:
        found = views.page(act, views.RUNS, ids)
    return [training.honest(workspace, run) for run in found]


def models(workspace: Workspace, text: str = "", sort: str = "", model: str | None = None) -> Ids:
    """Return the ids of the model versions that a filter keeps, as `runs` does; NotFound for an unknown model."""
    found = _index(workspace, views.MODELS, text, sort, _only("model", model))
    if model is not None and not found:
        released.list_models(workspace, model, 1)
    return found


def model_rows(workspace: Workspace, ids: Sequence[int]) -> list[Listed]:
    """Return model versions with their aliases and where they stand, in the order of their ids."""
    with workspace.catalogue.read() as act:
        found = views.page(act, views.MODELS, ids)
        said, aliases, newest = views.approvals(act, found), release.aliases(act), build.newest_versions(act)
    words: dict[tuple[str, int], list[Approval]] = {}
    for word in said:
        words.setdefault((word.model, word.version), []).append(word)
    names: dict[tuple[str, int], list[str]] = {}
    for (model, alias), number in sorted(aliases.items()):
        names.setdefault((model, number), []).append(alias)
    keys = [(one.model, one.version) for one in found]
    return [
        Listed(one, tuple(names.get(key, ())), among(standing(one, words.get(key, ())), one, newest[one.model]))
        for one, key in zip(found, keys, strict=True)
    ]


def events(workspace: Workspace, text: str = "", sort: str = "") -> Ids:
    """Return the numbers of the audit events that a filter keeps, newest first, or by a field."""
    return _index(workspace, views.EVENTS, text, sort)


def event_rows(workspace: Workspace, ids: Sequence[int]) -> list[Event]:
    """Return audit events in the order of their numbers."""
    with workspace.catalogue.read() as act:
        return views.page(act, views.EVENTS, ids)


def decisions(workspace: Workspace, text: str = "", sort: str = "", pipeline: str | None = None) -> Ids:
    """Return the ids of the decisions that a filter keeps, newest first, or by a field."""
    return _index(workspace, views.DECISIONS, text, sort, _only("pipeline", pipeline))


def decision_rows(workspace: Workspace, ids: Sequence[int]) -> list[Decision]:
    """Return decisions in the order of their ids."""
    with workspace.catalogue.read() as act:
        return views.page(act, views.DECISIONS, ids)


def metrics(workspace: Workspace) -> list[str]:
    """Return the metrics that runs can be sorted by."""
    with workspace.catalogue.read() as act:
        return build.run_metrics(act)


def _only(field: str, value: str | None) -> Terms:
    """The filter that keeps what has a field's whole value; without one everything."""
    return () if value is None else (query.Term(field, "=", value),)


def _index(workspace: Workspace, view: View[Any], text: str, sort: str, scope: Terms = ()) -> Ids:
    with workspace.catalogue.read() as act:
        numbers = [*view.numbers, *_measured(act, view)] if text or sort else []
        terms = query.parse(text, view.texts, numbers)
        name = sort.removeprefix("-")
        if name and name not in (known := [*view.texts, *numbers]):
            raise InvalidInput(f"nothing to sort by is called '{name}'{near_miss(name, known)}")
        return views.index(act, view, (*scope, *terms), sort)


def _measured(act: Act, view: View[Any]) -> set[str]:
    """The metrics that a filter may ask for: those that runs have, and those that they would have."""
    usual = {metric for names in METRICS.values() for metric in names}
    return usual.union(build.run_metrics(act)) if view.metric else set()


# ── names ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Named:
    """Something that has a name: what it is, the reference that finds it, a few words on it, and its name."""

    noun: str
    ref: str
    text: str
    name: str


def names(workspace: Workspace, text: str, limit: int = 40) -> list[Named]:
    """Return what has a text's letters in its name in this order, blanks apart, the best first; `limit` at the most.

    Pipelines, datasets, models, deployments, versions of datasets and models, and Bentos by name; runs, decisions and
    monitor reports by the beginning of their id; columns of the newest dataset versions, and features of the newest
    monitor reports.
    """
    letters = "".join(text.split()).lower()
    if len(letters) > LONGEST or any("\ud800" <= letter <= "\udfff" for letter in letters):
        return []
    pipelines = sorted({sketch(path).name for path in (workspace.root / "pipelines").glob("*.toml")})
    features = _features(workspace, letters)
    with workspace.catalogue.read() as act:
        return [Named(*one) for one in views.search(act, letters, pipelines, features, limit)]


def _features(workspace: Workspace, letters: str) -> list[views.Part]:
    """The features with these letters in the newest report of each deployment; no letters are in none."""
    with workspace.catalogue.read() as act:
        reports = rows.reports(act) if letters else {}
    like = re.compile(".*".join(map(re.escape, letters)), re.DOTALL)
    found = []
    for deployment, (id_, hash_) in reports.items():
        with suppress(MlopsError):  # its page says what is wrong with it
            names = watched.features_of(workspace, (id_, deployment, hash_))
            found += [(id_, deployment, name) for name in names if like.search(name.lower())]
    return found
