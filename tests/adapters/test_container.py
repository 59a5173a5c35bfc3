"""A real image, built here without a registry and run as others will run it: read-only, not root, asked over HTTP.

`.ci/containers` makes ready what this needs; where it could not, all of this is skipped, and says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import polars as pl
import pytest

from mlops_tui.adapters import bento as store
from mlops_tui.adapters import containers, engines, images, ports, spool
from mlops_tui.adapters.containerfile import Recipe
from mlops_tui.adapters.containers import Container, State
from mlops_tui.adapters.engines import Engine
from mlops_tui.adapters.images import Image
from mlops_tui.adapters.launches import Launch
from mlops_tui.core import requests, scoring
from mlops_tui.errors import External, NotFound, Refused
from mlops_tui.flows import cycle, keep
from mlops_tui.flows.release import approvals, bentos, deployments, keys, rollouts
from mlops_tui.flows.release import images as made
from mlops_tui.flows.release.images import Options
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Calibration, Signature, Transform, from_json
from tests import workspaces
from tests.adapters import served
from tests.adapters.listening import until
from tests.cli.called import call

pytestmark = pytest.mark.slow
NAME = f"localhost/mlops-test/tiny:{os.getpid()}"
LABELS = {"io.mlops-tui.model": "tiny:3", "io.mlops-tui.content": "ab" * 32, "io.mlops-tui.approved": "false"}


@dataclass(frozen=True)
class Here:
    """What `.ci/containers` made ready: the engine, the base image, the folder of wheels."""

    engine: Engine
    base: str
    wheels: Path


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    """The engine with settings and an image store of its own; skips where there is none."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlops-tui-containers"
    cache = Path(os.environ.get("CONTAINERS_TEST_CACHE") or usual)
    if not shutil.which("podman") or not (cache / "ready").is_file():
        pytest.skip(
            f"no container can be run here: {cache}/ready is not there; .ci/containers makes it, or says why not"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(cache / "containers.conf"))
        patch.setenv("CONTAINERS_STORAGE_CONF", str(cache / "storage.conf"))
        yield Here(engines.find("podman"), (cache / "ready").read_text().strip(), cache / "wheels")


@pytest.fixture(scope="module")
def image(here: Here) -> Iterator[Image]:
    """The image of the tiny Bento, built offline."""
    recipe = Recipe(served.store()[2].folder, LABELS, here.base, here.wheels)
    yield images.build(here.engine, recipe, NAME)
    images.remove(here.engine, NAME)


@pytest.fixture
def launch(image: Image, tmp_path: Path) -> Iterator[Launch]:
    """How to start the image, on a free port, with a spool of its own; what is left of it is removed."""
    launch = Launch(NAME, "tiny", tmp_path / "spool" / "tiny", port=ports.free_port(), workspace=str(tmp_path))
    yield launch
    for left in containers.list_containers(workspace=str(tmp_path)):
        containers.remove(left.container)


@pytest.fixture
def running(launch: Launch) -> Container:
    """A container that is ready."""
    container = containers.run(launch)
    containers.wait_ready(launch, container, "tiny:3")
    return container


def inside(here: Here, container: Container, *words: str) -> subprocess.CompletedProcess[str]:
    return engines.attempt(here.engine, "exec", container.id, *words)


