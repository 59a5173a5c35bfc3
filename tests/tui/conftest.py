"""What the tests of the screens share."""

from __future__ import annotations

import pytest
from textual import _wait


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pilot that waits 5 ms at a time, not 20, until the screens rest, which it does twice a key.

    For tests that press many keys and then wait by themselves until something is true. Two milliseconds of CPU in five
    count as rest: a quarter of one is never reached on some machines, and each key then waits for two seconds.
    """
    monkeypatch.setattr(_wait, "SLEEP_GRANULARITY", 1 / 200)
    monkeypatch.setattr(_wait, "SLEEP_IDLE", 1 / 500)
