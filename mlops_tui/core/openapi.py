"""The OpenAPI 3.1 document of a served model: typed rows, typed answers, and an example that works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mlops_tui.records import Input, Signature

JSON_TYPES: dict[str, dict[str, Any]] = {
    "Int64": {"type": "integer", "format": "int64"},
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


def openapi(
    signature: Signature, title: str, version: str, example_rows: Sequence[dict[str, Any]], key: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the endpoints, as plain values; labels may name rows by the key's columns."""
    example = {"rows": list(example_rows[:2])}
    paths: dict[str, Any] = {
        "/predict": _post("The model's answer to each row.", "Predictions", example),
        "/explain": _post("What each feature adds to the raw score of each row.", "Explanations", example),
        "/labels": _labels(signature),
        "/metadata": {"get": _get("The model's name, version and signature.", "application/json", {"type": "object"})},
    }
    paths |= {path: {"get": _get(text, "text/plain", {"type": "string"})} for path, text in PROBES.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": _schemas(signature) | _label_schemas(signature, key)},
    }


def _schemas(signature: Signature) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Row"}}
    each = {"oneOf": [{"type": "object", "required": ["rows"], "properties": {"rows": rows}}, rows]}
    schemas: dict[str, Any] = {"Row": _row(signature), "Rows": each, "Answer": _answer(signature)}
    schemas["Predictions"] = _list_of("predictions", {"$ref": "#/components/schemas/Answer"})
    contributions = {"type": "object", "required": ["base", "contributions"]}
    schemas["Explanations"] = _list_of("explanations", contributions)
    error = {"type": "object", "properties": {name: {"type": "string"} for name in ("kind", "message", "hint")}}
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
    return {"type": "object", "required": [name], "properties": {name: {"type": "array", "items": item}}}


def _label_schemas(signature: Signature, key: Sequence[str]) -> dict[str, Any]:
    """A label names its row by request and row number, or, where requests carry it, by the pipeline's key."""
    known = {one.name: _property(one) for one in signature.inputs}
    request = {"request_id": {"type": "string"}, "row": {"type": "integer", "minimum": 0, "default": 0}}
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
        "Labels": {"type": "object", "required": ["labels"], "properties": {"labels": labels}},
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
    responses["503"] = {"description": "The labels were not kept.", "content": responses["400"]["content"]}
    return found


def _post(text: str, answer: str, example: dict[str, Any], sent: str = "Rows") -> dict[str, Any]:
    rows = {"schema": {"$ref": f"#/components/schemas/{sent}"}, "example": example}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses = _get(text, "application/json", {"$ref": f"#/components/schemas/{answer}"})["responses"]
    responses["400"] = {"description": f"{sent} that the model cannot read.", "content": error}
    responses["413"] = {"description": f"A body of more than 8 MiB, or too many {sent.lower()}.", "content": error}
    body = {"required": True, "content": {"application/json": rows}}
    return {"post": {"summary": text, "requestBody": body, "responses": responses}}


def _get(text: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": text, "responses": {"200": {"description": "Done.", "content": {media: {"schema": schema}}}}}
