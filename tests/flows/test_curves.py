"""Two models on the same rows: which rows these are, what is told of each, and when they cannot be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn import metrics as sk

from mlops_tui.adapters.catalogue import build
from mlops_tui.core import scoring
from mlops_tui.errors import InvalidInput, NotFound
from mlops_tui.flows import cycle, lookup
from mlops_tui.flows.release import approvals, gates
from mlops_tui.flows.release.curves import curves
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Contest, ModelVersion, from_json, to_json
from tests import workspaces

NAME = "flight-delay"
OLD, NEW = f"{NAME}:1", f"{NAME}:2"
AGAINST = '[[gates]]\nmetric = "{}"\nversus = "champion"\nmargin = 0.5\nconfidence = {}\n'
BY_DEST = '[[gates]]\nmetric = "brier"\nslice = "dest"\nmax = 0.9\n'


@pytest.fixture(scope="module")
def template(trained_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose second version is tested on random rows, many of which the first has learned from."""
    workspace = workspaces.copy(trained_template, tmp_path_factory.mktemp("contest") / "workspace")
    path = workspaces.write_pipeline(workspace)
    path.write_text(path.read_text("utf-8").replace('method = "time"', 'method = "random"'), "utf-8")
    workspaces.arrive(workspace, 3)
    cycle.apply(workspace, NAME)
    return workspace.root


@pytest.fixture
def both(template: Path, tmp_path: Path) -> Workspace:
    """A fresh copy of that workspace."""
    return workspaces.copy(template, tmp_path / "workspace")


def another(workspace: Workspace, ref: str, change: Callable[[ModelVersion], dict[str, Any]]) -> str:
    """Write down a model version once more, with something changed, as the newest."""
    known = lookup.model_version(workspace, ref)
    values: dict[str, Any] = {"version": 3, "key": "another", "created_at": workspace.now()} | change(known)
    with workspace.catalogue.write(workspace.now()) as act:
        build.add_model_version(act, replace(known, **values))
        act.record("test.model", NAME)
    return f"{NAME}:3"


def sets(workspace: Workspace, ref: str) -> pl.DataFrame:
    """The key and the label of each row of a model version, and the set that it was in."""
    version = lookup.model_version(workspace, ref)
    dataset = lookup.dataset_version(workspace, f"{version.dataset}:{version.dataset_version}")
    frame = lookup.frame(workspace, dataset).collect().with_row_index("row")
    rows = pl.read_parquet(workspace.objects.path(version.rows)).cast({"row": frame.schema["row"]})
    return frame.join(rows, on="row")


def test_one_model_is_measured_on_its_labelled_test_rows(both: Workspace) -> None:
    found = curves(both, NEW)
    test = sets(both, NEW).filter(pl.col("set") == "test", pl.col("late").is_not_null())
    assert (found.rows, found.left_out, found.differences, len(found.models)) == (test.height, 0, (), 1)
    (model,) = found.models
    version = lookup.model_version(both, NEW)
    assert {one.name: one.value for one in model.metrics} == version.metrics
    assert model.roc is not None
    assert sum(one.rows for one in model.reliability) == test.height
    assert from_json(to_json(found), Contest) == found


def test_two_models_are_measured_on_rows_that_neither_has_learned_from(both: Workspace) -> None:
    found = curves(both, OLD, NEW)
    old, new = sets(both, OLD), sets(both, NEW).filter(pl.col("set") == "test")
    learned = new.join(old.filter(pl.col("set") != "test"), on="flight_id", how="semi")
    rows = new.join(learned, on="flight_id", how="anti").filter(pl.col("late").is_not_null())
    assert (found.left_out, found.rows) == (learned.height, rows.height)
    assert learned.height > 100
    assert "that flight-delay:1 has not learned from" in found.sets
    for model, ref in zip(found.models, (OLD, NEW), strict=True):
        scores = scoring.score(lookup.scorer(both, lookup.model_version(both, ref)), rows)
        measured = {one.name: one.value for one in model.metrics}
        assert model.model == ref
        assert measured["auc"] == pytest.approx(sk.roc_auc_score(rows["late"], scores))
        assert measured["brier"] == pytest.approx(sk.brier_score_loss(rows["late"], scores))
    first, second = ({one.name: one.value for one in model.metrics} for model in found.models)
    leads = {one.metric: one for one in found.differences}
    assert leads["auc"].difference == pytest.approx(first["auc"] - second["auc"])
    assert leads["brier"].difference == pytest.approx(second["brier"] - first["brier"])
    assert leads["auc"].method == "DeLong"


