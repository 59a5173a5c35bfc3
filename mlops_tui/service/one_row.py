"""The usual request, one row as JSON to a model that answers alone, prepared once for a model and answered in one go.

Between two requests a server's caches see the whole of its framework and of the kernel's network: here every function
and every object that a request does without counts two or three times what a tight loop would show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mlops_tui.core import bodies, scoring
from mlops_tui.errors import InvalidInput
from mlops_tui.service.model import Served, headers_of

INLINE_BYTES = 64 * 2**10  # larger bodies are answered in a thread, so that they don't hold up small ones
Answer = tuple[bytes, float, Mapping[tuple[str, Any], int] | None]
"""What is answered, the value in it, and how many values were odd by column and kind, or None."""
_written = msgspec.json.encode  # a value as in any other answer, NaN and infinities as null


class OneRow:
    """What one model of one output answers to a body of one row without a fault; None for any other body."""

    def __init__(self, served: Served) -> None:
        self.model, self.bins = served.model, served.bins
        self.most = min(INLINE_BYTES, int(served.serving.limits.body_mb * 2**20))  # bytes of a body
        self.head = headers_of(served, "application/json")
        self._decoder, self._encoder, self._watch = served.decoder, served.encoder, served.watch
        single = served.scorer.single if served.scorer.calibration is None and served.encoder.takes_all else None
        self._of_numbers = None if single is None else single.of_numbers
        self._value = scoring.value_of(served.scorer)
        binary = served.signature.task == "binary"
        self._threshold = served.signature.threshold if binary else float("nan")  # which nothing reaches
        self._before = [_before(label) for label in served.labels] if binary else [b'{"predictions":[{"prediction":']
        self._after = b'}],"model":%b,"request_id":"' % msgspec.json.encode(served.model)

    def answer(self, body: bytes, request_id: bytes) -> Answer | None:
        """Return the answer to a body, or None where it takes `answer.answer` to say what is wrong or odd with it."""
        if self._of_numbers is not None and (numbers := self._decoder.usual_row(body)) is not None:
            value = self._of_numbers(numbers)
            if value is not None:
                return self._told(value, request_id), value, None
        read = self._decoder.rows(body)
        if read is None or len(read[0]) != 1:
            return None
        (row,), usual = read
        found = None if usual and None not in row else self._watch.row(row)
        if found is not None and (found.refused or found.told or self._watch.nulls_range):
            return None
        try:
            value = self._value(self._encoder.row(row))
        except (InvalidInput, *bodies.UNREADABLE):
            return None
        return self._told(value, request_id), value, None if found is None else found.counts

    def _told(self, value: float, request_id: bytes) -> bytes:
        """The JSON of an answer."""
        before = self._before[value >= self._threshold]
        return b"".join((before, _written(value), self._after, request_id, b'"}'))


def one_row(served: Served) -> OneRow | None:
    """Return what answers one row for a model; None for a model of several outputs."""
    return None if served.signature.task == "multiclass" else OneRow(served)


def _before(label: Any) -> bytes:
    """An answer up to its probability."""
    return b'{"predictions":[{"prediction":%b,"probability":' % msgspec.json.encode(label)
