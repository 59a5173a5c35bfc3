"""The pages tell the truth: every key, every command, every link, and the example pipeline runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
import typer
from pydantic.fields import FieldInfo
from textual.keys import key_to_character
from typer._click.exceptions import ClickException

from mlops_tui import config
from mlops_tui.cli import main
from mlops_tui.config.pipeline import CHECKS, PARAMETERS
from mlops_tui.config.rules import KEYS
from mlops_tui.flows import cycle
from mlops_tui.flows import pipelines as pipeline_files
from mlops_tui.flows.workspace import SETTINGS_TEMPLATE, Workspace
from mlops_tui.records import METRICS
from mlops_tui.tui.app import MissionControl
from mlops_tui.tui.home import MARKS, WORDS
from mlops_tui.tui.page import EVERYWHERE, TABLES
from mlops_tui.tui.pages import PAGES as SHOWN
from mlops_tui.tui.pages import ROOTS
from mlops_tui.tui.themes import NAMES
from mlops_tui.tui.verbs import VERBS
from mlops_tui.tui.widgets.table import Table
from tests import workspaces

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "sample_data" / "README.md"])
FILE_PAGE = (DOCS / "pipeline-file.md").read_text(encoding="utf-8")
EXAMPLE = DOCS / "example-pipeline.toml"
ROW = re.compile(r"\| `(?P<key>[\w.]+)` \| [^|]+ \| (?P<default>[^|]+) \|")
BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEADINGS = {
    "pipeline": "[pipeline]", "data": "[data]", "data.checks": "[data.checks]",
    "data.checks.columns": "[data.checks.columns.NAME]", "target": "[target]", "features": "[features]",
    "split": "[split]", "train": "[train]", "train.tune": "[train.tune]", "gates": "[[gates]]",
    "approval": "[approval]", "serve": "[serve]", "serve.inputs": "[serve.inputs]",
    "serve.limits": "[serve.limits]", "serve.canary": "[serve.canary]", "serve.tls": "[serve.tls]",
    "monitor": "[monitor]", "rules": "[[rules]]", "policy": "[policy]",
}  # fmt: skip


def settings_in(annotation: object) -> type[config.Settings] | None:
    """Return the section that a type holds, at any depth: `dict[str, ColumnRule]` → ColumnRule."""
    if isinstance(annotation, type) and issubclass(annotation, config.Settings):
        return annotation
    return next((found for inner in get_args(annotation) if (found := settings_in(inner))), None)


def fields(model: type[config.Settings], path: str = "") -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield (section, key, field) of every key that is a value, and of the tables inside sections."""
    for name, field in model.model_fields.items():
        inner = settings_in(field.annotation)
        if inner is None or path:
            yield path, name, field
        if inner not in (None, model):  # a rule may hold rules
            yield from fields(inner, f"{path}.{name}" if path else name)


FIELDS = [(path, key, field) for path, key, field in fields(config.PipelineFile) if (path, key) != ("data", "checks")]


def rows_below(heading: str) -> dict[str, str]:
    """Return the default that the page tells for every key of a section."""
    title = re.search(rf"^#+ {re.escape(heading)}$", FILE_PAGE, flags=re.MULTILINE)
    assert title is not None, f"the page has no heading '{heading}'"
    text = re.split(r"^#+ ", FILE_PAGE[title.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    return {match["key"]: match["default"].strip() for match in ROW.finditer(text)}


def told(field: FieldInfo) -> str:
    """Return how the page tells a default."""
    if field.is_required():
        return "required"
    return "none" if field.default is None else f"`{json.dumps(field.default)}`"


@pytest.mark.parametrize(("path", "key", "field"), FIELDS, ids=[f"{path}.{key}" for path, key, _ in FIELDS])
def test_the_page_tells_every_key_and_its_default(path: str, key: str, field: FieldInfo) -> None:
    rows = rows_below(HEADINGS[path])
    assert key in rows
    if settings_in(field.annotation) is None or field.default is None:
        assert rows[key] == told(field)


def test_the_page_tells_no_key_that_is_not_there() -> None:
    known = {(path, key) for path, key, _ in FIELDS}
    assert {(path, key) for path, heading in HEADINGS.items() for key in rows_below(heading)} == known


def test_the_page_tells_the_teams_settings() -> None:
    rows = rows_below("mlops.toml")
    found = {f"{path}.{key}": field for path, key, field in fields(config.WorkspaceFile)}
    assert rows == {key: told(field) for key, field in found.items()}
    for key, default in rows.items():
        line = f"# {key.rpartition('.')[2]} = {'' if default == 'none' else default.strip('`')}"
        assert line in SETTINGS_TEMPLATE


def test_the_page_tells_every_parameter_metric_and_check() -> None:
    names = {*PARAMETERS, *CHECKS, *(name for known in METRICS.values() for name in known)}
    assert [name for name in sorted(names) if f"`{name}`" not in FILE_PAGE] == []


def test_the_example_has_every_key() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    live = tomllib.loads(text)
    spoken = {match[1] for match in re.finditer(r"^# (\w+) = ", text, flags=re.MULTILINE)}
    for path, key, _ in FIELDS:
        here: Any = live
        for part in path.split(".") if path else ():
            here = here.get(part, {})
        tables = here if isinstance(here, list) else list(here.values()) if path.endswith("columns") else [here]
        assert key in spoken or any(key in table for table in tables), f"{path}.{key}"


def test_the_example_trains(empty: Workspace) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    quick = text.replace("trials = 20", "trials = 2").replace("rounds = 400", "rounds = 20")
    (empty.root / "pipelines" / "flight-delay.toml").write_text(quick, encoding="utf-8")
    workspaces.arrive(empty, 1)
    done = cycle.apply(empty, "flight-delay")
    assert done.model == "flight-delay:1", done.steps
    assert pipeline_files.check(empty, "flight-delay")[0] == "flight-delay"


def test_the_page_of_the_rules_tells_every_kind_with_its_keys() -> None:
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, flags=re.MULTILINE))
    assert set(KEYS) <= set(rows)
    same = {"estimated_decay": rows["decay"]}  # "the same"
    for kind, keys in KEYS.items():
        assert [key for key in keys if f"`{key}" not in same.get(kind, rows[kind])] == [], kind


