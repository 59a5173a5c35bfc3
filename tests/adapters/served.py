"""A tiny real model, as a Bento carries it: what the tests of this folder build and serve."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np

from mlops_tui.adapters.bento import Built, Contents, build
from mlops_tui.core import requests, scoring
from mlops_tui.records import Feature, Golden, Input, Signature, Transform, to_json

TRANSFORM = Transform((Feature("a", "numeric", "a"), Feature("b", "numeric", "b")))
INPUTS = (Input("a", "Float64", True), Input("b", "Float64", True))
SIGNATURE = Signature("binary", "late", "Boolean", INPUTS, ("false", "true"))
ROWS: tuple[dict[str, Any], ...] = tuple({"a": i / 16, "b": (i * 7 % 16) / 16} for i in range(16))


@functools.cache
def booster() -> str:
    """Train thirty small trees on 400 rows, in LightGBM's text format."""
    matrix = np.random.default_rng(7).random((400, 2))
    label = (matrix[:, 0] + 0.3 * matrix[:, 1] > 0.6).astype(float)
    settings = {"objective": "binary", "num_leaves": 7, "num_threads": 1, "verbosity": -1, "deterministic": True}
    return str(lgb.train(settings, lgb.Dataset(matrix, label), 30).model_to_string())


def golden(text: str) -> Golden:
    """Return what the model answers in-process."""
    scorer = scoring.load(text, TRANSFORM, SIGNATURE, None)
    answers = scoring.answers(scorer, requests.rows_to_frame(SIGNATURE, list(ROWS)))
    return Golden(ROWS, tuple(msgspec.json.decode(msgspec.json.encode(answers))))


def contents(approved: bool = True, **changed: bytes) -> Contents:
    """Return what goes into the tiny model's Bento; `changed` replaces files, named with _ for the dot."""
    text = booster()
    about = {"task": "binary", "approval": {"approved": approved, "name": "Ada"}, "lineage": {"run": "r1"}}
    files = {
        "booster.txt": text.encode(),
        "transform.json": to_json(TRANSFORM),
        "signature.json": to_json(SIGNATURE),
        "golden.json": to_json(golden(text)),
        "model.json": msgspec.json.encode(about),
    }
    return Contents("tiny:3", files | {name.replace("_", "."): data for name, data in changed.items()}, approved)


@functools.cache
def store() -> tuple[tempfile.TemporaryDirectory[str], Path, Built]:
    """Build the tiny model's Bento once a test run, not approved; returns the folder's owner, the store, the Bento."""
    owner = tempfile.TemporaryDirectory(prefix="bentos-")
    home = Path(owner.name)
    return owner, home, build(home, contents(approved=False), "tiny", "3")


def write_model(folder: Path) -> Path:
    """Write the tiny model's files into a folder as a Bento carries them, and return it."""
    for name, data in contents().files.items():
        (folder / name).write_bytes(data)
    about = msgspec.json.decode((folder / "model.json").read_bytes()) | {"model": "tiny:3"}
    (folder / "model.json").write_bytes(to_json(about))
    return folder