def predict(launch: Launch) -> list[dict[str, Any]]:
    answer = httpx.post(f"{launch.url}/predict", json=list(served.ROWS))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def test_the_image_says_what_is_in_it(here: Here, image: Image) -> None:
    told = json.loads(engines.call(here.engine, "image", "inspect", NAME))[0]
    about = told["Config"]
    assert LABELS.items() <= about["Labels"].items()
    assert about["User"] == "10001:0"
    assert about["Volumes"] == {"/spool": {}}
    assert list(about["ExposedPorts"]) == ["3000/tcp"]
    assert told["Healthcheck"]["Test"][0] == "CMD", "the OCI format would have dropped it"
    assert image == images.find(here.engine, NAME)
    assert image.id.startswith("sha256:")
    base = images.find(here.engine, here.base)
    assert 0 < image.size - base.size < 500e6, "bytes that are added to the base"


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_every_engine_makes_the_same_layers_of_the_same_bento(name: str, here: Here, image: Image) -> None:
    if not shutil.which(name):
        pytest.skip(f"there is no {name} here")
    engine, called = engines.find(name), f"{NAME}-{name}"
    try:
        again = images.build(engine, Recipe(served.store()[2].folder, LABELS, here.base, here.wheels), called)
        assert (again.engine, again.reference) == (name, called)
        assert again.size == pytest.approx(image.size, rel=0.01)
        assert LABELS.items() <= again.labels.items()
        assert layers(here, called) == layers(here, NAME)
    finally:
        images.remove(engine, called)
    with pytest.raises(NotFound, match="no image"):
        images.find(engine, called)


def layers(here: Here, name: str) -> list[str]:
    """The hashes of an image's layers, each of all bytes, modes and times in it."""
    found: list[str] = json.loads(engines.call(here.engine, "image", "inspect", name))[0]["RootFS"]["Layers"]
    return found


def test_it_answers_as_the_model_does(running: Container, launch: Launch) -> None:
    assert httpx.get(f"{launch.url}/readyz").status_code == 200
    assert predict(launch) == list(served.golden(served.booster()).answers)
    about = httpx.get(f"{launch.url}/metadata").json()
    assert (about["model"], about["approved"], about["pid"]) == ("tiny:3", False, 1)


def test_the_command_makes_an_image_that_answers_bit_for_bit(
    here: Here, built: Workspace, launch: Launch, tmp_path: Path
) -> None:
    words = ["flight-delay:1", "--tag", f"{NAME}-flights", "--base", here.base, "--wheels", str(here.wheels)]
    said = call(built.root, "bentos", "containerize", *words, "--json").json
    assert (said["image"], said["engine"], said["model"], said["version"]) == (words[2], "podman", "flight-delay", 1)
    (event,) = [one for one in keep.events(built, None, 9) if one.action == "bento.containerized"]
    assert (event.subject, event.details["id"]) == (said["tag"], said["id"])
    bento = bentos.find(built, said["tag"])
    options = Options(said["image"], engine="podman")
    assert made.current(bento, options) == images.find(here.engine, said["image"])
    assert made.current(replace(bento, key="of something else"), options) is None
    assert made.current(bento, replace(options, tag="localhost/mlops-test/none:1")) is None
    flights = replace(launch, image=said["image"], deployment="flight-delay")
    try:
        container = containers.run(flights)
        containers.wait_ready(flights, container, "flight-delay:1")
        scorer, frame = in_process(store.find(built.home / "bentos", bento.tag).folder / "src" / "model", built)
        for part in frame.iter_slices(1000):
            answer = httpx.post(f"{flights.url}/predict", json=requests.to_json_rows(part)).json()["predictions"]
            assert answer == msgspec.json.decode(msgspec.json.encode(scoring.answers(scorer, part)))
        containers.remove(container)
    finally:
        images.remove(here.engine, said["image"])


def in_process(model: Path, workspace: Workspace) -> tuple[scoring.Scorer, pl.DataFrame]:
    """A Bento's model, and 10,000 flights that it trained on or did not, as requests bring them."""
    signature = from_json((model / "signature.json").read_bytes(), Signature)
    transform = from_json((model / "transform.json").read_bytes(), Transform)
    fitted = model / "calibration.json"
    calibration = from_json(fitted.read_bytes(), Calibration) if fitted.exists() else None
    scorer = scoring.load((model / "booster.txt").read_text(), transform, signature, calibration)
    flights = pl.read_parquet(workspaces.SAMPLE / "flights" / "2013-0[139].parquet").head(10_000)
    return scorer, flights.select(one.name for one in signature.inputs)


