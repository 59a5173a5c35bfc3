"""From a model version to the champion: gates, approvals bound to content, aliases, exchange, scoring of files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mlops_tui.adapters.catalogue import release
from mlops_tui.core import requests, scoring
from mlops_tui.errors import External, InvalidInput, MlopsError, NotFound, Refused
from mlops_tui.flows import cycle, keep, lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.release import approvals, bentos, exchange, gates, models, predict
from mlops_tui.flows.workspace import Workspace, init, open_workspace
from tests import workspaces

NAME = "flight-delay"


def version(workspace: Workspace, number: int = 1) -> str:
    return f"{NAME}:{number}"


def champion(workspace: Workspace) -> int | None:
    with workspace.catalogue.read() as act:
        return release.aliases(act, NAME).get((NAME, "champion"))


def state(workspace: Workspace, number: int = 1) -> str:
    return approvals.standing_of(workspace, lookup.model_version(workspace, f"{NAME}:{number}")).state


def judge(workspace: Workspace, number: int = 1, **values: object) -> None:
    """Judge a version by the pipeline with other values."""
    workspaces.write_pipeline(workspace, **values)
    settings, _ = lookup.pipeline(workspace, NAME)
    gates.judge(workspace, settings, lookup.model_version(workspace, f"{NAME}:{number}"))


def second(workspace: Workspace) -> None:
    """A second version, with another seed."""
    settings, _ = lookup.pipeline(workspace, NAME)
    other = settings.model_copy(update={"train": settings.train.model_copy(update={"rounds": 20})})
    made = runs.train(workspace, other, lookup.dataset_version(workspace, "flights"), "test")
    gates.judge(workspace, other, made)


def tamper(workspace: Workspace, hash_: str) -> None:
    path = workspace.objects.path(hash_)
    path.chmod(0o644)
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])


# ── gates ────────────────────────────────────────────────────────────────────────────────────────


def test_the_report_says_what_was_measured_and_asked(trained: Workspace) -> None:
    shown = models.show(trained, NAME)
    assert shown.report is not None
    assert (shown.report.passed, shown.report.champion) == (True, None)
    absolute, versus = shown.report.results
    assert (absolute.value, absolute.threshold, absolute.passed) == (shown.run.metrics["auc"], 0.5, True)
    assert absolute.low is not None
    assert absolute.high is not None
    assert absolute.low < shown.run.metrics["auc"] < absolute.high
    assert absolute.sentence
    assert versus.passed
    assert versus.sentence == "first version: nothing to compare with"


def test_the_champion_is_measured_on_the_same_rows(trained: Workspace) -> None:
    approvals.approve(trained, NAME, "")
    second(trained)
    report = gates.report_of(trained, lookup.model_version(trained, f"{NAME}:2"))
    versus = report.results[1]
    assert report.champion == 1
    old, new = (lookup.run(trained, lookup.model_version(trained, f"{NAME}:{n}").run).metrics["auc"] for n in (1, 2))
    assert versus.value == pytest.approx(new - old, abs=1e-9)
    assert versus.low is not None
    assert versus.high is not None
    assert versus.low <= new - old <= versus.high


def test_the_champion_is_not_compared_with_itself(trained: Workspace) -> None:
    approvals.approve(trained, NAME, "")
    judge(trained, auc=0.51)
    versus = gates.report_of(trained, lookup.model_version(trained, NAME)).results[1]
    assert (versus.passed, versus.sentence) == (True, "it is the champion itself: nothing to compare with")


def test_a_slice_that_is_no_column_fails_its_gate_and_nothing_else(trained: Workspace) -> None:
    judge(trained, more='[[gates]]\nmetric = "auc"\nmin = 0.5\nslice = "carier"')
    absolute, _, slices = gates.report_of(trained, lookup.model_version(trained, NAME)).results
    assert (absolute.passed, slices.passed) == (True, False)
    assert slices.sentence == "the test rows have no column 'carier'"


def trained_on(workspace: Workspace, number: int) -> set[int]:
    """The flights that a version learned from, to train or to stop."""
    return flights_in(workspace, number, "train") | flights_in(workspace, number, "validation")


def flights_in(workspace: Workspace, number: int, part: str) -> set[int]:
    made = lookup.model_version(workspace, f"{NAME}:{number}")
    dataset = lookup.dataset_version(workspace, f"flights:{made.dataset_version}")
    numbers = pl.read_parquet(workspace.objects.path(made.rows)).filter(pl.col("set") == part)["row"]
    return set(lookup.frame(workspace, dataset).collect()[numbers.to_list()]["flight_id"].to_list())


def test_rows_that_the_champion_learned_from_are_counted_wherever_their_file_stands(empty: Workspace) -> None:
    def told(rewrite: bool, seed: int) -> int:
        if rewrite:
            path = empty.root / "data" / "flights" / "2013-01.parquet"
            pl.read_parquet(path).with_columns(pl.col("distance") + 1).write_parquet(path)
        file = workspaces.write_pipeline(empty, mode="auto", auc=0.4)
        text = file.read_text().replace('method = "time"', 'method = "random"').replace("seed = 7", f"seed = {seed}")
        file.write_text(text)
        made = cycle.apply(empty, NAME)
        assert made.champion is not None
        newest = lookup.model_version(empty, NAME, newest=True)
        found = gates.report_of(empty, newest).results[1].details.get("known_rows", 0)
        assert isinstance(found, int)
        return found

    workspaces.arrive(empty, 1, 2)
    assert told(False, 7) == 0
    assert told(False, 8) == len(flights_in(empty, 2, "test") & trained_on(empty, 1)) > 0
    approvals.set_alias(empty, version(empty, 1), "champion")
    kept = set(pl.read_parquet(workspaces.SAMPLE / "flights" / "2013-02.parquet")["flight_id"].to_list())
    assert told(True, 9) == len(flights_in(empty, 3, "test") & trained_on(empty, 1) & kept) > 0


def letters(rows: int, labels: str, first: int = 0) -> pl.DataFrame:
    """Rows whose label follows from `x`, with noise, whose `code` tells of it as well."""
    x = (pl.int_range(rows, eager=True) * 7919 % 1000) / 1000
    label = [labels[int(value * len(labels) * 0.999)] for value in x]
    numbers = pl.int_range(first, first + rows, eager=True)
    noisy = [labels[0] if number % 11 == 0 else one for number, one in zip(numbers, label, strict=True)]
    return pl.DataFrame({"id": numbers, "x": x, "code": (x * 10).cast(pl.Int64), "y": noisy})


LETTERS = """\
[pipeline]
name = "letters"
[data]
dataset = "letters"
source = "letters/*.csv"
key = ["id"]
[data.checks]
type_change = "widen"
[target]
column = "{column}"
task = "{task}"
[features]
include = ["{feature}"]
{more}
[train]
rounds = 10
[[gates]]
metric = "{metric}"
versus = "champion"
margin = 0.5
[approval]
mode = "auto"
reviewers = 0
"""


def run_letters(workspace: Workspace, **values: str) -> tuple[str | None, str]:
    """Run the pipeline; return the champion and what the versus gate said of the newest version."""
    asked = {"column": "y", "task": "multiclass", "feature": "x", "more": "", "metric": "accuracy"} | values
    (workspace.root / "pipelines" / "letters.toml").write_text(LETTERS.format(**asked))
    done = cycle.apply(workspace, "letters")
    newest = lookup.model_version(workspace, "letters", newest=True)
    return done.champion, gates.report_of(workspace, newest).results[0].sentence


def arrive(workspace: Workspace, name: str, rows: pl.DataFrame) -> None:
    (workspace.root / "letters").mkdir(exist_ok=True)
    rows.write_csv(workspace.root / "letters" / f"{name}.csv")


def test_a_new_class_does_not_stop_the_cycle(empty: Workspace) -> None:
    arrive(empty, "1", letters(400, "abc"))
    assert run_letters(empty)[0] == "letters:1"
    arrive(empty, "2", letters(400, "abcd", 1000))
    best, sentence = run_letters(empty)
    assert best == "letters:2"
    assert sentence.endswith("the champion does not know 'd', to which it gives the probability 0")


def test_another_target_or_task_fails_the_gate_and_does_not_stop_the_cycle(empty: Workspace) -> None:
    arrive(empty, "1", letters(400, "abc"))
    run_letters(empty)
    best, sentence = run_letters(empty, column="code", task="regression", metric="rmse")
    assert best == "letters:1"
    assert "cannot be compared: the champion is of task multiclass, this model of regression" in sentence
    best, sentence = run_letters(empty, column="code")
    assert best == "letters:1"
    assert "cannot be compared: the champion predicts 'y', this model 'code'" in sentence


def test_a_champion_is_scored_as_it_serves_when_a_batch_widens_a_column(empty: Workspace) -> None:
    arrive(empty, "1", letters(400, "abc"))
    categorical = {"feature": "code", "more": 'categorical = ["code"]'}
    assert run_letters(empty, **categorical)[0] == "letters:1"
    arrive(empty, "2", letters(100, "abc", 1000).with_columns(pl.col("code").cast(pl.Float64)))
    newer = letters(100, "abc", 2000).with_columns(code=pl.col("code") + 0.5)
    arrive(empty, "3", newer)
    best, sentence = run_letters(empty, feature="code")
    assert best == "letters:1"
    assert "the champion cannot read these rows: column 'code' has type Float64" in sentence


def test_a_failed_gate_blocks_approval(trained: Workspace) -> None:
    judge(trained, auc=0.99)
    assert state(trained) == "failed"
    with pytest.raises(Refused, match="a gate failed"):
        approvals.approve(trained, NAME, "I insist")
    with pytest.raises(Refused, match="is not approved: a gate failed"):
        approvals.set_alias(trained, NAME, "champion")
    assert champion(trained) is None


# ── approvals ────────────────────────────────────────────────────────────────────────────────────


def test_approval_moves_the_champion(trained: Workspace) -> None:
    assert (state(trained), champion(trained)) == ("waiting", None)
    approved, standing = approvals.approve(trained, NAME, "looks right")
    assert (approved.ref, standing.state, champion(trained)) == ("flight-delay:1", "approved", 1)
    word = models.show(trained, NAME).approvals[0]
    assert (word.verdict, word.name, word.comment, word.subject) == (
        "approved", trained.user, "looks right", approved.subject(),
    )  # fmt: skip
    told = {event.action: event for event in keep.events(trained, None, 2)}
    assert told["model.approved"].details["covers"] == approved.subject()
    assert told["model.alias"].subject == "flight-delay@champion"


def test_who_started_the_run_cannot_be_the_only_one(trained: Workspace) -> None:
    judge(trained, reviewers=1)
    for by in (None, trained.user):
        with pytest.raises(Refused, match=f"{trained.user} started the run"):
            approvals.approve(trained, NAME, "", by)
    assert champion(trained) is None
    assert approvals.approve(trained, NAME, "", "bob")[1].approvers == ("bob",)
    assert champion(trained) == 1


def test_two_reviewers_are_two_people(trained: Workspace) -> None:
    judge(trained, reviewers=2)
    for name, missing in (("bob", 1), ("bob", 1), ("cid", 0)):
        assert champion(trained) is None
        assert approvals.approve(trained, NAME, "", name)[1].missing == missing
    assert champion(trained) == 1


@pytest.mark.parametrize("name", ["auto", "../x", "a b", "'; DROP TABLE aliases; --", ""])
def test_names_that_nobody_may_sign_with(trained: Workspace, name: str) -> None:
    with pytest.raises(InvalidInput):
        approvals.approve(trained, NAME, "", name)


def test_a_workspace_may_ask_for_unix_users(trained: Workspace) -> None:
    (trained.root / "mlops.toml").write_text('[approval]\nidentity = "unix"\n')
    strict = open_workspace(trained.root)
    with pytest.raises(Refused, match="--by is switched off"):
        approvals.approve(strict, NAME, "", "bob")
    assert approvals.approve(strict, NAME, "", strict.user)[1].state == "approved"


def test_an_approval_lapses_when_the_report_changes(trained: Workspace) -> None:
    approvals.approve(trained, NAME, "")
    judge(trained, auc=0.51)
    assert state(trained) == "lapsed"
    with pytest.raises(Refused, match="approved once, but what was approved has changed"):
        approvals.require_approved(trained, lookup.model_version(trained, NAME))
    approvals.approve(trained, NAME, "again")
    assert state(trained) == "approved"


@pytest.mark.parametrize("piece", ["booster", "transform", "signature", "golden", "report"])
def test_what_was_tampered_with_is_not_approved(trained: Workspace, piece: str) -> None:
    tamper(trained, getattr(lookup.model_version(trained, NAME), piece))
    with pytest.raises(External, match="damaged"):
        approvals.approve(trained, NAME, "")
    assert (state(trained), champion(trained)) == ("waiting", None)


def test_what_was_tampered_with_later_does_not_go_out(trained: Workspace) -> None:
    approved, _ = approvals.approve(trained, NAME, "")
    tamper(trained, approved.booster)
    for act in (
        lambda: approvals.require_approved(trained, approved),
        lambda: lookup.scorer(trained, approved),
        lambda: bentos.build(trained, NAME),
        lambda: exchange.export(trained, NAME, trained.root / "out.zip"),
    ):
        with pytest.raises(External, match="damaged"):
            act()
    assert not (trained.root / "out.zip").exists()


def test_a_word_more_on_what_is_approved_moves_no_champion(trained: Workspace) -> None:
    approvals.approve(trained, NAME, "")
    second(trained)
    approvals.approve(trained, version(trained, 2), "")
    approvals.approve(trained, version(trained, 2), "I think so, too")
    assert champion(trained) == 2
    approvals.set_alias(trained, version(trained, 1), "champion", "back")
    for number in (2, 1):
        approvals.approve(trained, version(trained, number), "still good")
        assert champion(trained) == 1


def test_a_rejected_champion_gives_its_place_back(trained: Workspace) -> None:
    approvals.approve(trained, NAME, "")
    second(trained)
    approvals.approve(trained, version(trained, 2), "")
    assert champion(trained) == 2
    _, standing = approvals.reject(trained, version(trained, 2), "complaints", "bob")
    assert (standing.state, standing.sentence, champion(trained)) == ("rejected", "rejected by bob", 1)
    approvals.reject(trained, version(trained, 1), "as well", "bob")
    assert champion(trained) is None
    approvals.approve(trained, version(trained, 1), "bob was wrong about it", "bob")
    assert champion(trained) == 1


def test_auto_promotes_by_itself(empty: Workspace) -> None:
    workspaces.arrive(empty, 1)
    workspaces.write_pipeline(empty, mode="auto", auc=0.99)
    assert cycle.apply(empty, NAME).champion is None
    workspaces.write_pipeline(empty, mode="auto", auc=0.4)
    assert cycle.apply(empty, NAME).champion == "flight-delay:1"
    (word,) = models.show(empty, NAME).approvals
    assert (word.name, word.verdict) == ("auto", "approved")


# ── aliases ──────────────────────────────────────────────────────────────────────────────────────


def test_the_history_says_who_was_champion_when(trained: Workspace) -> None:
    approvals.approve(trained, NAME, "")
    second(trained)
    approvals.approve(trained, version(trained, 2), "")
    approvals.set_alias(trained, version(trained, 1), "champion", "back")
    history = models.show(trained, NAME).history
    assert [(change.alias, change.version) for change in history] == [("champion", n) for n in (1, 2, 1)]
    assert [change.created_at for change in history] == sorted((c.created_at for c in history), reverse=True)
    assert history[0].reason == "back"


def test_alias_rules(trained: Workspace) -> None:
    with pytest.raises(Refused, match="is not approved"):
        approvals.set_alias(trained, NAME, "champion")
    with pytest.raises(InvalidInput, match="'live' follows what is deployed"):
        approvals.set_alias(trained, NAME, "live")
    for bad in ("../x", "a:b", "a@b", "", "x" * 65):
        with pytest.raises(InvalidInput):
            approvals.set_alias(trained, NAME, bad)
    approvals.set_alias(trained, NAME, "candidate")
    assert lookup.model_version(trained, f"{NAME}@candidate").version == 1
    assert models.list_models(trained, NAME, 10)[0].aliases == ("candidate",)
    approvals.remove_alias(trained, f"{NAME}@candidate")
    with pytest.raises(NotFound, match="no alias"):
        lookup.model_version(trained, f"{NAME}@candidate")
    approvals.approve(trained, NAME, "")
    for fixed in ("champion", "live"):
        with pytest.raises(MlopsError):
            approvals.remove_alias(trained, f"{NAME}@{fixed}")


def test_an_alias_that_stays_is_told_once(trained: Workspace) -> None:
    for _ in range(2):
        approvals.set_alias(trained, NAME, "candidate")
    assert len(models.show(trained, NAME).history) == 1
    assert keep.verify(trained).broken == ()


def test_references(trained: Workspace) -> None:
    second(trained)
    assert lookup.model_version(trained, NAME, newest=True).version == 2
    assert lookup.model_version(trained, f"{NAME}:1").version == 1
    for bad, error in (
        ("fligth-delay", "did you mean"),
        (f"{NAME}:9", "newest version is 2"),
        (f"{NAME}@x", "no alias"),
    ):
        with pytest.raises(NotFound, match=error):
            lookup.model_version(trained, bad)
    for bad in (f"{NAME}:", f"{NAME}:x", f"{NAME}:99999999999999", "a' OR '1'='1", "../x", ""):
        with pytest.raises(InvalidInput):
            lookup.model_version(trained, bad)


def test_diff_names_settings_metrics_and_features(trained: Workspace) -> None:
    second(trained)
    found = models.diff(trained, version(trained, 1), version(trained, 2))
    assert found.settings == {"train.rounds": (30, 20)}
    assert set(found.metrics) >= {"auc", "brier"}
    assert "dep_hour" in found.importance


# ── between workspaces ───────────────────────────────────────────────────────────────────────────


def test_a_model_travels_and_scores_the_same(trained: Workspace, tmp_path: Path) -> None:
    approvals.approve(trained, NAME, "")
    there, _ = init(tmp_path / "there")
    exported = exchange.export(trained, NAME, tmp_path / "model.zip")
    taken = exchange.take_in(there, tmp_path / "model.zip")
    assert (taken.ref, taken.booster, taken.report, taken.gates_passed) == (exported.ref, exported.booster, None, None)
    assert state(there) == "new"  # an approval does not travel
    with pytest.raises(Refused, match="no gate report"):
        approvals.approve(there, NAME, "")
    source = workspaces.SAMPLE / "flights" / "2013-03.parquet"
    for workspace in (trained, there):
        predict.predict(workspace, NAME, source, workspace.root / "out.parquet")
    assert_frame_equal(pl.read_parquet(trained.root / "out.parquet"), pl.read_parquet(there.root / "out.parquet"))
    assert models.show(there, NAME).run.metrics == exported.metrics
    assert exchange.take_in(there, tmp_path / "model.zip").version == 2


WRITTEN = [name for name in exchange.PIECES if name != "calibration"]  # the sample model has none


@pytest.mark.parametrize("piece", [*WRITTEN, "details", "model.json", "run.json"])
@pytest.mark.parametrize("how", ["changed", "gone", "nonsense"])
def test_a_tampered_export_is_refused(trained: Workspace, tmp_path: Path, piece: str, how: str) -> None:
    exchange.export(trained, NAME, tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    match how:
        case "gone":
            del content[piece]
        case "nonsense":
            content[piece] = b"\x00nonsense"
        case _ if piece.endswith(".json"):
            record = json.loads(content[piece])
            record |= {"booster": "0" * 64} if piece == "model.json" else {"details": "0" * 64}
            content[piece] = json.dumps(record).encode()
        case _:
            content[piece] = content[piece][:-1] + bytes([content[piece][-1] ^ 1])
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    there, _ = init(tmp_path / "there")
    before = there.catalogue.stamp()
    with pytest.raises(InvalidInput, match=r"bad\.zip"):
        exchange.take_in(there, tmp_path / "bad.zip")
    assert there.catalogue.stamp() == before
    assert list(there.objects.all()) == []


@pytest.mark.parametrize(
    ("record", "change"),
    [
        ("model.json", {"model": "../../escape"}),
        ("model.json", {"model": "'; DROP TABLE runs; --"}),
        ("model.json", {"run": "../../escape"}),
        ("model.json", {"dataset": "../x"}),
        ("run.json", {"id": "../../escape"}),
        ("run.json", {"id": ""}),
        ("run.json", {"pipeline": "../x"}),
    ],
)
def test_names_in_an_export_are_not_trusted(
    trained: Workspace, tmp_path: Path, record: str, change: dict[str, str]
) -> None:
    exchange.export(trained, NAME, tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in archive.namelist():
            data = archive.read(name)
            bad.writestr(name, json.dumps(json.loads(data) | change) if name == record else data)
    there, _ = init(tmp_path / "there")
    with pytest.raises(InvalidInput):
        exchange.take_in(there, tmp_path / "bad.zip")
    assert list(there.objects.all()) == []


def test_what_is_no_export_is_refused(trained: Workspace, tmp_path: Path) -> None:
    text = tmp_path / "text.zip"
    text.write_text("no zip at all")
    with pytest.raises(InvalidInput, match="no exported model"):
        exchange.take_in(trained, text)
    with pytest.raises(NotFound):
        exchange.take_in(trained, tmp_path / "nothing.zip")


# ── scoring files ────────────────────────────────────────────────────────────────────────────────

MARCH = workspaces.SAMPLE / "flights" / "2013-03.parquet"


def in_process(workspace: Workspace, frame: pl.DataFrame) -> pl.DataFrame:
    scorer = lookup.scorer(workspace, lookup.model_version(workspace, NAME))
    return scoring.predict(scorer, requests.frame_for(scorer.signature, frame))


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "arrow"])
def test_a_file_is_scored_as_in_process(trained: Workspace, ending: str) -> None:
    source, target = trained.root / f"in.{ending}", trained.root / f"out.{ending}"
    rows = pl.read_parquet(MARCH)
    write: dict[str, Callable[[Path], object]] = {
        "parquet": rows.write_parquet,
        "csv": rows.write_csv,
        "jsonl": rows.write_ndjson,
        "arrow": rows.write_ipc,
    }
    write[ending](source)
    scored, count = predict.predict(trained, NAME, source, target)
    assert (scored.ref, count) == ("flight-delay:1", rows.height)
    read: dict[str, Callable[[Path], pl.DataFrame]] = {
        "parquet": pl.read_parquet,
        "csv": pl.read_csv,
        "jsonl": pl.read_ndjson,
        "arrow": pl.read_ipc,
    }
    found, expected = read[ending](target), in_process(trained, rows)
    assert found.columns == [*rows.columns, *expected.columns]
    assert_frame_equal(found.select(expected.columns), expected, rel_tol=0, abs_tol=1e-12, check_dtypes=False)
    assert found["flight_id"].to_list() == rows["flight_id"].to_list()
    assert not list(trained.root.glob(".out*"))


def test_a_target_column_is_not_needed_to_score(trained: Workspace) -> None:
    source = trained.root / "in.parquet"
    pl.read_parquet(MARCH).drop("late", "dep_delay", "arr_delay").write_parquet(source)
    assert predict.predict(trained, NAME, source, trained.root / "out.parquet")[1] > 1000


WRONG: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "missing": (lambda rows: rows.drop("distance"), "distance"),
    "another type": (lambda rows: rows.with_columns(distance=pl.lit("far")), "distance"),
    "hidden": (lambda rows: rows.with_columns(prediction=pl.lit(1.0)), "prediction"),
}


@pytest.mark.parametrize("what", WRONG)
def test_rows_that_the_model_cannot_take_are_refused(trained: Workspace, what: str) -> None:
    make, column = WRONG[what]
    source, target = trained.root / "in.parquet", trained.root / "out.parquet"
    make(pl.read_parquet(MARCH)).write_parquet(source)
    with pytest.raises(InvalidInput, match=column):
        predict.predict(trained, NAME, source, target)
    assert not target.exists()


def test_files_that_are_wrong(trained: Workspace) -> None:
    with pytest.raises(NotFound, match="no file"):
        predict.predict(trained, NAME, trained.root / "nothing.parquet", trained.root / "out.parquet")
    text = trained.root / "text.parquet"
    text.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match=r"text\.parquet"):
        predict.predict(trained, NAME, text, trained.root / "out.parquet")
    with pytest.raises(InvalidInput, match="cannot write"):
        predict.predict(trained, NAME, MARCH, trained.root / "out.xlsx")


SCORE = """
import resource, sys
from pathlib import Path
from mlops_tui.flows.release import predict
from mlops_tui.flows.workspace import open_workspace
root = Path(sys.argv[1])
_, count = predict.predict(open_workspace(root), "flight-delay", root / sys.argv[2], root / sys.argv[3])
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
MOST_MB = 1000  # polars reads ahead; its own memory goes up and down and does not climb, file pages count as well


@pytest.mark.parametrize(("ending", "rows"), [("parquet", 2_000_000), ("csv", 300_000)])
def test_memory_does_not_grow_with_the_file(trained: Workspace, ending: str, rows: int) -> None:
    month = pl.read_parquet(MARCH)
    many = pl.concat([month.lazy()] * (rows // month.height + 1)).head(rows)
    source = trained.root / f"in.{ending}"
    many.sink_parquet(source, row_group_size=100_000) if ending == "parquet" else many.sink_csv(source)
    command = [sys.executable, "-c", SCORE, str(trained.root), source.name, f"out.{ending}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    count, peak = map(int, done.stdout.split())
    print(f"{rows:,} rows of {ending}, {source.stat().st_size / 1e6:.0f} MB: {peak} MB at the most")
    assert count == rows
    assert peak < MOST_MB
    shutil.rmtree(trained.root)