def test_who_leads_is_what_the_gates_say_by_the_same_figures(trained: Workspace) -> None:
    asked = {"auc": 0.95, "brier": 0.95, "average_precision": 0.9, "f1": 0.95}
    approvals.approve(trained, OLD, "good")
    more = [AGAINST.format(name, confidence) for name, confidence in asked.items() if name != "auc"]
    workspaces.write_pipeline(trained, more="\n".join(more))
    workspaces.arrive(trained, 3)
    cycle.apply(trained, NAME)
    report = gates.report_of(trained, lookup.model_version(trained, NEW))
    found = curves(trained, NEW, OLD)
    leads = {one.metric: one for one in found.differences}
    assert (report.champion, found.left_out) == (1, 0)
    judged = {one.gate.split()[0]: one for one in report.results if one.gate.endswith("versus champion")}
    assert judged.keys() == asked.keys()
    for name, one in judged.items():
        lead = leads[name]
        assert (one.value, one.low, one.high) == (lead.difference, lead.low, lead.high)
        said = {"confidence": lead.confidence, "method": lead.method, "rows": found.rows}
        assert said == {"confidence": asked[name], **{key: one.details[key] for key in ("method", "rows")}}


def test_the_order_of_the_names_is_the_order_of_the_answer(both: Workspace) -> None:
    found, turned = curves(both, OLD, NEW), curves(both, NEW, OLD)
    assert (turned.models, turned.rows) == (found.models[::-1], found.rows)
    for one, other in zip(found.differences, turned.differences, strict=True):
        assert one.difference == pytest.approx(-other.difference)
        assert (one.low, one.high) == pytest.approx((-(other.high or 0), -(other.low or 0)))
    twice = curves(both, OLD, OLD)
    assert {one.difference for one in twice.differences} == {0.0}
    assert twice.models[0] == twice.models[1]


def test_slices_are_those_of_the_gates_else_of_the_categorical_feature_that_counts_most(both: Workspace) -> None:
    (by_carrier,) = curves(both, OLD, NEW).breakdowns
    assert (by_carrier.column, by_carrier.metric) == ("carrier", "auc")
    assert [len(one.metrics) for one in by_carrier.slices] == [2] * len(by_carrier.slices)
    sizes = [one.rows for one in by_carrier.slices]
    assert sizes == sorted(sizes, reverse=True)
    workspaces.write_pipeline(both, more=BY_DEST)
    found = curves(both, OLD, NEW)
    (by_dest,) = found.breakdowns
    assert (by_dest.column, by_dest.metric) == ("dest", "brier")
    assert sum(one.rows for one in by_dest.slices) <= found.rows
    (both.root / "pipelines" / f"{NAME}.toml").unlink()
    assert curves(both, OLD, NEW).breakdowns == (by_carrier,)


def test_what_an_older_model_from_elsewhere_learned_from_is_said_not_to_be_known(both: Workspace) -> None:
    ref = another(both, OLD, lambda known: {"dataset_hash": "0" * 64, "created_at": known.created_at})
    found = curves(both, NEW, ref)
    assert (found.left_out, found.rows) == (None, curves(both, NEW).rows)
    assert "whether flight-delay:3 learned from them is not known" in found.sets


def test_a_newer_model_whose_data_is_not_here_cannot_be_measured(both: Workspace) -> None:
    ref = another(both, NEW, lambda _: {"dataset_hash": "0" * 64})
    with pytest.raises(NotFound, match="is not the data that flight-delay:3 was trained on"):
        curves(both, ref)


def test_no_row_is_left_where_the_older_model_learned_from_all(both: Workspace) -> None:
    def all_learned(known: ModelVersion) -> dict[str, Any]:
        rows = pl.read_parquet(both.objects.path(known.rows)).with_columns(set=pl.lit("train"))
        path = both.root / "rows.parquet"
        rows.write_parquet(path)
        return {"rows": both.objects.put(path.read_bytes()), "created_at": known.created_at}

    taught = lookup.model_version(both, NEW)
    ref = another(both, NEW, lambda known: {**all_learned(known), "version": 0})
    with pytest.raises(NotFound, match=f"{NAME}:0 learned from every test row of {taught.ref}"):
        curves(both, NEW, ref.replace(":3", ":0"))


def test_models_that_answer_another_question_are_not_compared(both: Workspace) -> None:
    signature = replace(lookup.signature(both, lookup.model_version(both, OLD)), target="cancelled")
    ref = another(both, OLD, lambda known: {"signature": both.objects.put(to_json(signature)),
                                            "created_at": known.created_at})  # fmt: skip
    told = f"{NAME}:3 and {NEW} cannot be compared: {NAME}:3 predicts 'cancelled', {NEW} 'late'"
    with pytest.raises(InvalidInput, match=told):
        curves(both, NEW, ref)
