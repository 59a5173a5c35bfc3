"""What a long act says while it works."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """A step's progress: `done` of `total` (0 when unknown), and a short text."""

    step: str
    text: str = ""
    done: int = 0
    total: int = 0
    values: dict[str, float] = field(default_factory=dict)
