"""The filter language: what it reads, what it answers to half of it, and which rows it keeps."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.core import query
from mlops_tui.core.query import Term, matches, parse
from mlops_tui.errors import InvalidInput

FIELDS, NUMBERS = ("id", "status", "note"), ("auc", "ndcg@5", "version")
ROW = {"id": "0a1b", "status": "Failed", "note": "two words", "auc": 0.75, "version": 3, "tags": ["prod", "eu"],
       "at": None, "fires": True}  # fmt: skip


def test_the_examples_run() -> None:
    assert doctest.testmod(query).failed == 0


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  \t\n ", ()),
        ("flight", (Term(None, ":", "flight"),)),
        ("-note !note", (Term(None, ":", "note", True), Term(None, ":", "note", True))),
        ('"two words" a', (Term(None, ":", "two words"), Term(None, ":", "a"))),
        ('note:"two words"', (Term("note", ":", "two words"),)),
        ('-note=""', (Term("note", "=", "", True),)),
        ('"id:7"', (Term(None, ":", "id:7"),)),
        ('"-x"', (Term(None, ":", "-x"),)),
        ("auc>0.9", (Term("auc", ">", 0.9),)),
        ("auc>=-1e-3 ndcg@5<=1", (Term("auc", ">=", -0.001), Term("ndcg@5", "<=", 1.0))),
        ("version:3 version=3", (Term("version", "=", 3.0),) * 2),
        ("note:a:b=c", (Term("note", ":", "a:b=c"),)),
    ],
)
def test_a_filter_is_read(text: str, terms: tuple[Term, ...]) -> None:
    assert parse(text, FIELDS, NUMBERS) == terms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auc>", "auc> is half a term: a number is to follow"),
        ("status:", "status: is half a term: a text is to follow"),
        ("-", "- is half a term"),
        (">0.9", ">0.9 is half a term"),
        ('"two wor', '"two wor lacks its second quote'),
        ("auc>high", "auc>high compares with 'high', which is no number"),
        ("auc>nan", "auc>nan compares with 'nan', which is no number"),
        ("status>3", "status>3 compares a text: write status:… for a part of it, status=… for the whole"),
        ("statu:x", "no field 'statu'; did you mean 'status'?"),
        ("flights:4", "no field 'flights'; known: auc, id, ndcg@5, note, status, version"),
        ("a " * 33, "a filter has 32 terms at the most, this one has 33"),
        ("a\udcff", "the filter is not text: it holds bytes that are no UTF-8"),
    ],
)
def test_what_is_no_filter_is_answered_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as told:
        parse(text, FIELDS, NUMBERS)
    assert told.value.message == message


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("FAIL", True),
        ("failed words 0A", True),
        ("status=Failed", True),
        ("status=failed", False),
        ("status=Fail", False),
        ("prod", True),
        ("-prod", False),
        ("-nothing", True),
        ("true", False),
        ("auc>0.7 auc<0.8 auc>=0.75 auc<=0.75 auc=0.75", True),
        ("auc>0.75", False),
        ("ndcg@5>0", False),
        ("-ndcg@5>0", True),
        ("version:3", True),
        ("auc>0.7 nothing", False),
    ],
)
def test_a_row_is_kept_if_all_terms_hold(text: str, kept: bool) -> None:
    assert matches(parse(text, FIELDS, NUMBERS), ROW) == kept


WRITTEN = st.text(alphabet='ab0.9:<>=!-" \t\\%é\0', max_size=12) | st.text(max_size=12)


@given(st.one_of(WRITTEN, st.lists(st.sampled_from([*FIELDS, *NUMBERS, *':=<>-!" ', "0.5", "é"])).map("".join)))
def test_any_text_is_a_filter_or_invalid_input(text: str) -> None:
    try:
        terms = parse(text, FIELDS, NUMBERS)
    except InvalidInput:
        return
    assert matches(terms, ROW) in (True, False)
    for term in terms:
        opposite = Term(term.field, term.op, term.value, not term.negated)
        assert matches([term], ROW) != matches([opposite], ROW)


texts = st.text(alphabet="ab:<>= -!é", max_size=6)
figures = st.floats(allow_nan=False, allow_infinity=False)
terms = st.one_of(
    st.builds(Term, st.none(), st.just(":"), texts, st.booleans()),
    st.builds(Term, st.sampled_from(FIELDS), st.sampled_from([":", "="]), texts, st.booleans()),
    st.builds(Term, st.sampled_from(NUMBERS), st.sampled_from(["=", ">", ">=", "<", "<="]), figures, st.booleans()),
)


@given(st.lists(terms, max_size=5))
def test_what_is_written_out_is_read_back(wanted: list[Term]) -> None:
    def written(term: Term) -> str:
        value = repr(term.value) if isinstance(term.value, float) else f'"{term.value}"'
        return f"{'-' if term.negated else ''}{f'{term.field}{term.op}' if term.field else ''}{value}"

    assert parse(" ".join(map(written, wanted)), FIELDS, NUMBERS) == tuple(wanted)


def test_a_figure_that_is_not_there_is_neither_more_nor_less() -> None:
    for text in ("auc>0", "auc<=0", "auc=0"):
        assert not matches(parse(text, (), ["auc"]), {"auc": math.nan})
        assert not matches(parse(text, (), ["auc"]), {"auc": None})
