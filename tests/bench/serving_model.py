"""The model that bench_serving.py serves: 30 numbers in, 100 trees of 31 leaves; its Bento; and requests for it."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops_tui.adapters.bento import Built, Contents, build
from mlops_tui.core import requests, scoring
from mlops_tui.records import Feature, Golden, Input, Signature, Transform, to_json

FEATURES, TREES, LEAVES, TRAINED_ON = 30, 100, 31, 20_000
NAMES = tuple(f"feature_{at:02}" for at in range(FEATURES))
MODEL = "bench:1"
TRANSFORM = Transform(tuple(Feature(name, "numeric", name) for name in NAMES))
Floats = NDArray[np.float64]


@functools.cache
def matrix(count: int, seed: int = 7) -> Floats:
    """Return so many rows of numbers from a normal distribution, of six decimals as people send them."""
    return np.random.default_rng(seed).normal(size=(count, FEATURES)).round(6)


def rows(count: int, seed: int = 11) -> list[dict[str, Any]]:
    """Return so many rows as a request carries them."""
    return [dict(zip(NAMES, row, strict=True)) for row in matrix(count, seed).tolist()]


def signature() -> Signature:
    """Return what the model takes: nullable numbers, with the ranges that training saw, so that they are looked at."""
    low, high = matrix(TRAINED_ON).min(axis=0).tolist(), matrix(TRAINED_ON).max(axis=0).tolist()
    inputs = [Input(name, "Float64", True) for name in NAMES]
    ranged = [replace(one, min=a, max=b) for one, a, b in zip(inputs, low, high, strict=True)]
    return Signature("binary", "bought", "Boolean", tuple(ranged), ("false", "true"))


@functools.cache
def booster() -> str:
    """Train, the same trees wherever this runs, in LightGBM's text format."""
    seen = matrix(TRAINED_ON)
    noise = np.random.default_rng(8).normal(size=len(seen))
    label = (seen[:, :10].sum(axis=1) + seen[:, 10] * seen[:, 11] + 2 * noise > 0).astype(float)
    settings = {"objective": "binary", "num_leaves": LEAVES, "num_threads": 1, "verbosity": -1, "deterministic": True}
    names = [f"f{at}" for at in range(FEATURES)]
    return str(lgb.train(settings, lgb.Dataset(seen, label, feature_name=names), TREES).model_to_string())


def golden(count: int = 20) -> Golden:
    """Return what the model answers in-process."""
    sent, said = rows(count), signature()
    scorer = scoring.load(booster(), TRANSFORM, said, None)
    answers = scoring.answers(scorer, requests.rows_to_frame(said, sent))
    return Golden(tuple(sent), tuple(msgspec.json.decode(msgspec.json.encode(answers))))


def bento(home: Path) -> Built:
    """Build the model's Bento, as the product builds them, into a store."""
    about = {"task": "binary", "approval": {"approved": True, "name": "Ada"}, "lineage": {"run": "r1"}}
    files = {
        "booster.txt": booster().encode(),
        "transform.json": to_json(TRANSFORM),
        "signature.json": to_json(signature()),
        "golden.json": to_json(golden()),
        "model.json": msgspec.json.encode(about),
    }
    return build(home, Contents(MODEL, files, True), "bench", "1")


def bodies(count: int, of: int, name: str = "rows") -> list[bytes]:
    """Return so many request bodies of so many rows each, under the name that a contestant gives them."""
    sent = rows(count * of)
    return [msgspec.json.encode({name: sent[at : at + of]}) for at in range(0, count * of, of)]
