"""Compose files and Kubernetes manifests: valid by their schemas, and with as few rights as our own containers."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from mlops_tui.adapters import manifests
from mlops_tui.adapters.manifests import Part

LABELS = {"io.mlops-tui.model": "Flight:3", "io.mlops-tui.content": "ab" * 32, "io.mlops-tui.approved": "true"}
PARTS = [
    Part("flight-delay:v3", "localhost/mlops/flight-delay:v3", LABELS, 512),
    Part("1_odd.name:v12-unapproved", "registry.example.org:5000/team/odd@sha256:" + "0" * 64),
]


def loaded(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_compose_files_fit_their_schema(part: Part) -> None:
    vendored = resources.files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads((vendored / "compose-spec.json").read_text(encoding="utf-8"))
    (found,) = loaded(manifests.compose(part))
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    assert [error.message for error in validator(schema).iter_errors(found)] == []
    found["services"]["model"]["read_onli"] = True
    assert list(validator(schema).iter_errors(found)), "the schema is a strict one"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
@pytest.mark.parametrize("version", ["1.29", "1.34"])
def test_kubernetes_manifests_fit_their_schema(part: Part, version: str) -> None:
    found = loaded(manifests.kubernetes(part))
    for one in found:
        kubernetes_validate.validate(one, version, strict=True)
    found[1]["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnly"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found[1], version, strict=True)


def test_a_compose_service_has_few_rights_and_is_there_for_this_machine_only() -> None:
    (found,) = loaded(manifests.compose(PARTS[0]))
    service = found["services"]["model"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == ["127.0.0.1:3000:3000"]
    assert service["volumes"] == ["spool:/spool"]
    assert service["restart"] == "on-failure:5"
    assert service["environment"] == {"MLOPS_SPOOL_MB": "512"}
    assert service["labels"] == LABELS


def test_a_pod_has_few_rights_and_is_asked_whether_it_is_ready() -> None:
    claim, deployment, service = loaded(manifests.kubernetes(PARTS[0]))
    assert [one["kind"] for one in (claim, deployment, service)] == ["PersistentVolumeClaim", "Deployment", "Service"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["spec"]["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["fsGroup"] == 10001, "or the claim could not be written"
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert {one["mountPath"] for one in container["volumeMounts"]} == {"/tmp", "/spool"}
    assert container["image"] == PARTS[0].image
    assert claim["spec"]["resources"]["requests"]["storage"] == "1024M", "twice the spool's bound"


def test_what_belongs_together_is_found_by_its_labels() -> None:
    claim, deployment, service = loaded(manifests.kubernetes(PARTS[1]))
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert template["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert service["metadata"]["name"] == "model-1-odd-name", "a Service is called by a name that begins with a letter"


def test_a_text_that_yaml_would_take_for_something_else_stays_a_text() -> None:
    part = Part("x:v1", "localhost/x:1", {"io.mlops-tui.approved": "true", "io.mlops-tui.model": "on: 3 # no"})
    (found,) = loaded(manifests.compose(part))
    assert found["services"]["model"]["labels"] == part.labels
