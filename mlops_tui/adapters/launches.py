"""How a container is started: what it may, which is as little as it needs, and as whom it runs.

It runs as the spool's owner, so that what it writes there is ours. Where that is root, it runs as the image's own
user, to whom the spool is given: root reads it all the same, and nobody serves requests as root.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from mlops_tui.adapters.containerfile import PORT, SPOOL, UID
from mlops_tui.adapters.engines import Engine
from mlops_tui.adapters.processes import DRAIN_SECONDS, Server

DEPLOYMENT, WORKSPACE = "io.mlops-tui.deployment", "io.mlops-tui.workspace"
RESTARTS, KEYS = 5, "/keys"
RIGHTS = (
    "--read-only", "--tmpfs", "/tmp:rw,nosuid,nodev,size=256m,mode=1777", "--cap-drop", "all",
    "--security-opt", "no-new-privileges", "--restart", f"on-failure:{RESTARTS}", "--pull", "never",
    "--log-driver", "json-file", "--log-opt", "max-size=16m",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run and where: an image, the deployment it answers as, the folder that is its spool, an address.

    `host_network` shares this machine's network: then a new version can be started `beside` the old one, on its port,
    and no request is lost between them. `variables` are further ones of the environment, `workspace` labels it. `keys`
    is where a file of API keys is, or may come to be; its folder is there to be read.
    """

    image: str
    deployment: str
    spool: Path
    host: str = "127.0.0.1"
    port: int = 3000
    variables: dict[str, str] = field(default_factory=dict)
    keys: Path | None = None
    workspace: str = ""
    host_network: bool = False
    beside: bool = False

    @property
    def url(self) -> str:
        """The address that answers, for a client on this machine."""
        return Server(self.spool, self.spool, self.spool, self.host, self.port).url


def words(engine: Engine, launch: Launch) -> list[str]:
    """Return the options of a container: its rights, address, spool, labels and variables."""
    variables, said = dict(launch.variables), [*RIGHTS, "--stop-timeout", str(DRAIN_SECONDS + 2)]
    if launch.host_network:
        variables |= {"MLOPS_HOST": launch.host, "MLOPS_PORT": str(launch.port)}
        said += ["--network", "host"]
    else:
        host = f"[{launch.host}]" if ":" in launch.host else launch.host
        said += ["--publish", f"{host}:{launch.port}:{PORT}"]
    if engine.name == "podman":
        said += ["--http-proxy=false"]  # it would hand the caller's proxies on, with their passwords
        said += ["--read-only-tmpfs=false"]  # it would make /run and /var/tmp writable, too
    said += ["--volume", f"{launch.spool.resolve()}:{SPOOL}:z", "--label", f"{DEPLOYMENT}={launch.deployment}"]
    if launch.keys is not None:
        said += ["--volume", f"{launch.keys.parent.resolve()}:{KEYS}:ro,z"]
        variables |= {"MLOPS_KEYS": f"{KEYS}/{launch.keys.name}"}
    said += ["--label", f"{WORKSPACE}={launch.workspace}"] if launch.workspace else []
    return said + [word for name, text in sorted(variables.items()) for word in ("--env", f"{name}={text}")]


def user(engine: Engine, spool: Path) -> list[str]:
    """Return as whom to run, and give the spool to the image's own user in place of root; raises OSError."""
    owner = spool.stat()
    if os.geteuid() != 0:
        same = ["--userns", "keep-id"] if engine.name == "podman" else []  # rootless: our uid is ours inside too
        return [*same, "--user", f"{owner.st_uid}:{owner.st_gid}"]
    if owner.st_uid == 0:
        for path in (spool, *spool.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # gathered and removed meanwhile
                os.chown(path, UID, -1, follow_symlinks=False)
    return ["--user", f"{owner.st_uid or UID}:{owner.st_gid}"]
