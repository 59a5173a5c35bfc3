"""What a newcomer relies on: the sample data, the Makefile, the README's commands, the change log."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from datetime import UTC
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_tui import __version__
from mlops_tui.config import load_pipeline

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_data"
MONTHS = sorted((SAMPLE / "flights").glob("*.parquet"))


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    return pl.read_parquet(MONTHS)


def test_sample_data_is_one_file_a_month_and_small() -> None:
    assert [path.name for path in MONTHS] == [f"2013-{month:02}.parquet" for month in range(1, 13)]
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 6_000_000


def test_sample_data_is_what_its_readme_says(flights: pl.DataFrame) -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert "CC0" in readme
    assert flights.shape == (104_662, 22)
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .* \| ([\d,]+) \|$", readme, re.MULTILINE)
    told = [(name, dtype, int(nulls.replace(",", ""))) for name, dtype, nulls in rows]
    found = [
        (name, str(dtype.base_type()), flights[name].null_count()) for name, dtype in flights.schema.items()
    ]  # fmt: skip
    assert told == found


def test_sample_data_is_sound(flights: pl.DataFrame) -> None:
    assert flights["flight_id"].is_unique().all()
    assert flights.schema["time_hour"] == pl.Datetime("us", UTC.tzname(None))
    assert flights["time_hour"].is_sorted()
    assert (flights["late"] == (flights["arr_delay"] > 15)).all()
    assert (flights["late"].is_null() == flights["arr_delay"].is_null()).all()


def test_sample_pipeline_is_valid_and_sees_nothing_of_the_outcome(flights: pl.DataFrame) -> None:
    pipeline = load_pipeline(SAMPLE / "flight-delay.toml")
    assert {"dep_delay", "arr_delay"} <= set(pipeline.features.exclude)
    named = {*pipeline.data.key, pipeline.data.time, pipeline.target.column, *pipeline.data.checks.columns}
    assert named | set(pipeline.features.exclude) <= set(flights.columns)
    derived = flights.select(**{name: pl.sql_expr(sql) for name, sql in pipeline.features.derive.items()})
    assert derived.null_count().row(0) == (0,) * derived.width


def test_makefile_has_its_targets() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[0] for line in told.splitlines()}
    assert {"demo", "test", "check", "bench", "lock", "clean", "help"} <= listed


def test_makefile_refuses_a_python_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    command = ["make", ".venv/bin/pip", "PYTHON=no-such-python"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "this needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_changelog_and_metadata_tell_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == __version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def commands_of(text: str) -> list[str]:
    """Every `mlops …` line of a text's shell blocks, prompts and comments taken off."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    blocks = "\n".join(block for kind, block in fenced if kind in ("", "sh", "bash", "console", "shell"))
    return re.findall(r"^(?:\$ )?(?:\.venv/bin/)?(mlops .*)$", blocks.replace("\\\n", " "), re.MULTILINE)


def unknown_words(line: str, root: Any) -> list[str]:
    """The options and verbs of a command line that the program does not have."""
    command, wrong = root, []
    for word in shlex.split(line, comments=True)[1:]:
        if word in ("|", "&&", ">", "&", ";"):
            break
        if word.startswith("-") and not re.fullmatch(r"-|-?\d.*", word):
            known = {name for one in command.params for name in one.opts + one.secondary_opts} | {"--help", "-h"}
            wrong += [word] if word.split("=")[0] not in known else []
        elif hasattr(command, "get_command"):
            found = command.get_command(None, word)
            if found is None:
                return [*wrong, word]
            command = found
    return wrong


@pytest.mark.parametrize("name", ["README.md", "sample_data/README.md"])
def test_readme_commands_exist(name: str) -> None:
    import typer

    from mlops_tui.cli.main import app

    root = typer.main.get_command(app)
    text = (ROOT / name).read_text(encoding="utf-8")
    wrong = {line: words for line in commands_of(text) if (words := unknown_words(line, root))}
    assert wrong == {}
    make = set(re.findall(r"^(?:\$ )?make ([a-z]+)", text, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert make <= targets
