"""One model version, ready to answer: loaded from a Bento's files, and proven on its golden rows first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mlops_tui import golden
from mlops_tui.core import openapi, requests, scoring, sent_labels
from mlops_tui.core.decode import Decoder
from mlops_tui.core.inputs import Watch, seen_categories
from mlops_tui.core.matrix import Encoder
from mlops_tui.counters import SHARES
from mlops_tui.errors import Refused
from mlops_tui.records import Calibration, Golden, Serving, Signature, Transform, from_json


@dataclass(frozen=True, slots=True)
class Served:
    """One model version, named as in "flight-delay:3": `about` is what /metadata says.

    `key` may name rows for labels, and sticks them to a canary; `edges` part its predictions into bins of about as many
    golden rows, for comparing it with another model.
    """

    model: str
    approved: bool
    scorer: scoring.Scorer
    signature: Signature
    about: dict[str, Any]
    openapi: bytes
    decoder: Decoder
    encoder: Encoder
    watch: Watch
    serving: Serving
    labels: tuple[Any, ...]
    key: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def bins(self) -> tuple[float, ...]:
        """The edges by which its predictions are counted in /metrics."""
        return SHARES if self.signature.task == "binary" else self.edges


def load(folder: Path) -> Served:
    """Return the model version that a folder holds; raises Refused if it does not answer its golden rows alike."""

    def read(name: str) -> bytes:
        return (folder / name).read_bytes()

    signature, proof = from_json(read("signature.json"), Signature), from_json(read("golden.json"), Golden)
    transform = from_json(read("transform.json"), Transform)
    fitted = from_json(read("calibration.json"), Calibration) if (folder / "calibration.json").exists() else None
    serving = from_json(read("serving.json"), Serving) if (folder / "serving.json").exists() else Serving()
    scorer = scoring.load(read("booster.txt").decode(), transform, signature, fitted)
    about = msgspec.json.decode(read("model.json")) | {"signature": msgspec.to_builtins(signature)}
    about["serving"] = msgspec.to_builtins(serving)
    name, _, version = about["model"].partition(":")
    key = sent_labels.usable_key(signature, about.get("key", ()))
    described = openapi.openapi(signature, openapi.About(name, version, proof.rows[:2], key, serving))
    watch = Watch(signature, transform, serving.inputs)
    labels = tuple(scoring.label_values(signature))
    encoded = msgspec.json.encode(described)
    decoder = Decoder(signature, seen_categories(signature, transform))
    served = Served(
        str(about["model"]), bool(about.get("approved")), scorer, signature, about, encoded, decoder,
        Encoder(transform, signature), watch, serving, labels, key, _edges(signature, proof),
    )  # fmt: skip
    check(served, proof)
    return served


def serving_as(served: Served, serving: Serving) -> Served:
    """Return a model version that serves by other policies, limits and bounds than its Bento carries."""
    if serving == served.serving:
        return served
    watch = Watch(served.signature, served.scorer.transform, serving.inputs)
    about = served.about | {"serving": msgspec.to_builtins(serving)}
    return replace(served, serving=serving, watch=watch, about=about)


def headers_of(served: Served, kind: str) -> list[tuple[bytes, bytes]]:
    """Return the headers that all answers of a model share, for a body of a media type."""
    head = [(b"content-type", kind.encode()), (b"x-model", served.model.encode())]
    return head if served.approved else [*head, (b"x-model-approved", b"false")]


def check(served: Served, proof: Golden) -> None:
    """Raise Refused if the model does not give its golden answers here, on this machine, at once and one by one."""
    columns = requests.columns_of(served.signature, list(proof.rows))
    scores = scoring.score_matrix(served.scorer, served.encoder(columns))
    alone = [scoring.score_row(served.scorer, served.encoder.row(row)) for row in zip(*columns, strict=True)]
    for found in (scores, np.concatenate(alone)):
        answers = msgspec.json.decode(msgspec.json.encode(scoring.told(served.signature, found)))
        difference = golden.compare(proof.answers, answers)
        if difference.where:
            raise Refused(f"model {served.model} does not give its golden answers here: {difference.where}")


def values(signature: Signature, scores: scoring.Floats) -> list[float]:
    """Return one number for each row's prediction: its probability, its value, or its class's place."""
    if signature.task == "multiclass":
        return [float(at) for at in scoring.choices(signature, scores)]
    found: list[float] = scores.tolist()
    return found


def _edges(signature: Signature, proof: Golden) -> tuple[float, ...]:
    """Nine edges between the deciles of the golden predictions, or one below each class but the first."""
    if signature.task == "multiclass":
        return tuple(at + 0.5 for at in range(len(signature.classes) - 1))
    name = "probability" if signature.task == "binary" else "prediction"
    found = [one[name] for one in proof.answers if one.get(name) is not None]
    return tuple(sorted(set(np.quantile(found, np.arange(0.1, 0.95, 0.1)).tolist()))) if found else ()
