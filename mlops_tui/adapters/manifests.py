"""A Bento's image as others run it: a compose file and a Kubernetes manifest, as few rights in them as we give."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from mlops_tui.adapters.containerfile import PORT, SPOOL, UID
from mlops_tui.adapters.launches import RESTARTS
from mlops_tui.adapters.processes import DRAIN_SECONDS

AWAY_SECONDS = 5  # until a cluster has told every node that a pod takes no more requests


@dataclass(frozen=True, slots=True)
class Part:
    """What a manifest is of: a Bento's tag, the image's reference, its labels, the bound of the spool in megabytes."""

    bento: str
    image: str
    labels: dict[str, str] = field(default_factory=dict)
    spool_mb: int | None = None

    @property
    def name(self) -> str:
        """The Bento's name as what Services are called by: letters, digits and hyphens, first a letter (RFC 1035)."""
        name = re.sub(r"[^a-z0-9-]+", "-", self.bento.partition(":")[0])[:50].strip("-")
        return name if name[:1].isalpha() else f"model-{name}".strip("-")

    @property
    def variables(self) -> dict[str, str]:
        """What the container's environment has besides what the image says."""
        return {"MLOPS_SPOOL_MB": str(self.spool_mb)} if self.spool_mb else {}


def compose(part: Part) -> str:
    """Return a compose file (compose-spec) of one service, which listens on this machine only."""
    service: dict[str, Any] = {
        "image": part.image,
        "ports": [f"127.0.0.1:{PORT}:{PORT}"],
        "environment": part.variables,
        "volumes": [f"spool:{SPOOL}"],
        "read_only": True,
        "tmpfs": ["/tmp:rw,nosuid,nodev,size=256m,mode=1777"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": f"on-failure:{RESTARTS}",
        "stop_grace_period": f"{DRAIN_SECONDS + 2}s",
        "labels": part.labels,
    }
    service = {key: value for key, value in service.items() if value}
    return _head(part, "docker compose up, or podman-compose up") + _yaml(
        {"name": part.name, "services": {"model": service}, "volumes": {"spool": {}}}
    )


def kubernetes(part: Part) -> str:
    """Return a Kubernetes manifest: a claim for the spool, a Deployment of one pod, a Service in front of it."""
    return _head(part, "kubectl apply -f") + "---\n".join(map(_yaml, (_claim(part), _deployment(part), _service(part))))


def _about(part: Part, name: str = "") -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": part.name,
        "app.kubernetes.io/version": re.sub(r"[^A-Za-z0-9._-]+", "-", part.bento.partition(":")[2])[:63],
        "app.kubernetes.io/component": "model",
    }
    # Our labels are annotations here: a label's value has no colon, and no more than 63 letters.
    return {"name": name or part.name, "labels": labels, "annotations": dict(part.labels)}


def _claim(part: Part) -> dict[str, Any]:
    room = 2 * (part.spool_mb or 256)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": f"{room}M"}}}
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": _about(part, f"{part.name}-spool"),
        "spec": spec,
    }  # fmt: skip


def _service(part: Part) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    spec = {"selector": {"app.kubernetes.io/name": part.name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _about(part), "spec": spec}


def _deployment(part: Part) -> dict[str, Any]:
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # a service called "mlops" would set MLOPS_PORT
        "terminationGracePeriodSeconds": DRAIN_SECONDS + AWAY_SECONDS + 5,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": UID, "runAsGroup": UID, "fsGroup": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(part)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            {"name": "spool", "persistentVolumeClaim": {"claimName": f"{part.name}-spool"}},
        ],
    }  # fmt: skip
    about = _about(part)
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/name": part.name}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {key: about[key] for key in ("labels", "annotations")}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": spec}


def _container(part: Part) -> dict[str, Any]:
    def probe(path: str, **times: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 3, **times}

    found: dict[str, Any] = {
        "name": "model",
        "image": part.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": text} for name, text in part.variables.items()],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": probe("/readyz", periodSeconds=2, failureThreshold=60),
        "readinessProbe": probe("/readyz", periodSeconds=5, failureThreshold=2),
        "livenessProbe": probe("/livez", periodSeconds=10, failureThreshold=3),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(AWAY_SECONDS)]}}},
        "resources": {"requests": {"cpu": "250m", "memory": "384Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "spool", "mountPath": SPOOL}],
    }  # fmt: skip
    return {key: value for key, value in found.items() if value}


def _head(part: Part, how: str) -> str:
    return f"# {part.bento}, written by mlops bentos export; to run it: {how}\n"


def _yaml(value: dict[str, Any]) -> str:
    import yaml  # type: ignore[import-untyped]

    class Plain(yaml.SafeDumper):  # type: ignore[misc]
        def ignore_aliases(self, data: object) -> bool:
            return True  # what stands in two places is written twice: people read and change it

    return str(yaml.dump(value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120))
