"""The systemd unit that keeps a workspace's agent running."""

from __future__ import annotations

import re
from pathlib import Path

from mlops_tui.errors import InvalidInput
from mlops_tui.records import digest

UNIT = """\
[Unit]
Description=mlops agent of {name}
After=network.target
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
{user}WorkingDirectory={folder}
ExecStart={command}
# Optional, for what must not stand in mlops.toml: the webhook's address, the key, a database's password.
EnvironmentFile=-{environment}
Restart=on-failure
RestartSec=5
# The servers that it started outlive it, and one that runs out of memory does not take it along.
KillMode=process
OOMPolicy=continue
TimeoutStopSec=30
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes

[Install]
WantedBy={target}
"""


def unit_name(root: Path) -> str:
    """Return the name of a workspace's unit: the folder's name for people, a hash of its path to tell it apart."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", root.name).strip("-.") or "workspace"
    return f"mlops-agent-{name[:40]}-{digest(str(root))[:8]}.service"


def unit_text(root: Path, python: Path, user: str | None = None) -> str:
    """Return the unit of a workspace's agent: a user's own, or the system's, run as `user`."""
    for path in (root, python):
        if any(ord(letter) < 32 for letter in str(path)) or str(path).endswith("\\"):
            hint = "use a path without control characters, and without a backslash at its end"
            raise InvalidInput(f"{str(path)!r} cannot stand in a systemd unit", hint)
    words = [str(python), "-P", "-m", "mlops_tui", "-C", str(root), "agent", "run"]
    return UNIT.format(
        name=_plain(root.name),
        folder=_plain(str(root)),
        command=" ".join(map(_quoted, words)),
        environment=_plain(str(root / ".mlops" / "agent.env")),
        user=f"User={user}\n" if user else "",
        target="multi-user.target" if user else "default.target",
    )


def _plain(text: str) -> str:
    """A value that systemd takes as it stands, but for its % specifiers."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """A word of a command line: systemd knows quotes, backslashes, $ and % in it."""
    if re.fullmatch(r"[A-Za-z0-9_./+=:@-]+", word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_plain(escaped)}"'
