"""Lines of a spool to frames: what a service wrote down of its answers, as parts of predictions and labels have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from mlops_tui.core.labels import from_requests, known, text_of
from mlops_tui.core.requests import columns_of, frame_of
from mlops_tui.core.samples import SCORE
from mlops_tui.errors import MlopsError
from mlops_tui.records import Signature

Lines = Sequence[dict[str, Any]]
WRONG = (MlopsError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, pl.exceptions.PolarsError)


def readable(read: Callable[[Lines], pl.DataFrame], lines: Lines) -> tuple[list[pl.DataFrame], Lines]:
    """Read lines as one frame; where that fails halve them, down to the lines that cannot be read."""
    try:
        return [read(lines)], []
    except WRONG:
        if len(lines) == 1:
            return [], lines
    middle = len(lines) // 2
    (first, bad), (second, more) = readable(read, lines[:middle]), readable(read, lines[middle:])
    return [*first, *second], [*bad, *more]


def labels(lines: Lines) -> pl.DataFrame:
    """The labels that lines of a spool hold, in their order, as a part of labels has them."""
    sent = [(one, datetime.fromisoformat(line["at"])) for line in lines for one in line["body"]["labels"]]
    return from_requests(sent)


def predictions(signature: Signature, lines: Lines) -> pl.DataFrame:
    """The rows that lines of a spool hold, in their order, as a part of predictions has them."""
    bodies = [line["body"]["rows"] if isinstance(line["body"], dict) else line["body"] for line in lines]
    sent = [row for body in bodies for row in body]
    answers = [line["answer"]["predictions"] for line in lines]
    if [len(body) for body in bodies] != [len(answer) for answer in answers]:
        raise ValueError("a request has as many answers as rows")
    moments = [datetime.fromisoformat(line["at"]) for line in lines]
    own = {
        "__request": ([line["id"] for line, body in zip(lines, bodies, strict=True) for _ in body], pl.String()),
        "__row": ([number for body in bodies for number in range(len(body))], pl.Int32()),
        "__at": ([at for at, body in zip(moments, bodies, strict=True) for _ in body], pl.Datetime("us", "UTC")),
    }
    extras = [pl.Series(name, [text_of(row.get(name)) for row in sent], pl.String()) for name in signature.extras]
    scores = _scores(signature, [one for answer in answers for one in answer])
    frame = pl.DataFrame([pl.Series(name, *values) for name, values in own.items()])
    # what the service's policies let pass, it read as null: so do we
    read = frame_of(signature.inputs, columns_of(signature, sent, lambda oddity, problem: False))
    return frame.hstack(read).hstack(extras).hstack(scores)


def _scores(signature: Signature, answers: Lines) -> list[pl.Series]:
    """`__prediction`, the class as the signature writes it (null for a number), and `__score` or one for each class."""
    if not signature.classes:
        said = pl.Series("__prediction", [None] * len(answers), pl.String())
        return [said, pl.Series(SCORE, [one["prediction"] for one in answers], pl.Float64())]
    said = known(pl.Series("__prediction", [text_of(one["prediction"]) for one in answers], pl.String()), signature)
    if signature.task == "binary":
        return [said, pl.Series(SCORE, [one["probability"] for one in answers], pl.Float64())]
    each = {label: [one["probabilities"][label] for one in answers] for label in signature.classes}
    return [said, *(pl.Series(f"{SCORE}_{label}", values, pl.Float64()) for label, values in each.items())]