def test_it_may_do_nothing_but_answer_and_spool(here: Here, running: Container) -> None:
    assert inside(here, running, "id", "-u").stdout.strip() == "10001"
    for place in ("/x", "/bento/x", "/opt/venv/x", "/etc/x", "/run/x", "/var/tmp/x"):
        assert "Read-only file system" in inside(here, running, "touch", place).stderr, place
    assert inside(here, running, "touch", "/tmp/x", "/spool/.x").returncode == 0
    status = inside(here, running, "cat", "/proc/1/status").stdout
    rights = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {rights[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {"0" * 16}
    assert rights["NoNewPrivs"] == "1"
    assert inside(here, running, "/opt/venv/bin/python", "-c", "import pip").returncode == 1


def test_what_it_answered_lies_in_our_spool(running: Container, launch: Launch) -> None:
    predict(launch)
    assert containers.stop(running)
    ((name, _, live),) = spool.segments(launch.spool)
    assert not live
    lines, _, bad = spool.read(launch.spool / name, 0, 2**20)
    assert bad == 0
    assert [line["body"] for line in lines] == [list(served.ROWS)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_it_runs_as_the_owner_of_the_spool(here: Here, launch: Launch) -> None:
    launch.spool.mkdir(parents=True)
    os.chown(launch.spool, 12345, 54321)
    container = containers.run(launch)
    containers.wait_ready(launch, container, "tiny:3")
    predict(launch)
    containers.stop(container)
    (segment,) = launch.spool.glob("*.jsonl")
    assert (segment.stat().st_uid, segment.stat().st_gid) == (12345, 54321)


def test_it_is_listed_with_its_health_and_its_log(running: Container, launch: Launch) -> None:
    assert containers.healthy(running)
    (state,) = containers.list_containers("tiny", launch.workspace)
    assert (state.container, state.deployment, state.image) == (running, "tiny", NAME)
    assert (state.running, state.status, state.restarts) == (True, "running", 0)
    assert state == containers.state(running)
    assert until(lambda: containers.logs(running))
    assert len(containers.logs(running, 1)) == 1


def test_it_stops_in_seconds_and_stays_so(running: Container) -> None:
    begun = time.monotonic()
    assert containers.stop(running) is True
    assert time.monotonic() - begun < 8
    state = containers.state(running)
    assert state is not None
    assert (state.running, state.exit_code, state.restarts) == (False, 0, 0)
    assert containers.alive(running) is False
    assert containers.stop(running) is False
    assert containers.remove(running) is True
    assert containers.remove(running) is False
    assert containers.state(running) is None
    with pytest.raises(External, match="logs"):
        containers.logs(running)


def test_it_can_be_stopped_before_it_is_ready(launch: Launch) -> None:
    container = containers.run(launch)
    begun = time.monotonic()
    assert containers.stop(container) is True
    assert time.monotonic() - begun < 8, "the kernel ignores what a first process does not handle"


def test_a_crash_starts_it_again(running: Container, launch: Launch) -> None:
    state = containers.state(running)
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    again = until(lambda: started_again(running))
    assert again.restarts == 1
    until(lambda: ready(launch))
    assert predict(launch) == list(served.golden(served.booster()).answers)


def started_again(container: Container) -> State | None:
    state = containers.state(container)
    return state if state and state.running and state.restarts else None


def ready(launch: Launch) -> bool:
    try:
        return httpx.get(f"{launch.url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_what_cannot_start_is_told_with_its_last_lines(launch: Launch) -> None:
    broken = replace(launch, variables={"MLOPS_SPOOL_MB": "none"})
    container = containers.run(broken)
    with pytest.raises(External, match="MLOPS_SPOOL_MB is a whole number"):
        containers.wait_ready(broken, container, "tiny:3")


def test_a_port_in_use_is_refused_and_leaves_nothing(launch: Launch, tmp_path: Path) -> None:
    with ports.bound("127.0.0.1", launch.port, beside=False) as other:
        other.listen()
        with pytest.raises(External, match="is in use"):
            containers.run(launch)
        with pytest.raises(External, match="`podman start` failed"):
            containers.run(replace(launch, beside=True))
    assert containers.list_containers(workspace=str(tmp_path)) == []


def test_a_new_one_takes_over_beside_the_old_one_and_no_request_is_lost(launch: Launch) -> None:
    launch = replace(launch, host_network=True)
    old = containers.run(launch)
    containers.wait_ready(launch, old, "tiny:3")
    enough, statuses = threading.Event(), []

    def ask() -> None:
        while not enough.is_set():
            statuses.append(httpx.post(f"{launch.url}/predict", json=list(served.ROWS)).status_code)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(3):
            new = containers.run(replace(launch, beside=True))
            containers.wait_ready(launch, new, "tiny:3")
            containers.stop(old)
            old = new
    finally:
        enough.set()
        for thread in asking:
            thread.join()
    assert set(statuses) == {200}
    assert len(statuses) > 20


def test_a_deployment_in_a_container_has_the_same_verbs(  # noqa: PLR0915 - one life, from start to stop
    here: Here, built: Workspace
) -> None:
    workspaces.arrive(built, 3)
    cycle.apply(built, "flight-delay")
    approvals.approve(built, "flight-delay:2", "better")
    names = []
    for version in ("flight-delay:1", "flight-delay:2"):
        bento, _ = bentos.build(built, version)
        options = Options(base=here.base, wheels=here.wheels)
        names.append(made.containerize(built, bento.tag, options)[1].reference)
    place = deployments.Place(port=ports.free_port(), container=True)
    try:
        item, _ = deployments.start(built, "flight-delay:1", place)
        assert item.container.startswith("podman:")
        assert deployments.state(item) == "running"
        row = requests.to_json_rows(in_process(model_of(built, "flight-delay:1"), built)[1].head(1))
        key = keys.add(built, "flight-delay", "shop")
        until(lambda: ask(item.url, row).status_code == 401)
        assert ask(item.url, row, key).json()["model"] == "flight-delay:1"
        keys.open_to_all(built, "flight-delay")
        until(lambda: ask(item.url, row).status_code == 200)
        with pytest.raises(Refused, match="is a container"):
            rollouts.challenge(built, "flight-delay:2", None, rollouts.Beside("canary", 0.5))

        seen: set[tuple[int, str]] = set()
        done = threading.Event()

        def client() -> None:
            while not done.is_set():
                answer = ask(item.url, row)
                seen.add((answer.status_code, answer.headers["X-Model"]))

        asking = threading.Thread(target=client)
        asking.start()
        try:
            after, _ = deployments.start(built, "flight-delay:2", deployments.Place(port=item.port))
            assert (after.version, bool(after.container)) == (2, True)
            back, _ = rollouts.rollback(built, "flight-delay")
        finally:
            done.set()
            asking.join()
        assert (back.version, bool(back.container), deployments.state(item)) == (1, True, "down")
        assert seen == {(200, "flight-delay:1"), (200, "flight-delay:2")}
        assert len(containers.list_containers("flight-delay", str(built.root))) == 1
        shown = call(built.root, "deployments", "show", "flight-delay", "--json").json
        assert (shown["state"], shown["container"]) == ("running", back.container)
        assert call(built.root, "deployments", "logs", "flight-delay").code == 0
        process, _ = deployments.start(built, "flight-delay:1", deployments.Place(port=item.port, container=False))
        assert (process.container, ask(process.url, row).status_code) == ("", 200)
        assert containers.list_containers("flight-delay", str(built.root)) == []
        assert deployments.stop(built, "flight-delay")[1]
    finally:
        for left in containers.list_containers(workspace=str(built.root)):
            containers.remove(left.container)
        with contextlib.suppress(NotFound):
            deployments.stop(built, "flight-delay")
        for name in names:
            images.remove(here.engine, name)


def model_of(workspace: Workspace, reference: str) -> Path:
    return store.find(workspace.home / "bentos", bentos.find(workspace, reference).tag).folder / "src" / "model"


def ask(url: str, rows: list[dict[str, Any]], key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{url}/predict", json=rows, headers=headers)
