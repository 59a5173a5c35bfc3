"""One pass over the bytes of a text file, before it is parsed: encoding, header, and every row's width.

A CSV parser pads a short row with nulls and says nothing, so rows are counted here first. The pass takes
the file in pieces and costs about as much as hashing it.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlops_tui.errors import InvalidInput

PIECE = 8 << 20
LONGEST = 64 << 20  # bytes; a "row" beyond it is an open quote, and is not worth the memory
QUOTE, COMMA, NEWLINE, RETURN, ZERO = b'",\n\r0'
BEFORE_VALUE = np.frombuffer(b',\n"', dtype=np.uint8)
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """A sound CSV file's columns, its number of rows, and whether some value looks like a code: 00501."""

    header: tuple[str, ...]
    rows: int
    leading_zeros: bool


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in pieces; raises InvalidInput, with the line, where they are not UTF-8 text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, first = 0, True
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            if first and piece[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise InvalidInput(f"{path}: is UTF-16; allowed: UTF-8", "save it as UTF-8")
            if first and piece[:2] == b"\x1f\x8b":
                raise InvalidInput(f"{path}: is packed with gzip", "unpack it first")
            if (nul := piece.find(0)) >= 0:
                at = lines + piece.count(b"\n", 0, nul) + 1
                raise InvalidInput(f"{path}: line {at} holds a zero byte: not UTF-8 text", "save it as UTF-8")
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                at = lines + error.object[: error.start].count(b"\n") + 1
                raise InvalidInput(f"{path}: line {at} is not UTF-8", "save it as UTF-8") from None
            lines, first = lines + piece.count(b"\n"), False
            yield piece
    if decoder.getstate()[0]:
        raise InvalidInput(f"{path}: line {lines + 1} is not UTF-8", "save it as UTF-8")


def check_text(path: Path) -> None:
    """Raise InvalidInput, with the line, where a file's bytes are not UTF-8 text."""
    for _ in pieces(path):
        pass


@dataclass(frozen=True, slots=True)
class _Rows:
    """Whole rows of a CSV file: their bytes, the line they begin on, where rows end and commas stand."""

    line: int
    data: Bytes
    ends: Places
    commas: Places

    def line_of(self, row: int) -> int:
        """The line of the file on which a row begins; a value in quotes may span lines."""
        start = int(self.ends[row - 1]) + 1 if row else 0
        return self.line + int(np.count_nonzero(self.data[:start] == NEWLINE))


def scan_csv(path: Path) -> CsvLayout:
    """Return a CSV file's layout; raises InvalidInput for a bad header or the first row of another width."""
    header: tuple[str, ...] = ()
    count, blank, zeros = -1, 0, False  # the header is no row
    for rows in _whole_rows(path):
        header = header or _read_header(path)
        found, hole = _count(rows, len(header), path)
        if blank and found:
            raise _gap(path, blank)
        count, blank, zeros = count + found, blank or hole, zeros or _has_leading_zero(rows.data)
    if count < 1:
        raise InvalidInput(f"{path}: has {len(header)} columns and no rows")
    return CsvLayout(header, count, zeros)


def _whole_rows(path: Path) -> Iterator[_Rows]:
    """Yield a file's rows in blocks that begin and end where a row does."""
    rest, line = b"", 1
    for piece in pieces(path):
        rows = _split(rest + piece, line)
        cut = int(rows.ends[-1]) + 1 if len(rows.ends) else 0
        rest = rows.data[cut:].tobytes()
        if len(rest) > LONGEST:
            break
        if cut:
            line += int(np.count_nonzero(rows.data[:cut] == NEWLINE))
            yield _Rows(rows.line, rows.data[:cut], rows.ends, rows.commas[rows.commas < cut])
    if rest:
        rows = _split(rest + b"\n", line)
        if not len(rows.ends):
            raise InvalidInput(f"{path}: line {line} opens a quote that is never closed", "close it, or double it")
        yield rows


def _split(data: bytes, line: int) -> _Rows:
    """Where rows end and commas part values: outside quotes, and a doubled quote flips the parity twice."""
    numbers: Bytes = np.frombuffer(data, dtype=np.uint8)
    ends, commas = numbers == NEWLINE, numbers == COMMA
    quotes = numbers == QUOTE
    if quotes.any():
        outside = ~np.logical_xor.accumulate(quotes)
        ends, commas = ends & outside, commas & outside
    return _Rows(line, numbers, np.flatnonzero(ends), np.flatnonzero(commas))


def _count(rows: _Rows, width: int, path: Path) -> tuple[int, int]:
    """The number of rows, and the line of the first blank line at the end of them (0: none)."""
    before = np.concatenate(([-1], rows.ends[:-1]))
    lengths = rows.ends - before - 1
    values = np.diff(np.searchsorted(rows.commas, rows.ends), prepend=0) + 1
    bare = (lengths == 0) | ((lengths == 1) & (rows.data[rows.ends - 1] == RETURN))
    if width == 1:
        bare[:] = False  # with one column a blank line is a missing value
    full = np.flatnonzero(~bare)
    last = int(full[-1]) if len(full) else -1
    wrong = np.flatnonzero(((values != width) | bare)[: last + 1])
    if len(wrong):
        row = int(wrong[0])
        raise _gap(path, rows.line_of(row)) if bare[row] else _ragged(path, rows.line_of(row), int(values[row]), width)
    return len(full), rows.line_of(last + 1) if last + 1 < len(bare) else 0


def _gap(path: Path, line: int) -> InvalidInput:
    return InvalidInput(f"{path}: line {line} is blank between rows", "take the line out")


def _ragged(path: Path, line: int, values: int, width: int) -> InvalidInput:
    text = f"{path}: line {line} has {values} value{'s' * (values != 1)} for {width} columns"
    return InvalidInput(text, "a value with a comma or a line break in it stands in quotes")


def _has_leading_zero(data: Bytes) -> bool:
    """Whether some value may begin with a zero and go on with a digit."""
    places = np.flatnonzero(data[1:-1] == ZERO) + 1
    digit = (data[places + 1] >= ZERO) & (data[places + 1] <= ZERO + 9)
    return bool((digit & np.isin(data[places - 1], BEFORE_VALUE)).any())


def _read_header(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = tuple(next(csv.reader(file), ()))
    check_header(header, str(path))
    if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), None)):
        text = f"{path}: its columns seem to be separated by {other!r}; allowed: ','"
        raise InvalidInput(text, "save it with commas")
    return header


def check_header(header: tuple[str, ...], path: str) -> None:
    """Raise InvalidInput if there is no column, one has no name, or two have the same."""
    if not any(header):
        raise InvalidInput(f"{path}: has no header line", "the first line names the columns")
    for place, name in enumerate(header, 1):
        if not name.strip():
            raise InvalidInput(f"{path}: column {place} has no name", "name it in the header")
        if name in header[: place - 1]:
            first = header.index(name) + 1
            raise InvalidInput(f"{path}: columns {first} and {place} are both named '{name}'", "rename one")
