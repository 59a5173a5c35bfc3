"""A request's bytes to an answer's bytes, by one model version; knows no server, so that it is tested alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mlops_tui.core import bodies, requests, scoring, sent_labels
from mlops_tui.core.decode import columns as columns_of_rows
from mlops_tui.core.inputs import Oddities, refuse
from mlops_tui.errors import InvalidInput
from mlops_tui.service.model import Served, values

EXPLAINED, LABELLED = 2_000, 100_000  # rows of one request
MANY_BYTES = 64 * 2**10  # of a body from which on ranges are looked at in the matrix alone


class Reply(msgspec.Struct, frozen=True):
    """An answer to a request. `outcome`, `rows`, `odd` and `values` (one for each prediction) are for the counters;
    `kept` is the request's body as the spool keeps it, where that is not what was sent.
    """

    status: int
    body: bytes
    outcome: str = "ok"
    rows: int = 0
    kind: str = "application/json"
    headers: Mapping[str, str] | None = None
    odd: Mapping[tuple[str, Any], int] | None = None
    values: Sequence[float] = ()
    kept: bytes | None = None
    told: bytes | None = None  # the answer as the spool keeps it, where it was not JSON


class Asked(msgspec.Struct, frozen=True):
    """A request with a body: its path, bytes and id, and what it says of the form of both ways."""

    path: str
    body: bytes
    request_id: str
    sent: bodies.Kind = "json"
    wanted: bodies.Kind = "json"


def refusal(status: int, kind: str, message: str, problems: list[dict[str, Any]] | None = None) -> Reply:
    """Return an error as clients get it: {"error": {"kind", "message", "problems"?}}."""
    error: dict[str, Any] = {"kind": kind, "message": message}
    if problems is not None:
        error["problems"] = problems
    return Reply(status, msgspec.json.encode({"error": error}), kind)


def answer(served: Served, asked: Asked) -> Reply:
    """Answer a request to /predict, /explain or /labels, whatever it holds."""
    found = Oddities()
    try:
        if asked.path == "/labels":
            return _labels(served, asked)
        matrix, kept = _matrix(served, asked, found)
        reply = (_explain if asked.path == "/explain" else _predict)(served, asked, matrix, found)
        return msgspec.structs.replace(reply, odd=found.counts or None, kept=kept)
    except requests.BadRows as error:
        problems = [msgspec.to_builtins(problem) for problem in error.problems]
        reply = refusal(422, "invalid_input", error.message, problems)
    except InvalidInput as error:  # an expression that these values break, such as CAST('x' AS INT)
        reply = refusal(422, "invalid_input", error.message, [])
    except _TooMany as error:
        reply = _too_many(asked.path, *error.args)
    except bodies.UNREADABLE as error:
        reply = refusal(400, "invalid_input", str(error)[:300] or "the body cannot be read", [])
    return msgspec.structs.replace(reply, odd=found.counts or None)


class _TooMany(Exception):
    """More rows than a request may have: how many, and how many it may."""


def _matrix(served: Served, asked: Asked, found: Oddities) -> tuple[scoring.Floats, bytes | None]:
    """Return the model's matrix of a request, and its body as the spool keeps it, None where that is as it was sent.

    Raises BadRows, InvalidInput, _TooMany, and what is UNREADABLE.
    """
    most, size, takes_all = _most(served, asked), len(asked.body), served.encoder.takes_all
    if asked.sent == "json" and size > 8 * most and asked.body.count(b"{") > 2 * most + 2:  # before a million are made
        raise _TooMany(asked.body.count(b"{") - 1, most)
    read = served.decoder.rows(asked.body, size < MANY_BYTES or not takes_all) if asked.sent == "json" else None
    if read is not None and takes_all:
        _check_count(served, asked, len(read[0]))
        matrix = served.encoder.rows(read[0])
        if served.watch.matrix(matrix, read[1], found):
            return matrix, None
    columns, kept = (columns_of_rows(read[0]), None) if read is not None else _read(served, asked, found)
    _check_count(served, asked, len(columns[0]))
    served.watch.columns(columns, found)
    refuse(found)
    return served.encoder(served.watch.nulled(columns) if served.watch.nulls_range else columns), kept


def _most(served: Served, asked: Asked) -> int:
    limit = served.serving.limits.rows
    return limit if asked.path == "/predict" else min(limit, EXPLAINED)


def _check_count(served: Served, asked: Asked, count: int) -> None:
    most = _most(served, asked)
    if count > most:
        raise _TooMany(count, most)


def _predict(served: Served, asked: Asked, matrix: scoring.Floats, found: Oddities) -> Reply:
    scores = scoring.score_matrix(served.scorer, matrix)
    told = scoring.told(served.signature, scores)
    # msgspec writes NaN and infinities as null, so that an answer is always JSON.
    value = {"predictions": told, "model": served.model, "request_id": asked.request_id} | _warnings(found)
    body = msgspec.json.encode(value)
    reply = Reply(200, body, rows=len(told), values=values(served.signature, scores))
    if asked.wanted == "json":
        return reply
    made = bodies.encode_answers(asked.wanted, told)
    kind = bodies.CSV if asked.wanted == "csv" else bodies.ARROW
    more = {"X-Warnings": str(len(found.told))} if found.told else None
    return Reply(200, made, "ok", reply.rows, kind, more, None, reply.values, None, body)


def _explain(served: Served, asked: Asked, matrix: scoring.Floats, found: Oddities) -> Reply:
    told = scoring.explain_matrix(served.scorer, matrix)
    value = {"explanations": told, "model": served.model, "request_id": asked.request_id} | _warnings(found)
    return Reply(200, msgspec.json.encode(value), rows=len(told))


def _warnings(found: Oddities) -> dict[str, Any]:
    return {"warnings": [msgspec.to_builtins(problem) for problem in found.told]} if found.told else {}


def _too_many(path: str, count: int, most: int) -> Reply:
    return refusal(413, "too_large", f"{count} rows, and {path} takes {most} at most; send them in several requests")


def _labels(served: Served, asked: Asked) -> Reply:
    if asked.sent != "json":
        raise ValueError("labels are sent as JSON")
    labels = _list(_decoded(asked.body)[0], "labels")
    if len(labels) > LABELLED:
        return _too_many("/labels", len(labels), LABELLED)
    sent_labels.check(served.signature, served.key, labels)
    told = msgspec.json.encode({"accepted": len(labels), "request_id": asked.request_id})
    return Reply(202, told, rows=len(labels))


def _read(served: Served, asked: Asked, found: Oddities) -> tuple[list[list[Any]], bytes | None]:
    """Return the columns of a body that the decoder does not read, and the body as the spool keeps it."""
    policy, signature, most = served.serving.inputs, served.signature, _most(served, asked)
    if asked.sent == "arrow":
        frame = bodies.arrow_frame(asked.body, most + 1)
        if not frame.height:
            raise ValueError("there is no row: send at least one")
        _check_count(served, asked, frame.height)
        return bodies.frame_columns(signature, frame, policy, found), bodies.as_json(signature, frame)
    if asked.sent == "csv":
        rows, kept = bodies.csv_rows(signature, asked.body, most + 1), None
    else:
        sent, is_json = _decoded(asked.body)
        rows, kept = _list(sent, "rows"), None if is_json else msgspec.json.encode(sent)
    _check_count(served, asked, len(rows))
    columns = requests.columns_of(
        signature, rows, lambda oddity, problem: found.judge(getattr(policy, oddity), oddity, problem)
    )
    return columns, msgspec.json.encode({"rows": rows}) if asked.sent == "csv" else kept


def _list(sent: Any, name: str) -> list[Any]:
    """Return the rows of a body, or the labels; raises ValueError with what is wrong and what is allowed."""
    shape = f'{{"{name}": [{{…}}, …]}}' + (" or the list alone" if name == "rows" else "")
    if isinstance(sent, dict):
        if list(sent) != [name]:
            keys = ", ".join(repr(key[:40]) for key in list(sent)[:5]) or "no key"
            raise ValueError(f"the body is {shape}; found an object with {keys}")
        sent = sent[name]
    elif name == "labels":
        raise ValueError(f"the body is {shape}; found {type(sent).__name__}")
    if not isinstance(sent, list):
        raise ValueError(f'"{name}" is a list of objects; found {type(sent).__name__}')
    if not sent:
        raise ValueError(f'"{name}" is empty: send at least one')
    return sent


def _decoded(body: bytes) -> tuple[Any, bool]:
    """Return what JSON says, and whether it was JSON.

    NaN and Infinity, which JSON does not have, are read so that they can be told by row, and half a surrogate pair.
    """
    try:
        return msgspec.json.decode(body), True
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        try:
            return _encodable(json.loads(body)), False
        except (ValueError, RecursionError):
            raise ValueError(f"the body is not JSON: {error}") from None


def _encodable(value: Any) -> Any:
    """A value in which texts are texts: what is half a surrogate pair is none."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_encodable(one) for one in value]
    if isinstance(value, dict):
        return {_encodable(name): _encodable(one) for name, one in value.items()}
    return value
