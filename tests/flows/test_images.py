"""Images and manifests of a workspace's Bentos, as far as no engine is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlops_tui.errors import External, InvalidInput, NotFound
from mlops_tui.flows import keep
from mlops_tui.flows.release import bentos, images
from mlops_tui.flows.release.images import Options
from mlops_tui.flows.workspace import Workspace

TAG = "flight-delay:v1"


def test_an_image_says_which_model_it_holds_by_name_and_by_hash(built: Workspace) -> None:
    bento = bentos.find(built, TAG)
    assert images.labels(bento) == {
        "org.opencontainers.image.title": "flight-delay",
        "org.opencontainers.image.version": "v1",
        "io.mlops-tui.model": "flight-delay:1",
        "io.mlops-tui.bento": TAG,
        "io.mlops-tui.content": bento.key,
        "io.mlops-tui.approved": "true",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(base="a base"), "'a base' is no base image"),
        (Options(tag="Flight"), "'Flight' is no image name"),
        (Options(engine="lxc"), "no engine 'lxc'.*known: podman, buildah, docker"),
        (Options(wheels=Path("nothing")), "no wheels in nothing"),
    ],
)
def test_what_is_said_wrongly_is_told_first(options: Options, message: str, built: Workspace) -> None:
    with pytest.raises(InvalidInput, match=message):
        images.containerize(built, TAG, options)


def test_without_an_engine_it_says_what_to_install_and_notes_nothing(
    built: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(built.root))
    with pytest.raises(External, match="none of podman, buildah, docker is installed") as caught:
        images.containerize(built, TAG, Options())
    assert caught.value.hint.startswith("apt-get install podman")
    assert "bento.containerized" not in [event.action for event in keep.events(built, None, 99)]


def test_a_model_without_a_bento_is_told_how_to_get_one(trained: Workspace) -> None:
    for act in (lambda: images.containerize(trained, "flight-delay:1", Options()),
                lambda: images.manifest(trained, "flight-delay:1", "compose")):  # fmt: skip
        with pytest.raises(NotFound) as caught:
            act()
        assert caught.value.hint == "mlops bentos build flight-delay:1"


def test_manifests_are_written_whole_under_the_name_that_their_tools_look_for(built: Workspace, tmp_path: Path) -> None:
    for kind in ("compose", "kubernetes"):
        bento, path = images.export(built, "flight-delay:1", tmp_path, kind)
        assert (bento.tag, path) == (TAG, tmp_path / f"{kind}.yaml")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["compose.yaml", "kubernetes.yaml"]
    service = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]["model"]
    assert service["image"] == "localhost/mlops/flight-delay:v1"
    assert service["labels"]["io.mlops-tui.model"] == "flight-delay:1"


def test_a_manifest_names_the_image_that_is_said(built: Workspace, tmp_path: Path) -> None:
    _, path = images.export(built, TAG, tmp_path / "pod.yaml", "kubernetes", "registry.example.org/flights:7")
    deployment = list(yaml.safe_load_all(path.read_text()))[1]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.org/flights:7"


def test_another_kind_and_an_image_of_none_are_refused(built: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="did you mean 'kubernetes'"):
        images.export(built, TAG, tmp_path, "kubernets")
    with pytest.raises(InvalidInput, match="--tag names the image in a manifest"):
        images.export(built, TAG, tmp_path, "bento", "localhost/x:1")
    with pytest.raises(External, match="cannot write"):
        images.export(built, TAG, tmp_path / "nowhere" / "compose.yaml", "compose")
