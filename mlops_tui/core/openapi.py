"""The OpenAPI 3.1 document of a served model: typed rows, typed answers, and an example that works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_tui.core.bodies import ARROW, CSV
from mlops_tui.records import Input, Serving, Signature

JSON = "application/json"
REFUSED = {
    "400": "A body that cannot be read.",
    "401": "An API key is needed, and none that is known came with the request.",
    "408": "The body did not come in time.",
    "413": "The body is too large, or has too many rows.",
    "422": "Rows that the model cannot read, or that it is told to refuse.",
    "429": "Too many requests of one client.",
    "503": "Too many requests at once, or what was sent could not be kept.",
}
JSON_TYPES: dict[str, dict[str, Any]] = {
    "Int64": {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
    "Float64": {"type": "number", "format": "double"},
    "Boolean": {"type": "boolean"},
    "String": {"type": "string"},
    "Date": {"type": "string", "format": "date"},
    "Time": {"type": "string", "format": "time"},
    "Duration(time_unit='us')": {"type": "number", "description": "seconds"},
}
PROBES = {
    "/healthz": "The process answers.",
    "/livez": "The process answers.",
    "/readyz": "The model is loaded and gave its golden answers.",
    "/metrics": "Counters, in Prometheus text format.",
}


@dataclass(frozen=True, slots=True)
class About:
    """What the document is of: the model's name and version, rows for its example, the key, how it is served."""

    title: str
    version: str
    example_rows: Sequence[dict[str, Any]]
    key: Sequence[str] = ()
    serving: Serving = field(default_factory=Serving)


def openapi(signature: Signature, about: About) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the endpoints, as plain values; labels may name rows by the key's columns."""
    example = {"rows": list(about.example_rows[:2])}
    limits = about.serving.limits
    predict = _post("The model's answer to each row.", "Predictions", example)
    content = predict["post"]["requestBody"]["content"]
    content |= {CSV: {"schema": {"type": "string"}}, ARROW: {"schema": {"type": "string", "format": "binary"}}}
    answered = predict["post"]["responses"]["200"]["content"]
    answered |= {CSV: {"schema": {"type": "string"}}, ARROW: {"schema": {"type": "string", "format": "binary"}}}
    paths: dict[str, Any] = {
        "/predict": predict,
        "/explain": _post("What each feature adds to the raw score of each row.", "Explanations", example),
        "/labels": _labels(signature),
        "/metadata": {"get": _get("The model's name, version and signature.", JSON, {"type": "object"})},
        "/openapi.json": {"get": _get("This document.", JSON, {"type": "object"})},
    }
    paths |= {path: {"get": _get(text, "text/plain", {"type": "string"})} for path, text in PROBES.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": about.title, "version": about.version},
        "paths": paths,
        "security": [{}, {"key": []}],
        "components": {
            "schemas": _schemas(signature, limits.rows) | _label_schemas(signature, about.key),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(signature: Signature, most: int) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "maxItems": most, "items": {"$ref": "#/components/schemas/Row"}}
    named = {"type": "object", "required": ["rows"], "additionalProperties": False, "properties": {"rows": rows}}
    each = {"oneOf": [named, rows]}
    schemas: dict[str, Any] = {"Row": _row(signature), "Rows": each, "Answer": _answer(signature)}
    schemas["Predictions"] = _list_of("predictions", {"$ref": "#/components/schemas/Answer"})
    contributions = {"type": "object", "required": ["base", "contributions"]}
    schemas["Explanations"] = _list_of("explanations", contributions)
    problem = {name: {"type": "string"} for name in ("column", "expected", "found")} | {"row": {"type": "integer"}}
    schemas["Problem"] = {"type": "object", "required": list(problem), "properties": problem}
    problems = {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}}
    told = {name: {"type": "string"} for name in ("kind", "message")}
    error = {"type": "object", "required": list(told), "properties": told | {"problems": problems}}
    schemas["Error"] = {"type": "object", "required": ["error"], "properties": {"error": error}}
    return schemas