def test_the_rules_of_the_page_are_rules() -> None:
    blocks = re.findall(
        r"^```toml\n(.*?)^```", (DOCS / "rules.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) > 5
    for block in blocks:
        config.RuleSet.model_validate(tomllib.loads(block))


# ── the screens ──────────────────────────────────────────────────────────────────────────────────

SCREENS = (DOCS / "tui.md").read_text(encoding="utf-8")
SIGNS = {
    "up": "↑", "down": "↓", "left": "←", "right": "→", "pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc",
    "space": "Space", "less_than_sign": "<", "greater_than_sign": ">", "tab": "Tab", "enter": "Enter", "slash": "/",
}  # fmt: skip


def test_the_page_of_the_screens_tells_every_act() -> None:
    told = re.findall(r"^\| (\w+) \| `(.)` \| ([^|]+) \| `mlops ([^|`]+)` \|$", SCREENS, flags=re.MULTILINE)
    assert sorted(told) == sorted((verb.noun, verb.key, verb.label, verb.command) for verb in VERBS)


def test_the_page_of_the_screens_tells_every_other_key() -> None:
    told = re.findall(r"^\| `([^`|]+)` \| ([^|`]+) \|$", SCREENS.partition("\n## Keys\n")[2], flags=re.MULTILINE)
    assert told[: len(EVERYWHERE + TABLES)] == [*EVERYWHERE, *TABLES]


def test_the_page_of_the_screens_tells_every_binding_and_no_other() -> None:
    tables = re.split(r"\n## ", SCREENS.partition("\n## Keys\n")[2], maxsplit=1)[0]
    first = re.findall(r"^\| `([^`|]+)` \| [^|]+ \|(?: [^|]+ \|)?$", tables, flags=re.MULTILINE)
    classes = {one for page in {*SHOWN.values(), *ROOTS} for one in page.__mro__} | {MissionControl, Table}
    ours = [one for one in classes if one.__module__.startswith("mlops_tui")]
    bound = {key for one in ours for binding in one.__dict__.get("BINDINGS", ()) for key in binding.key.split(",")}
    assert {sign(key) for key in bound} | {"Ctrl+P"} == {key for keys in first for key in keys.split()}


def sign(key: str) -> str:
    """A key as the page writes it, by Textual's name for it."""
    return SIGNS.get(key) or key_to_character(key) or key.title()


def test_the_page_of_the_screens_tells_every_mark_and_theme() -> None:
    told = re.findall(r"^\| `(.)` \| ([^|]+) \|$", SCREENS.partition("\n## Build")[0], flags=re.MULTILINE)
    assert told == [(MARKS[mark], WORDS[mark]) for mark in MARKS]
    assert [name for name in NAMES if f"`{name}`" not in SCREENS] == []


# ── commands and links ───────────────────────────────────────────────────────────────────────────


def commands() -> list[tuple[str, str]]:
    """Return every `mlops` line of the pages' shell blocks, with the page it stands in."""
    found = []
    for page in PAGES:
        blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
        lines = [line.removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        found += [(page.name, line) for line in lines if re.match(r"(\.venv/bin/)?mlops ", line)]
    return found


def test_every_command_of_the_pages_is_one() -> None:
    """Each is parsed by the program itself, and not carried out."""
    group: Any = typer.main.get_command(main.app)
    lines = commands()
    assert len(lines) > 50
    for page, line in lines:
        words = shlex.split(re.split(r" (?:\||>|&&|#) ", line)[0])[1:]
        parse(group, words, f"{page}: {line}")


def parse(group: Any, words: list[str], where: str) -> None:
    """Resolve a command through its groups, then parse its arguments; raises AssertionError if that fails."""
    try:
        context = group.make_context("mlops", list(words))
        while hasattr(context.command, "list_commands"):
            rest = [*context._protected_args, *context.args]
            name, command, rest = context.command.resolve_command(context, rest)
            context = command.make_context(name, list(rest), parent=context)
    except typer.Exit:
        return  # --help
    except ClickException as error:
        raise AssertionError(f"{where}: {error.format_message()}") from None


def test_the_list_of_commands_is_up_to_date() -> None:
    sys.path.insert(0, str(DOCS))
    try:
        import make_cli
    finally:
        sys.path.remove(str(DOCS))
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert page.partition(make_cli.MARK)[2].strip() == make_cli.generated().strip(), "run docs/make_cli.py"


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Return the names that headings can be linked by."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_target_of_make_that_the_pages_name_is_there() -> None:
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`?make ([a-z]+)`", page.read_text(encoding="utf-8"))}
    assert named
    assert named <= known


def test_the_pictures_load_nothing() -> None:
    pictures = sorted((DOCS / "pictures").glob("*.svg"))
    assert pictures
    for picture in pictures:
        text = picture.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert not re.search(r"url\((?!#)|href=|@import", text)


def test_no_page_tells_a_path_of_a_machine() -> None:
    for page in [*PAGES, EXAMPLE, *(DOCS / "pictures").glob("*.svg")]:
        assert not re.search(r"/(home|root|tmp|work|Users)/\w", page.read_text(encoding="utf-8")), page.name


def test_python_m_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "mlops_tui", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("mlops-tui ")
