"""How wide columns are, which of them fit, and in what order rows stand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mlops_tui.tui.widgets.columns import Cell, Column, fit, fitting, ordered, widths

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "M", "Z"]), max_size=30)
COLUMNS = st.lists(
    st.builds(Column, TEXTS, TEXTS, least=st.integers(0, 12), most=st.integers(1, 50)), min_size=1, max_size=8
)
VALUES = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3))


@given(COLUMNS, st.lists(st.lists(TEXTS.map(Cell), max_size=8), max_size=5), st.integers(0, 200), st.integers(0, 3))
def test_columns_fit_the_room_or_have_given_what_they_can(
    columns: list[Column], rows: list[list[Cell]], room: int, gap: int
) -> None:
    found = widths(columns, rows, room, gap)
    least = [max(column.least, min(6, len(column.title))) for column in columns]
    assert all(width >= low for width, low in zip(found, least, strict=True))
    assert sum(found) + gap * (len(found) - 1) <= room or found == least


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 100), st.integers(0, 3), st.data())
def test_what_is_shown_fits_and_the_first_column_is_always_there(
    found: list[int], room: int, gap: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(found) - 1))
    shown, more = fitting(found, first, room, gap)
    assert shown[0] == 0
    assert shown == [0, *range(max(1, first), max(1, first) + len(shown) - 1)]
    assert more == len(found) - max(first, 1) - len(shown) + 1
    assert len(shown) == 1 or sum(found[i] + gap for i in shown) - gap <= room


@given(TEXTS, st.integers(1, 40), st.booleans())
def test_a_fitted_text_is_as_wide_as_it_should_be(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(text, width, right)) == width


@given(st.lists(VALUES, max_size=12), st.booleans())
def test_rows_stand_in_order_and_what_is_not_known_comes_last(values: list[object], reverse: bool) -> None:
    rows = {i: (Cell("", value=value),) for i, value in enumerate(values)}
    keys = ordered(range(len(values)), rows, 0, reverse)
    assert sorted(keys) == list(range(len(values)))  # type: ignore[type-var]
    found = [rows[key][0].rank for key in keys if isinstance(key, int)]
    known = [value for value in found if value is not None]
    assert found == known + [None] * (len(found) - len(known))
    numbers = all(isinstance(value, int | float) for value in known)
    read = known if numbers or all(isinstance(value, str) for value in known) else [str(value) for value in known]
    assert read == sorted(read, reverse=reverse)  # type: ignore[type-var]
