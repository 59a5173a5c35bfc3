"""Wrong input is answered by one clear line, an exit code of 2 (1: refused, 3: the world), and nothing half-written."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import polars as pl
import pytest

from mlops_tui.adapters import ports
from mlops_tui.errors import InvalidInput
from mlops_tui.flows.workspace import Workspace, open_workspace
from tests import workspaces
from tests.cli.called import Answer, call, process

ROWS = 600


def told(answer: Answer, *words: str, code: int = 2) -> str:
    """The error line, once the answer was checked: exit code, one line that holds the words, nothing on stdout."""
    assert answer.code == code, answer.out + answer.err
    assert answer.out == ""
    lines = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, answer.err
    for word in words:
        assert word in answer.err, answer.err
    assert "/tmp/mlops-" not in answer.err, "a log of a bug"
    return lines[0]


def refused(workspace: Workspace, *arguments: str, words: tuple[str, ...], code: int = 2) -> None:
    """Run a command that must be refused and must leave the catalogue as it was."""
    before = workspace.catalogue.stamp()
    told(call(workspace.root, *arguments), *words, code=code)
    assert workspace.catalogue.stamp() == before


# ── what people type ─────────────────────────────────────────────────────────────────────────────

TYPED: list[tuple[str, tuple[str, ...]]] = [
    ("nothing", ("no command 'nothing'",)),
    ("plann flight-delay", ("did you mean 'plan'?",)),
    ("models lst", ("'list'",)),
    ("models list --limt 3", ("--limt", "--limit")),
    ("models list --limit 0", ("--limit", "1<=x")),
    ("models list --limit 99999999999999999999999", ("--limit",)),
    ("models list --limit many", ("--limit", "many")),
    ("models show", ("argument", "model")),
    ("models show fligth-delay", ("no model 'fligth-delay'", "did you mean 'flight-delay'?")),
    ("models show flight-delay:9", ("the newest version is 1",)),
    ("models show flight-delay:99999999999999999999", ("flight-delay:99999999999999999999",)),
    ("models show flight-delay@winner", ("flight-delay@winner",)),
    ("models show flight-delay:one", ("flight-delay:one",)),
    ("models list nothing", ("no model 'nothing'",)),
    ("datasets show flight", ("no dataset 'flight'", "did you mean 'flights'?")),
    ("datasets show flights:7", ("the newest version is 1",)),
    ("datasets show flights@live", ("no aliases",)),
    ("datasets list nothing", ("no dataset 'nothing'",)),
    ("datasets refresh nothing", ("no dataset 'nothing'",)),
    ("plan fligth-delay", ("no pipeline 'fligth-delay'", "did you mean 'flight-delay'?")),
    ("run pipelines/nothing.toml", ("pipelines/nothing.toml",)),
    ("runs list nothing", ("no pipeline 'nothing'",)),
    ("runs show 000000000000", ("no run",)),
    ("runs show not-hex", ("not-hex", "hex")),
    ("deployments show nothing", ("no deployment 'nothing'",)),
    ("deployments start flight-delay --port 99999", ("--port", "65535")),
    ("deployments start flight-delay --port http", ("--port", "http")),
    ("models import data/flights/2013-01.parquet", ("2013-01.parquet",)),
    ("restore data/flights/2013-01.parquet --yes", ("is no backup",)),
    ("restore nothing.tar --yes", ("nothing.tar",)),
    ("datasets add extra nothing.csv", ("nothing.csv", "no such file")),
    ("datasets add extra nothing/*.csv", ("nothing/*.csv",)),
    ("datasets export flights flights.docx", ("flights.docx", ".parquet")),
    ("models predict flight-delay nothing.csv scored.csv", ("nothing.csv",)),
    ("models predict flight-delay data/flights scored.csv", ("data/flights",)),
    ("pipelines new extra data/flights --target nothing", ("no column 'nothing'",)),
    ("models export flight-delay .", (". is a folder", "name a file")),
    ("models export flight-delay /", ("/ is a folder", "name a file")),
    ("models predict flight-delay data/flights/2013-01.parquet data/flights/..", ("data/flights/..",)),
    ("datasets export flights .", (".",)),
    ("backup .", (". is a folder",)),
    ("backup ..", (".. is a folder",)),
    ("datasets add extra ~nosuchuser7/x.csv", ("~nosuchuser7", "no such user")),
    ("--color pink models list", ("pink", "always")),
    ("monitor run flight-delay --window 7x", ("--window '7x'", "as in '10m'")),
    ("monitor run flight-delay --window 0d", ("--window '0d'", "between 1s and 3660d")),
    ("monitor run flight-delay --from soon", ("--from 'soon'", "2013-05-01")),
    (
        "monitor run flight-delay --from 2013-05-02 --to 2013-05-01",
        ("--from 2013-05-02", "is not before --to 2013-05-01"),
    ),
    ("rules backtest flight-delay --step 7x", ("step '7x'", "'1mo'")),
    ("rules backtest flight-delay --to soon", ("--to 'soon'", "2013-05-01")),
    ("rules backtest flight-delay --from 2013-03-02 --to 2013-03-01", ("2013-03-01", "--from and --to")),
    ("rules backtest flight-delay --policy often", ("--policy 'often'", "NAME=FILE")),
    ("rules backtest flight-delay --policy often=nothing.toml", ("nothing.toml",)),
    ("rules backtest flight-delay --out nothing/windows.parquet", ("--out", "no folder nothing")),
    ("rules backtest flight-delay --out data", ("--out data is a folder", "name a file")),
]


@pytest.mark.parametrize(("line", "words"), TYPED, ids=[line for line, _ in TYPED])
def test_what_people_type(line: str, words: tuple[str, ...], trained_template: Path) -> None:
    before = open_workspace(trained_template).catalogue.stamp()
    told(call(trained_template, *line.split()), *words)
    assert open_workspace(trained_template).catalogue.stamp() == before


NAMES = [
    "../up",
    "a/b",
    "it's",
    'quo"te',
    "x; DROP TABLE runs; --",
    "",
    ".hidden",
    "a" * 64,
    "flight-",
    "a_",
    "a.b-",
    "naïve",
    "a\nb",
    "two words",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none(name: str, trained: Workspace) -> None:
    before = trained.catalogue.stamp()
    for words in (
        ("datasets", "add", name, "data/flights"),
        ("pipelines", "new", name, "data/flights"),
        ("models", "alias", "flight-delay:1", name),
        ("models", "show", name),
        ("plan", name),
        ("deployments", "start", "flight-delay:1", "--unapproved", "--name", name),
    ):
        told(call(trained.root, *words), "NAME:VERSION" if words[1] == "show" and not name else "letters, digits")
    assert trained.catalogue.stamp() == before
    assert not (trained.root.parent / "up").exists()


def test_a_run_prefix_that_several_share(trained: Workspace) -> None:
    refused(trained, "runs", "show", "", words=("run id",))
    from mlops_tui.adapters.catalogue import build
    from mlops_tui.records import from_json, to_json

    with trained.catalogue.write(trained.now()) as act:
        first = build.runs(act)[0]
        twin = from_json(to_json(first).replace(first.id.encode(), first.id[:6].encode() + b"ffffff"), type(first))
        build.add_run(act, twin)
        act.record("run.started", twin.id)
    refused(trained, "runs", "show", first.id[:6], words=("not unique", first.id, twin.id))


# ── pipeline files ───────────────────────────────────────────────────────────────────────────────


def pipeline(workspace: Workspace, old: str, new: str) -> None:
    """Change one line of the sample pipeline."""
    path = workspace.root / "pipelines" / "flight-delay.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


FILES: list[tuple[str, str, tuple[str, ...]]] = [
    ('column = "late"', 'column = "lat"', ("'lat'", "late")),
    ('exclude = ["tailnum",', 'exclude = ["tailnumb",', ("tailnumb", "tailnum")),
    ('time = "time_hour"', 'time = "time_our"', ("time_our", "time_hour")),
    ("sched_dep_time // 100", "sched_dep_tim // 100", ("sched_dep_tim",)),
    ("sched_dep_time // 100", "sched_dep_time // (", ("sched_dep_time // (", "derive")),
    ("[features]", '[features]\ninclude = ["late", "distance"]', ("'late'", "cannot be a feature")),
    ('task = "binary"', 'task = "binry"', ("target.task", "binry", "'binary'")),
    ("rounds = 30", 'rounds = "many"', ("train.rounds", "many", "integer")),
    ("rounds = 30", "rounds = 99999999999999999999", ("train.rounds", "100000")),
    ("seed = 7", "seed = -1", ("train.seed",)),
    ("num_leaves = 15", "num_leafs = 15", ("num_leafs", "num_leaves")),
    ("[split]", "[splitt]", ("splitt", "split")),
    ("[split]", "[split", ("not TOML", "flight-delay.toml")),
    ('name = "flight-delay"', 'name = "../x"', ("letters, digits",)),
]


@pytest.mark.parametrize(("old", "new", "words"), FILES, ids=[new for _, new, _ in FILES])
def test_a_mistake_in_the_pipeline_file(old: str, new: str, words: tuple[str, ...], trained: Workspace) -> None:
    pipeline(trained, old, new)
    told(call(trained.root, "run", "pipelines/flight-delay.toml"), *words)
    after = call(trained.root, "models", "list", "--json").json["items"]
    assert len(after) == 1
    assert call(trained.root, "audit", "verify").code == 0


def test_all_mistakes_of_a_pipeline_file_at_once(trained: Workspace) -> None:
    pipeline(trained, "rounds = 30", "rounds = 0")
    pipeline(trained, 'task = "binary"', 'task = "ternary"')
    pipeline(trained, "[features]", "[features]\nexclued = []")
    refused(
        trained, "run", "flight-delay",
        words=("3 mistakes", "train.rounds", "target.task", "features.exclued", "did you mean 'exclude'?"),
    )  # fmt: skip


def test_a_folder_where_a_pipeline_file_is_expected(trained: Workspace) -> None:
    (trained.root / "pipelines" / "folder.toml").mkdir()
    refused(trained, "run", "pipelines/folder.toml", words=("folder.toml",))
    assert call(trained.root, "pipelines", "list").code == 0


def test_settings_of_the_team_that_are_wrong(trained: Workspace) -> None:
    path = trained.root / "mlops.toml"
    for text, word in (("[training]\nthreads = -1\n", "threads"), ("[nothing]\nx = 1\n", "nothing"), ("x", "TOML")):
        path.write_text(text, encoding="utf-8")
        told(call(trained.root, "models", "list"), str(path), word)


# ── data ─────────────────────────────────────────────────────────────────────────────────────────


def frame(**columns: object) -> pl.DataFrame:
    """Rows with two features and a binary target; given columns replace them or are added."""
    made = {"x": [i * 0.37 % 1 for i in range(ROWS)], "y": [i % 7 for i in range(ROWS)]}
    return pl.DataFrame(made | {"target": [i % 3 == 0 for i in range(ROWS)]} | columns)  # type: ignore[operator]


def write(workspace: Workspace, data: pl.DataFrame | str | bytes, file: str = "data/made.csv") -> None:
    """Write rows, or what stands in their place, and a pipeline that reads them."""
    path = workspace.root / file
    path.parent.mkdir(exist_ok=True)
    if isinstance(data, pl.DataFrame):
        data.write_csv(path)
    else:
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    text = f'[pipeline]\nname = "made"\n[data]\ndataset = "made"\nsource = "{file}"\n'
    text += '[target]\ncolumn = "target"\ntask = "binary"\n[train]\nrounds = 5\n'
    (workspace.root / "pipelines" / "made.toml").write_text(text, encoding="utf-8")


NONE = [None] * ROWS
DATA: dict[str, tuple[pl.DataFrame | str | bytes, tuple[str, ...]]] = {
    "an empty file": ("", ("made.csv",)),
    "a head and no row": ("x,y,target\n", ("row",)),
    "constant target": (frame(target=[1] * ROWS), ("target",)),
    "all-null target": (frame(target=NONE), ("target",)),
    "2 rows": (frame()[:2], ("row",)),
    "three classes for binary": (frame(target=[i % 3 for i in range(ROWS)]), ("target", "3")),
    "text as binary labels, no positive": (frame(target=["a", "b"] * (ROWS // 2)), ("target", "positive")),
    "only the target": (frame().select("target"), ("600 rows make 2 units",)),
    "no target column": (frame().drop("target"), ("'target'",)),
    "two columns of one name": ("x,x,target\n1,2,0\n3,4,1\n", ("x",)),
    "a row that is too long": ("x,target\n1,0\n1,2,3,4\n", ("made.csv",)),
    "not utf-8": (b"x,target\n\xff\xfe,0\n", ("made.csv",)),
}


@pytest.mark.parametrize("what", DATA)
def test_data_that_cannot_be_trained_on(what: str, empty: Workspace) -> None:
    data, words = DATA[what]
    write(empty, data)
    answer = call(empty.root, "run", "made")
    if answer.code == 1:  # the contract says no: the version is kept, and marked
        assert "blocked" in answer.out
    else:
        told(answer, *words)
    assert call(empty.root, "models", "list", "--json").json["items"] == []
    assert all(item["status"] == "failed" for item in call(empty.root, "runs", "list", "--json").json["items"])
    assert call(empty.root, "audit", "verify").code == 0


def test_an_all_null_column_is_no_obstacle(empty: Workspace) -> None:
    write(empty, frame(hollow=NONE))
    answer = call(empty.root, "run", "made")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("ending", ["parquet", "arrow", "jsonl"])
def test_a_text_file_of_another_name(ending: str, empty: Workspace) -> None:
    write(empty, "x,y,target\n1,2,0\n", f"data/made.{ending}")
    told(call(empty.root, "run", "made"), f"made.{ending}")
    assert call(empty.root, "datasets", "list", "--json").json["items"] == []


def test_a_cut_parquet_file(empty: Workspace) -> None:
    whole = (workspaces.SAMPLE / "flights" / "2013-01.parquet").read_bytes()
    write(empty, whole[: len(whole) // 2], "data/made.parquet")
    told(call(empty.root, "run", "made"), "made.parquet")


def test_unicode_in_columns_values_and_paths(empty: Workspace) -> None:
    write(empty, frame(größe=["klein", "groß", "日本"] * (ROWS // 3)), "data/größe ☃.csv")
    answer = call(empty.root, "run", "made")
    assert answer.code == 0, answer.err
    assert "größe" in call(empty.root, "datasets", "show", "made").out


def test_numbers_beyond_all_measure(empty: Workspace) -> None:
    write(empty, frame(huge=[1e308, -1e308, float("inf")] * (ROWS // 3), whole=[2**63 - 1, -(2**63)] * (ROWS // 2)))
    answer = call(empty.root, "run", "made")
    assert answer.code in (0, 2), answer.err
    if answer.code:
        told(answer)


def test_a_file_whose_name_is_no_text(empty: Workspace) -> None:
    folder = empty.root / "data" / "odd"
    folder.mkdir(parents=True)
    (folder / "good.csv").write_text("x\n1\n")
    (folder / os.fsdecode(b"\xff.csv")).write_text("x\n2\n")
    told(call(empty.root, "datasets", "add", "odd", "data/odd"), "\\xff.csv", "not UTF-8", "rename")
    assert call(empty.root, "datasets", "list", "--json").json["items"] == []


def test_a_value_that_is_no_number_names_the_file(trained: Workspace) -> None:
    rows = pl.read_parquet(workspaces.SAMPLE / "flights" / "2013-03.parquet").head(30)
    rows = rows.with_columns(distance=pl.when(pl.int_range(30) == 20).then(pl.lit("far")).otherwise("distance"))
    rows.write_csv(trained.root / "bad.csv")
    told(call(trained.root, "models", "predict", "flight-delay:1", "bad.csv", "out.csv"), "bad.csv", "far")
    told(call(trained.root, "models", "explain", "flight-delay:1", "bad.csv", "--limit", 30), "bad.csv", "far")
    rows.drop("distance").write_csv(trained.root / "less.csv")
    told(call(trained.root, "models", "predict", "flight-delay:1", "less.csv", "out.csv"), "less.csv", "'distance'")
    assert not (trained.root / "out.csv").exists()


def test_explain_reads_what_predict_reads(trained: Workspace) -> None:
    """A CSV whose first rows look like another type: its types are those that the model was trained on."""
    rows = pl.read_parquet(workspaces.SAMPLE / "flights" / "2013-03.parquet").head(8)
    rows.with_columns(carrier=pl.lit("7"), distance=pl.lit(None)).write_csv(trained.root / "rows.csv")
    assert call(trained.root, "models", "predict", "flight-delay:1", "rows.csv", "out.csv").code == 0
    answer = call(trained.root, "models", "explain", "flight-delay:1", "rows.csv", "--limit", 3, "--json")
    assert answer.code == 0, answer.err
    assert len(answer.json["rows"]) == 3


@pytest.mark.parametrize("host", ["\udcff", "ü" * 70, "a\0b"])
def test_a_host_that_is_no_name(host: str) -> None:
    for act in (ports.check, lambda host, port: ports.bound(host, port, beside=False)):
        with pytest.raises(InvalidInput, match="no address") as error:
            act(host, 0)
        error.value.message.encode()


def test_a_backup_that_is_cut_off(trained: Workspace) -> None:
    path = trained.root / "backup.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(trained.home / "catalogue.duckdb", "catalogue.duckdb")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = trained.catalogue.stamp()
    told(call(trained.root, "restore", path, "--yes"), "backup.tar.gz", "no backup")
    assert trained.catalogue.stamp() == before


# ── places ───────────────────────────────────────────────────────────────────────────────────────


def test_no_workspace_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told(call(None, "models", "list"), "no workspace", "mlops init")
    told(call(tmp_path / "nowhere", "models", "list"), "is not a workspace", "mlops init")
    told(call(None, "-C"), "-C")


def test_a_workspace_that_may_not_be_written(trained: Workspace) -> None:
    """A file where a folder is expected says no to root too, who may write everywhere."""
    objects = trained.home / "objects"
    objects.rename(trained.home / "elsewhere")
    objects.write_text("")
    told(call(trained.root, "datasets", "add", "more", "data/flights"), code=3)
    told(call(trained.root / "mlops.toml", "models", "list"), "is not a workspace")
    told(call(None, "init", str(trained.root / "mlops.toml")), "mlops.toml", code=3)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_workspace_that_is_read_only(trained: Workspace) -> None:
    for folder in (trained.home, trained.home / "objects", trained.home / "locks"):
        folder.chmod(0o555)
    told(call(trained.root, "run", "flight-delay"), code=3)


def test_a_catalogue_that_is_damaged_or_gone(trained: Workspace) -> None:
    path = trained.home / "catalogue.duckdb"
    whole = path.read_bytes()
    for damaged in (b"", b"not a database" * 1000, whole[: len(whole) // 2], b"\0" * 8192 + whole[8192:]):
        path.write_bytes(damaged)
        done = process(trained.root, "models", "list")
        told(Answer(done.returncode, done.stdout, done.stderr), "catalogue", code=3)
    path.unlink()
    told(call(trained.root, "models", "list"), "catalogue", "not there", code=3)


def test_an_object_that_is_damaged_or_gone(trained: Workspace) -> None:
    shutil.rmtree(trained.home / "objects")
    told(call(trained.root, "datasets", "show", "flights"), "missing", "backup", code=3)
    (trained.home / "objects").mkdir()
    assert call(trained.root, "doctor").code == 1
