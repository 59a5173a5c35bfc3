"""Files found, fingerprinted, read and written; every kind of bad file is refused with its own line."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tui.adapters import textscan
from mlops_tui.adapters.sources import FORMATS, discover, fingerprint, read, stat_of, write_table
from mlops_tui.dtypes import schema_of
from mlops_tui.errors import External, InvalidInput, MlopsError, NotFound
from mlops_tui.records import Column


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def names(source: str, root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in discover(source, root)]


# ── finding ──────────────────────────────────────────────────────────────────────────────────────


def test_paths_folders_and_globs(tmp_path: Path) -> None:
    for name in ("d/b.csv", "d/a.CSV", "d/sub/c.parquet", "d/README.md", "d/.hidden/x.csv", "d/e[1].csv"):
        put(tmp_path / name, "a\n1\n")
    assert names("d", tmp_path) == ["d/a.CSV", "d/b.csv", "d/e[1].csv", "d/sub/c.parquet"]
    assert names("d/*.csv", tmp_path) == ["d/b.csv", "d/e[1].csv"]
    assert names("d/**/*.parquet", tmp_path) == ["d/sub/c.parquet"]
    assert names("d/e[1].csv", tmp_path) == ["d/e[1].csv"]
    assert discover(str(tmp_path / "d" / "b.csv"), Path("/")) == (tmp_path / "d" / "b.csv",)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    put(tmp_path / "docs" / "README.md", "x")
    cases = {
        "docs": "source 'docs': the folder holds no file of a known format",
        "docs/*": "source 'docs/*': the glob holds no file of a known format",
        "data/*.csv": "source 'data/*.csv': no file matches",
        "data/x.csv": "source 'data/x.csv': no such file or folder",
    }
    for source, message in cases.items():
        with pytest.raises(NotFound) as error:
            discover(source, tmp_path)
        assert error.value.message == message
        assert error.value.hint


@pytest.mark.parametrize("source", ["https://x.org/a.csv", "s3://b/a.parquet", "postgres:db", "gs://b/*.csv"])
def test_schemes_are_told_apart_from_paths(tmp_path: Path, source: str) -> None:
    with pytest.raises(InvalidInput) as error:
        discover(source, tmp_path)
    assert error.value.message == f"source '{source}': {source.partition(':')[0]}: is not read by this version"
    assert error.value.hint == f"allowed: a path, a folder or a glob of {' '.join(FORMATS)}"


def test_what_would_hang_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for act in (lambda: discover("*.csv", tmp_path), lambda: read(tmp_path / "pipe.csv")):
        with pytest.raises(InvalidInput, match=r"pipe\.csv: is not a plain file"):
            act()
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/s.csv")
        with pytest.raises(InvalidInput, match="is not a plain file"):
            fingerprint(Path(short) / "s.csv")


def test_other_endings_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv.gz", gzip.compress(b"a\n1\n"))
    with pytest.raises(InvalidInput) as error:
        discover("a.csv.gz", tmp_path)
    assert error.value.message == f"{path}: its name ends in '.gz'; allowed: {' '.join(FORMATS)}"


def test_a_fingerprint_is_the_stat_and_the_sha256(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "a\n" + "1\n" * 200_000)
    found = fingerprint(path)
    assert (found.size, found.mtime_ns) == stat_of(path) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (found.path, found.hash) == (str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(NotFound, match="no file"):
        stat_of(tmp_path / "b.csv")


# ── refusing ─────────────────────────────────────────────────────────────────────────────────────

BAD_CSV = {
    "empty": ("", "is empty"),
    "header only": ("a,b\n", "has 2 columns and no rows"),
    "blank lines only": ("\n\n", "has no header line"),
    "doubled column": ("a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'"),
    "unnamed column": ("a,\n1,2\n", "column 2 has no name"),
    "short row": ("a,b\n1,2\n3\n", "line 3 has 1 value for 2 columns"),
    "long row": ("a,b\n1,2\n3,4,5\n", "line 3 has 3 values for 2 columns"),
    "short row after a value of two lines": ('a,b\n"x\ny",2\n3', "line 4 has 1 value for 2 columns"),
    "blank row": ("a,b\n1,2\n\n3,4\n", "line 3 is blank between rows"),
    "blank row with a return": ("a,b\r\n\r\n3,4\r\n", "line 2 is blank between rows"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "is UTF-16; allowed: UTF-8"),
    "UTF-16 without its mark": ("a\n1\n".encode("utf-16-le"), "line 1 holds a zero byte: not UTF-8 text"),
    "Latin-1": ("a,b\n1,2\nè,3\n".encode("latin-1"), "line 3 is not UTF-8"),
    "Latin-1 at the end": ("a\nè".encode("latin-1"), "line 2 is not UTF-8"),
    "gzip": (gzip.compress(b"a\n1\n"), "is packed with gzip"),
    "open quote": ('a,b\n1,2\n3,"4\n5,6\n', "line 3 opens a quote that is never closed"),
    "semicolons": ("a;b\n1;2\n", "its columns seem to be separated by ';'; allowed: ','"),
}
BAD_JSON = {
    "cut off": ('{"a":1}\n\n{"a":\n', "line 3 is not JSON: Expecting value: line 2 column 1 (char 6)"),
    "no object": ('{"a":1}\n[2]\n', "line 2 is not a JSON object"),
    "blank": ("\n \n", "holds no rows"),
    "object inside": (
        '{"a":{"b":1}}\n',
        "column 'a' holds lists or objects; allowed: numbers, text, booleans, dates and times",
    ),
    "Latin-1": ('{"a":"è"}\n'.encode("latin-1"), "line 1 is not UTF-8"),
}


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [("csv", *case) for case in BAD_CSV.values()] + [("jsonl", *case) for case in BAD_JSON.values()],
    ids=[f"csv {name}" for name in BAD_CSV] + [f"jsonl {name}" for name in BAD_JSON],
)
def test_bad_text_files(tmp_path: Path, suffix: str, content: str | bytes, message: str) -> None:
    path = put(tmp_path / f"x.{suffix}", content)
    with pytest.raises(InvalidInput) as error:
        read(path)
    assert error.value.message == f"{path}: {message}"


def test_a_quote_inside_a_value_is_not_guessed_at(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", 'a,b\n5" x,1\n6" y,2\n7,3\n')
    with pytest.raises(InvalidInput, match=r"cannot be read as CSV|quotes do not pair up"):
        read(path)


def test_bad_binary_files(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": list(range(1000)), "b": ["x"] * 1000})
    frame.write_parquet(tmp_path / "whole.parquet")
    frame.write_ipc(tmp_path / "whole.arrow")
    frame.write_ipc_stream(tmp_path / "stream.arrow")
    parquet, arrow, stream = ((tmp_path / n).read_bytes() for n in ("whole.parquet", "whole.arrow", "stream.arrow"))
    nested = pl.DataFrame({"a": [1], "tags": [["x"]]})
    nested.write_parquet(tmp_path / "nested.parquet")
    frame.clear().write_parquet(tmp_path / "none.parquet")
    cases = [
        ("text.parquet", b"a,b\n1,2\n", "is not a Parquet file, whatever its name says"),
        ("short.parquet", b"PA", "is not a Parquet file, whatever its name says"),
        ("cut.parquet", parquet[:-100], "the Parquet file is cut off"),
        ("damaged.parquet", parquet[:4] + parquet[-60:], "the Parquet file is damaged: "),
        ("nested.parquet", None, "column 'tags' holds lists or objects; allowed: numbers, text"),
        ("none.parquet", None, "has 2 columns and no rows"),
        ("cut.arrow", arrow[:-100], "the Arrow file is cut off or damaged: "),
        ("text.arrow", b"a,b\n1,2\n", "is not a whole Arrow file or stream: "),
        ("cut2.arrow", stream[: len(stream) // 2], "the file is cut off: "),
    ]
    for name, content, message in cases:
        path = tmp_path / name if content is None else put(tmp_path / name, content)
        with pytest.raises(InvalidInput) as error:
            read(path)
        assert error.value.message.startswith(f"{path}: {message}"), name
        assert "\n" not in error.value.message


# ── types ────────────────────────────────────────────────────────────────────────────────────────


def csv(tmp_path: Path, text: str, **known: str) -> pl.Series:
    """The one column of a CSV file, read with what is known of it."""
    return read(put(tmp_path / "t.csv", "a\n" + text), tuple(Column(*item) for item in known.items()))["a"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1\n" * 3 + "1.5\n", [1.0, 1.0, 1.0, 1.5]),
        ("1\nNA\n", [1, None]),
        ("NaN\n2.5\n", [None, 2.5]),
        ("NA\nIT\n", ["NA", "IT"]),  # Namibia stays
        ("00501\n1\n", ["00501", "1"]),
        ("0\n0.5\n", [0.0, 0.5]),
        ("01/02/2020\n", ["01/02/2020"]),  # January or February: not guessed
        ("2020-01-02\nNA\n", [date(2020, 1, 2), None]),
        ("2020-01-02\n2020-13-02\n", ["2020-01-02", "2020-13-02"]),
        ("2020-01-02 03:04:05\n2020-01-02T03:04\n", [datetime(2020, 1, 2, 3, 4, 5), datetime(2020, 1, 2, 3, 4)]),
        (
            "2020-01-02T03:00:00Z\n2020-01-02T03:00:00+02:00\n",
            [datetime(2020, 1, 2, hour, tzinfo=UTC) for hour in (3, 1)],
        ),
        ("true\nfalse\n", [True, False]),
        ("99999999999999999999\n1\n", ["99999999999999999999", "1"]),
        ('""\nx\n', ["", "x"]),
        ("1\n\n2\n", [1, None, 2]),
    ],
)
def test_types_that_a_csv_column_shows(tmp_path: Path, text: str, values: list[object]) -> None:
    if text.startswith("2020-01-02T03:00:00Z"):
        assert csv(tmp_path, text).dtype == pl.Datetime("us", "UTC")
    assert csv(tmp_path, text).to_list() == values


def test_a_late_change_of_type_is_seen(tmp_path: Path) -> None:
    assert csv(tmp_path, "1\n" * 60_000 + "1.5\n").dtype == pl.Float64
    assert csv(tmp_path, "1\n" * 60_000 + "x\n", a="Int64").dtype == pl.String  # the contract then names it


@pytest.mark.parametrize(
    ("text", "dtype", "values"),
    [
        ("1\n2\n", "Float64", [1.0, 2.0]),
        ("1\n2\n", "String", ["1", "2"]),
        ("007\n8\n", "Int64", [7, 8]),
        ("007\n8\n", "String", ["007", "8"]),
        ("1\n2\n", "Int8", [1, 2]),
        ('""\nNA\n', "String", ["", "NA"]),
        ("NA\n\n", "Int64", [None, None]),
        ("2020-01-02\n", "Datetime(time_unit='us', time_zone=None)", [datetime(2020, 1, 2)]),
        ("2020-01-02\n", "String", ["2020-01-02"]),
    ],
)
def test_known_types_hold_from_batch_to_batch(tmp_path: Path, text: str, dtype: str, values: list[object]) -> None:
    found = csv(tmp_path, text, a=dtype)
    assert (str(found.dtype), found.to_list()) == (dtype, values)


@pytest.mark.parametrize(
    ("text", "dtype"), [("1.5\n", "Int64"), ("300\n", "Int8"), ("x\n", "Date"), ("1\n", "Boolean")]
)
def test_values_that_do_not_fit_keep_their_own_type(tmp_path: Path, text: str, dtype: str) -> None:
    assert str(csv(tmp_path, text, a=dtype).dtype) != dtype


def test_json_lines(tmp_path: Path) -> None:
    path = put(tmp_path / "a.ndjson", '{"n":1,"at":"2020-01-02","b":null}\n\n{"n":2.5,"at":null}\n')
    assert read(path).rows() == [(1.0, date(2020, 1, 2), None), (2.5, None, None)]
    assert read(path, (Column("b", "Int64"), Column("at", "String")))["b"].dtype == pl.Int64


def test_binary_formats_come_flat(tmp_path: Path) -> None:
    frame = pl.DataFrame({"c": ["x", None], "n": [None, None]}, schema={"c": pl.Categorical(), "n": pl.Null()})
    frame.write_parquet(tmp_path / "[1].parquet")
    frame.select("c").write_ipc_stream(tmp_path / "[1].arrow")
    assert schema_of(read(tmp_path / "[1].parquet", (Column("n", "Int64"),))) == (
        Column("c", "String"),
        Column("n", "Int64"),
    )
    assert read(tmp_path / "[1].arrow")["c"].to_list() == ["x", None]


# ── pieces ───────────────────────────────────────────────────────────────────────────────────────

CELL = st.text(st.sampled_from('a0è,"\n\r '), max_size=5)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(CELL, min_size=2, max_size=3), min_size=1, max_size=8), st.integers(1, 7))
def test_a_scan_does_not_depend_on_its_pieces(rows: list[list[str]], piece: int) -> None:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    text = "x,y\n" + "\n".join(quoted)
    ragged = next((n for n, row in enumerate(rows) if len(row) != 2), None)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = put(Path(folder) / "x.csv", text)
        patch.setattr(textscan, "PIECE", piece)
        if ragged is None:
            assert textscan.scan_csv(path).rows == len(rows)
        else:
            line = text[: text.index(quoted[0])].count("\n") + 1 + sum(q.count("\n") + 1 for q in quoted[:ragged])
            with pytest.raises(InvalidInput, match=f"line {line} has 3 values for 2 columns"):
                textscan.scan_csv(path)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
ROW = st.fixed_dictionaries(
    {
        "s": st.none() | WORDS,
        "i": st.none() | st.integers(-(2**62), 2**62),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "b": st.none() | st.booleans(),
        "d": st.none() | st.dates(date(1, 1, 1)),
        "t": st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
    }
)
TYPES: dict[str, type[pl.DataType] | pl.DataType] = {
    "s": pl.String,
    "i": pl.Int64,
    "f": pl.Float64,
    "b": pl.Boolean,
    "d": pl.Date,
    "t": pl.Datetime("us"),
}


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=6), st.sampled_from([*FORMATS]))
def test_what_is_written_is_read_back(rows: list[dict[str, object]], suffix: str) -> None:
    frame = pl.DataFrame(rows, schema=pl.Schema(TYPES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        write_table(frame.lazy(), path)
        assert read(path, schema_of(frame)).equals(frame)
        assert list(Path(folder).iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = put(tmp_path / "x.parquet", "old")
    broken = pl.LazyFrame({"a": ["x"]}).select(pl.col("a").cast(pl.Int64))
    with pytest.raises(External, match=r"x\.parquet: cannot be written"):
        write_table(broken, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    for wrong in (tmp_path / "x.xlsx", tmp_path / "none" / "x.csv"):
        with pytest.raises(MlopsError):
            write_table(pl.DataFrame({"a": [1]}), wrong)
