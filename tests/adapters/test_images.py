"""Images, as far as no engine is needed: what they are made from, who makes them, and the first process in them."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_tui.adapters import bento, containerfile, engines, images, ports, processes
from mlops_tui.adapters.containerfile import Recipe
from mlops_tui.errors import External, InvalidInput
from tests.adapters import served
from tests.adapters.listening import until


@pytest.fixture(scope="module")
def built() -> bento.Built:
    return served.store()[2]


def instructions(text: str) -> list[str]:
    """The instructions of a Containerfile, each on one line."""
    lines = [line for line in text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]
    return [" ".join(line.split()) for line in lines]


def hashes(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file and folder, with its content's hash and its mode."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mode,
        )
        for path in folder.rglob("*")
    }


def test_only_locked_wheels_go_in_and_no_installer_comes_along(built: bento.Built) -> None:
    lines = instructions(containerfile.containerfile(Recipe(built.folder)))
    install = next(line for line in lines if "/pip " in line)
    assert "--require-hashes --only-binary=:all: -r /build/requirements.txt" in install
    assert "--no-cache-dir" in install
    final = lines[[line.startswith("FROM") for line in lines].index(True, 1) :]
    assert not [line for line in final if "pip install" in line or "apt-get" in line]
    assert [line for line in final if line.startswith("COPY")] == [
        "COPY --from=build /opt/venv /opt/venv",
        "COPY --from=build /bento /bento",
        "COPY --from=build --chown=10001:0 /build/spool /spool",
    ]


def test_it_runs_as_a_number_that_is_not_root_and_says_how_it_is_asked(built: bento.Built) -> None:
    lines = instructions(containerfile.containerfile(Recipe(built.folder)))
    assert "USER 10001:0" in lines  # a name would not do for Kubernetes' runAsNonRoot
    assert "EXPOSE 3000" in lines
    assert "VOLUME /spool" in lines
    assert lines[-1] == 'ENTRYPOINT ["/opt/venv/bin/python", "/bento/run.py"]'
    assert [line for line in lines if line.startswith("HEALTHCHECK") and "/readyz" in line]
    environment = next(line for line in lines if line.startswith("ENV"))
    assert "BENTOML_DO_NOT_TRACK=true" in environment  # "1" does nothing
    assert "MLOPS_SPOOL=/spool" in environment


def test_the_base_is_the_official_slim_image_of_this_python_or_what_is_named(built: bento.Built) -> None:
    minor = sys.version_info[1]
    assert f"FROM docker.io/library/python:3.{minor}-slim AS build\n" in containerfile.containerfile(
        Recipe(built.folder)
    )
    named = containerfile.containerfile(Recipe(built.folder, base="localhost/python:3.11@sha256:" + "0" * 64))
    assert named.count("FROM localhost/python:3.11@sha256:0") == 2


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "x\nRUN rm -rf /", "--flag", "a@sha256:1", "$HOME"])
def test_what_is_no_image_is_refused_before_anything_starts(name: str, built: bento.Built) -> None:
    with pytest.raises(InvalidInput, match="is no base image"):
        containerfile.reference(name, "base image")
    engine = engines.Engine("podman", "/nonexistent")
    with pytest.raises(InvalidInput, match="is no image name"):
        images.build(engine, Recipe(built.folder), name)


def test_labels_stay_what_they_are(built: bento.Built) -> None:
    labels = {"b": 'a "quote", a $VARIABLE, a \\ and two\nlines', "a": "Ä"}
    lines = instructions(containerfile.containerfile(Recipe(built.folder, labels)))
    found = [line for line in lines if line.startswith("LABEL")]
    assert found == ['LABEL "a"="Ä"', r'LABEL "b"="a \"quote\", a \$VARIABLE, a \\ and two lines"']


def test_the_same_bento_gives_the_same_context(built: bento.Built, tmp_path: Path) -> None:
    for name, mask in (("one", 0o022), ("two", 0o077)):
        before = os.umask(mask)
        try:
            (tmp_path / name).mkdir()
            containerfile.write(Recipe(built.folder, {"x": "y"}), tmp_path / name)
        finally:
            os.umask(before)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert (tmp_path / "one" / "src" / "model" / "booster.txt").is_file()
    assert not list((tmp_path / "one").rglob("*.pyc")), "the Python of the base compiles"
    assert "--hash=sha256:" in (tmp_path / "one" / "requirements.txt").read_text()


def test_with_a_folder_of_wheels_nothing_is_fetched(built: bento.Built, tmp_path: Path) -> None:
    wheels, context = tmp_path / "wheels", tmp_path / "context"
    wheels.mkdir()
    context.mkdir()
    recipe = Recipe(built.folder, wheels=wheels)
    with pytest.raises(InvalidInput, match="no wheels in"):
        containerfile.write(recipe, context)
    (wheels / "one-1-py3-none-any.whl").write_bytes(b"wheel")
    (wheels / "notes.txt").write_text("not a wheel")
    mode = (wheels / "one-1-py3-none-any.whl").stat().st_mode
    context = tmp_path / "again"
    context.mkdir()
    text = containerfile.write(recipe, context).read_text()
    assert [path.name for path in (context / "wheels").iterdir()] == ["one-1-py3-none-any.whl"]
    assert "--no-index --find-links /build/wheels" in text
    assert (wheels / "one-1-py3-none-any.whl").stat().st_mode == mode


# ── engines ──────────────────────────────────────────────────────────────────────────────────────


def program(folder: Path, name: str, script: str = "exit 0") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_first_engine_that_is_there_is_taken_or_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(External, match="none of podman, buildah, docker is installed") as caught:
        engines.find()
    assert "apt-get install podman" in caught.value.hint
    docker = program(tmp_path, "docker")
    assert engines.find() == engines.Engine("docker", str(docker))
    buildah = program(tmp_path, "buildah")
    assert engines.find().program == str(buildah)
    assert engines.find(known=engines.RUNNERS).name == "docker"
    program(tmp_path, "podman")
    assert engines.find().name == "podman"
    assert engines.find("docker").name == "docker"
    with pytest.raises(InvalidInput, match="known: podman, docker"):
        engines.find("buildah", engines.RUNNERS)


def test_an_engine_that_is_named_and_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(External, match="docker is not installed") as caught:
        engines.find("docker")
    assert "docker.io" in caught.value.hint


def test_a_build_that_fails_tells_the_engines_last_words(tmp_path: Path, built: bento.Built) -> None:
    script = "for i in 1 2 3 4 5 6 7; do echo line $i; done; echo no space left >&2; exit 125"
    engine = engines.Engine("podman", str(program(tmp_path, "podman", script)))
    told: list[str] = []
    with pytest.raises(External, match="`podman build` failed; its last words:") as caught:
        images.build(engine, Recipe(built.folder), "localhost/x:1", told.append)
    assert [line.strip() for line in caught.value.message.splitlines()[1:]] == [*told[-6:-1], "no space left"]
    assert told[0] == "line 1"


# ── the first process ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def launched(built: bento.Built, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The launcher, as it runs in a container, beside us: the process and its address."""
    port = ports.free_port()
    said = {"MLOPS_BENTO": str(built.folder), "MLOPS_HOST": "127.0.0.1", "MLOPS_PORT": str(port)}
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, str(containerfile.LAUNCHER)]
        child = subprocess.Popen(command, env=processes.environment(tmp_path) | said, stdout=log, stderr=log)
    yield child, f"http://127.0.0.1:{port}"
    child.kill()
    child.wait()


def test_the_launcher_answers_for_its_bento_and_ends_when_told(launched: tuple[subprocess.Popen[bytes], str]) -> None:
    child, url = launched
    about = until(lambda: processes.ask(url, "/metadata"))
    assert (about["model"], about["pid"]) == ("tiny:3", child.pid), "the worker is the first process itself"
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) in (0, -signal.SIGTERM)  # as first process, the kernel lets it end by itself: 0


def test_the_probe_passes_only_where_a_server_is_ready(launched: tuple[subprocess.Popen[bytes], str]) -> None:
    _, url = launched
    port = url.rpartition(":")[2]
    command = [sys.executable, "-ISc", containerfile.PROBE]

    def probe(at: str) -> int:
        environment = {"MLOPS_HOST": "127.0.0.1", "MLOPS_PORT": at, "http_proxy": "http://127.0.0.1:9"}
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert until(lambda: probe(port) == 0)
    assert probe(str(ports.free_port())) == 1
