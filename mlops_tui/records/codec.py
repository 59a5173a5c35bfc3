"""Canonical JSON, hashes, and the words that every record uses: tasks and their metrics."""

from __future__ import annotations

import hashlib
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")
Task = Literal["binary", "multiclass", "regression", "quantile", "ranking"]
METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "average_precision", "log_loss", "brier", "f1"),
    "multiclass": ("auc", "log_loss", "accuracy", "f1"),
    "regression": ("rmse", "mae", "r2", "mape"),
    "quantile": ("pinball", "coverage", "mae"),
    "ranking": ("ndcg@5", "ndcg@10"),
}
"""The metrics of each task; the first is the one that stands for the model in lists."""
LOWER_IS_BETTER = frozenset(("log_loss", "brier", "rmse", "mae", "mape", "pinball"))


def to_json(record: object) -> bytes:
    """Return the canonical JSON of a record: keys sorted, no blanks, times in ISO 8601."""
    return msgspec.json.encode(record, order="sorted")


def from_json(data: bytes, kind: type[T]) -> T:
    """Return the record that canonical JSON holds; raises msgspec.ValidationError if it holds another."""
    return msgspec.json.decode(data, type=kind)


def digest(data: bytes | str) -> str:
    """Return the SHA-256 of bytes, or of a text's UTF-8, in hex."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def hash_of(record: object) -> str:
    """Return the SHA-256 of a record's canonical JSON."""
    return digest(to_json(record))