def _row(signature: Signature) -> dict[str, Any]:
    properties = {one.name: _property(one) for one in signature.inputs}
    properties |= {name: {"description": "not read by the model"} for name in signature.extras}
    required = [one.name for one in signature.inputs if not one.nullable]
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _property(one: Input) -> dict[str, Any]:
    found = dict(JSON_TYPES.get(one.dtype, {"type": "string", "format": "date-time"}))
    if one.categories:
        found["description"] = "seen in training: " + ", ".join(one.categories[:20])
    return found | {"type": [found["type"], "null"]}


def _answer(signature: Signature) -> dict[str, Any]:
    label = {"type": JSON_TYPES.get(signature.target_dtype, {"type": "number"})["type"]}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    properties: dict[str, Any] = {"prediction": {"type": "number"}}
    if signature.task == "binary":
        properties = {"prediction": label, "probability": share}
    elif signature.task == "multiclass":
        each = {"type": "object", "properties": dict.fromkeys(signature.classes, share)}
        properties = {"prediction": label, "probabilities": each}
    return {"type": "object", "required": list(properties), "properties": properties}


def _list_of(name: str, item: dict[str, Any]) -> dict[str, Any]:
    warnings = {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}}
    properties = {name: {"type": "array", "items": item}, "model": {"type": "string"}, "request_id": {"type": "string"}}
    return {"type": "object", "required": list(properties), "properties": properties | {"warnings": warnings}}


def _label_schemas(signature: Signature, key: Sequence[str]) -> dict[str, Any]:
    """A label names its row by request and row number, or, where requests carry it, by the pipeline's key."""
    known = {one.name: _property(one) for one in signature.inputs}
    rows = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": 0}
    request = {"request_id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}, "row": rows}
    by_key = {name: known.get(name, {"type": ["string", "number", "boolean"]}) for name in key}
    label = {"description": "what came true; null takes a label back"} | _label_type(signature)
    each = [
        {"type": "object", "required": required, "additionalProperties": False, "properties": place | {"label": label}}
        for place, required in ((request, ["request_id", "label"]), (by_key, [*key, "label"]))
        if place
    ]
    labels = {"type": "array", "minItems": 1, "maxItems": 100_000, "items": {"oneOf": each}}
    accepted = {"accepted": {"type": "integer"}, "request_id": {"type": "string"}}
    return {
        "Labels": {
            "type": "object",
            "required": ["labels"],
            "additionalProperties": False,
            "properties": {"labels": labels},
        },
        "Accepted": {"type": "object", "required": list(accepted), "properties": accepted},
    }


def _label_type(signature: Signature) -> dict[str, Any]:
    if signature.classes:
        return {"enum": [*_classes(signature), None]}
    return {"type": [JSON_TYPES.get(signature.target_dtype, {"type": "number"})["type"], "null"]}


def _classes(signature: Signature) -> list[Any]:
    return [one if signature.target_dtype == "String" else json.loads(one) for one in signature.classes]


def _labels(signature: Signature) -> dict[str, Any]:
    label = _classes(signature)[-1] if signature.classes else 1
    example = {"labels": [{"request_id": "4be1", "row": 0, "label": label}]}
    found = _post("What came true of rows that were answered before.", "Accepted", example, "Labels")
    responses = found["post"]["responses"]
    responses["202"] = responses.pop("200") | {"description": "The labels are on disk, to be gathered."}
    return found


def _post(text: str, answer: str, example: dict[str, Any], sent: str = "Rows") -> dict[str, Any]:
    rows = {"schema": {"$ref": f"#/components/schemas/{sent}"}, "example": example}
    error = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses = _get(text, JSON, {"$ref": f"#/components/schemas/{answer}"})["responses"]
    responses |= {status: {"description": why, "content": error} for status, why in REFUSED.items()}
    for status in ("429", "503"):
        seconds = {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}
        responses[status] = responses[status] | {"headers": {"Retry-After": seconds}}
    body = {"required": True, "content": {JSON: rows}}
    return {"post": {"summary": text, "requestBody": body, "responses": responses}}


def _get(text: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": text, "responses": {"200": {"description": "Done.", "content": {media: {"schema": schema}}}}}
