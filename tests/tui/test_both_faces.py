"""What one face can do, the other can: the CLI's commands against the screens' acts and pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlops_tui.tui.lists import Lists
from mlops_tui.tui.pages import PAGES, ROOTS
from mlops_tui.tui.verbs import VERBS, Subject, for_subject
from mlops_tui.tui.views import READING, VIEWS
from tests.cli.called import call

DOCS = Path(__file__).parents[2] / "docs" / "tui.md"
ACTS = {verb.command for verb in VERBS}


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """Every command that there is, as the CLI itself lists them, with its options."""
    return {
        item["command"].removeprefix("mlops "): {
            one["flags"][0] for one in item["parameters"] if one["kind"] == "option" and one["flags"][0] != "--json"
        }
        for item in call(None, "spec", "--json").json["items"]
    }


@pytest.fixture(scope="module")
def commands(options: dict[str, set[str]]) -> set[str]:
    """Every command that there is."""
    return set(options)


def only_in_one() -> dict[str, str]:
    """Command, or command and option → why it has no place in the screens, from the table in the docs."""
    section = DOCS.read_text(encoding="utf-8").partition("## Only in one face\n")[2].partition("\n## ")[0]
    return {row[1]: row[2] for row in re.finditer(r"^\| `([^`]+)` \| CLI \| (.+) \|$", section, re.MULTILINE)}


def test_every_command_is_an_act_or_a_page_or_stands_in_the_table_with_its_reason(commands: set[str]) -> None:
    excused = only_in_one()
    assert commands - ACTS - set(VIEWS) == {line for line in excused if " --" not in line}
    assert all(len(reason) > 10 for reason in excused.values())


def test_every_option_of_an_act_is_asked_for_or_said_or_stands_in_the_table(options: dict[str, set[str]]) -> None:
    left = {f"{command} {flag}" for command in ACTS for flag in options[command] - given(command)}
    assert left == {line for line in only_in_one() if " --" in line}


def given(command: str) -> set[str]:
    """The options that the acts of a command ask for, or say by themselves."""
    own = [verb for verb in VERBS if verb.command == command]
    said = {word for verb in own for word in (*verb.words.split(), *(ask.flag for ask in verb.asks))}
    return said | ({"--yes"} if any(verb.yes for verb in own) else set())


def test_every_act_and_every_page_is_a_command(commands: set[str]) -> None:
    assert ACTS - commands == set()
    assert set(VIEWS) - commands == set()


def test_no_act_hides_behind_another_of_the_same_key() -> None:
    for noun in {verb.noun for verb in VERBS}:
        keys = [verb.key for verb in VERBS if verb.noun == noun]
        assert len(keys) == len(set(keys)), noun
        assert [verb.key for verb in for_subject(Subject(noun, "x"))][: len(keys)] == keys


def test_no_act_has_a_key_that_the_pages_take_themselves() -> None:
    taken = set("0123qJToEy/?:<>! ")
    for page in {*PAGES.values(), *ROOTS}:
        own = {binding.key for binding in getattr(page, "BINDINGS", ())}
        bound = {key for keys in own for key in keys.split(",")} if page in PAGES.values() else set()
        assert not {verb.key for verb in VERBS} & (taken | (bound if page is Lists else set()))


def test_read_only_allows_no_command_that_changes_something() -> None:
    assert {verb.command for verb in VERBS if not verb.reads} & READING == set()
