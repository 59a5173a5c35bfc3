"""Eight processes write at once: nothing is lost, nobody sees a lock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlops_tui.flows.workspace import Workspace
from tests.cli.called import Answer, call, process

WRITERS = 8
ROUNDS = 1


def live(root: Path, writer: int) -> list[Answer]:
    """What one writer does: registers, renames, lists; returns every answer."""
    lines = []
    for turn in range(ROUNDS):
        lines += [
            ("models", "alias", "flight-delay:1", f"w{writer}-{turn}"),
            ("runs", "list", "--json"),
            ("datasets", "add", f"d{writer}-{turn}", "data/flights/2013-01.parquet"),
            ("models", "list", "--json"),
        ]
    done = [process(root, *line) for line in lines]
    return [Answer(one.returncode, one.stdout, one.stderr) for one in done]


def test_eight_writers_lose_nothing(trained: Workspace) -> None:
    root = trained.root
    before = len(call(root, "audit", "list", "--limit", 1000, "--json").json["items"])
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = [answer for told in pool.map(lambda n: live(root, n), range(WRITERS)) for answer in told]
    assert {answer.code for answer in answers} == {0}, [answer.err for answer in answers if answer.code]
    assert not [answer.err for answer in answers if "lock" in answer.err.lower() or "error" in answer.err.lower()]
    marks = {f"{writer}-{turn}" for writer in range(WRITERS) for turn in range(ROUNDS)}
    model = call(root, "models", "list", "--json").json["items"][0]
    assert {f"w{mark}" for mark in marks} <= set(model["aliases"])
    names = [item["dataset"] for item in call(root, "datasets", "list", "--limit", 1000, "--json").json["items"]]
    assert sorted(names) == sorted(["flights", *(f"d{mark}" for mark in marks)])
    events = call(root, "audit", "list", "--limit", 1000, "--json").json["items"]
    assert len(events) >= before + 2 * len(marks)
    assert call(root, "audit", "verify").code == 0


def test_the_same_dataset_from_all_at_once(trained: Workspace) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        line = ("datasets", "add", "shared", "data/flights/2013-02.parquet")
        done = list(pool.map(lambda _: process(trained.root, *line), range(WRITERS)))
    assert {one.returncode for one in done} == {0}, [one.stderr for one in done]
    assert len(call(trained.root, "datasets", "list", "shared", "--json").json["items"]) == 1
