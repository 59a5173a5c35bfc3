"""`mlops.toml`: the team's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mlops_tui.config.base import Duration, Settings, Span, load
from mlops_tui.names import LOCK_TIMEOUT, parse_duration
from mlops_tui.records import NoticeKind


def _check_address(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError("an address begins with https:// or http://")  # which it is may be a secret, and is not told
    return text


Address = Annotated[str, AfterValidator(_check_address)]


class CatalogueSettings(Settings):
    """How long an act waits for the catalogue."""

    lock_timeout: Duration = LOCK_TIMEOUT


class TrainingSettings(Settings):
    """What a training may use of the machine; 0 is all cores."""

    threads: int = Field(default=0, ge=0, le=256)


class ApprovalSettings(Settings):
    """Whether a reviewer may sign with a name other than the Unix user's."""

    identity: Literal["claimed", "unix"] = "claimed"


class AgentSettings(Settings):
    """How the agent works: how often it wakes, and how often it restarts a deployment before it gives up."""

    every: Span = "1m"
    restarts: int = Field(default=5, ge=0, le=100)

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if parse_duration(self.every) < 1:
            raise ValueError("'every' is at least '1s'")
        return self


class NotifySettings(Settings):
    """Whom the agent tells: a webhook, a command, or both. Secrets come from the environment or a file.

    `webhook_env` names the variable that holds the URL where the URL itself is a secret. `secret_env` or `secret_file`
    holds the key that signs what is sent. The command gets the notice as JSON on its standard input.
    """

    webhook: Address | None = None
    webhook_env: str | None = None
    secret_env: str | None = None
    secret_file: str | None = None
    command: list[str] | None = Field(default=None, min_length=1)
    kinds: list[NoticeKind] | None = None  # which notices; by default all
    timeout: Span = "10s"
    attempts: int = Field(default=8, ge=1, le=100)


class WorkspaceFile(Settings):
    """`mlops.toml`: the team's settings."""

    catalogue: CatalogueSettings = CatalogueSettings()
    training: TrainingSettings = TrainingSettings()
    approval: ApprovalSettings = ApprovalSettings()
    agent: AgentSettings = AgentSettings()
    notify: NotifySettings = NotifySettings()


def load_workspace_file(path: Path) -> WorkspaceFile:
    """Return the team's settings; a file that is not there means all defaults."""
    return load(path, WorkspaceFile) if path.exists() else WorkspaceFile()
