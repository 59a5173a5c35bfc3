"""From a proven Bento to an image that others can run, and the manifests that say how."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from mlops_tui.adapters import bento as store
from mlops_tui.adapters import engines, images, manifests
from mlops_tui.adapters.containerfile import Recipe, default_base, reference, wheels
from mlops_tui.adapters.files import unfinished
from mlops_tui.adapters.images import Image
from mlops_tui.errors import External, InvalidInput, MlopsError, NotFound, near_miss
from mlops_tui.flows import lookup
from mlops_tui.flows.release import bentos
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, Progress

STEP = re.compile(r"(\[\d+/\d+\] )?STEP |#\d+ \[")  # how podman and buildah, and docker, begin a step
CONTENT = "io.mlops-tui.content"
KINDS = {"compose": manifests.compose, "kubernetes": manifests.kubernetes}


@dataclass(frozen=True, slots=True)
class Options:
    """How an image is made: its name, its base, the engine, a folder of wheels; what is None has a default."""

    tag: str | None = None
    base: str | None = None
    engine: str | None = None
    wheels: Path | None = None


def containerize(workspace: Workspace, name: str, options: Options) -> tuple[Bento, Image]:
    """Return the image of a Bento, named by its tag or by its model version, built now by an engine of this machine.

    Raises NotFound if there is no such Bento, External if there is no engine or it fails.
    """
    bento = bentos.find(workspace, name)
    return bento, build(workspace, bento, options)


def build(workspace: Workspace, bento: Bento, options: Options) -> Image:
    """Build the image of a Bento and note it; an engine that has built its layers before takes them over."""
    folder = store.find(workspace.home / "bentos", bento.tag).folder
    base, called = reference(options.base or default_base(), "base image"), _called(bento, options)
    recipe = Recipe(folder, labels(bento), base, options.wheels)
    if recipe.wheels:
        wheels(recipe.wheels)  # what was said wrongly comes before what this machine lacks
    engine = engines.find(options.engine)
    workspace.report(Progress("image", f"building {called} on {base} with {engine.name}"))
    image = images.build(engine, recipe, called, lambda line: _told(workspace, line))
    with workspace.catalogue.write(workspace.now()) as act:
        act.record(
            "bento.containerized", bento.tag, model=f"{bento.model}:{bento.version}", approved=bento.approved,
            image=image.reference, id=image.id, base=base, engine=engine.name,
        )  # fmt: skip
    return image


def current(bento: Bento, options: Options) -> Image | None:
    """Return the image of exactly this Bento that an engine has under its name, or None; its label has the hash."""
    with contextlib.suppress(NotFound):
        image = images.find(engines.find(options.engine), _called(bento, options))
        if image.labels.get(CONTENT) == bento.key:
            return image
    return None


def _called(bento: Bento, options: Options) -> str:
    return reference(options.tag or images.default_reference(bento.tag), "image name")


def labels(bento: Bento) -> dict[str, str]:
    """Return what an image says of itself: whoever has only the image knows the model, and the content, by hash."""
    name, _, version = bento.tag.partition(":")
    return {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": version,
        "io.mlops-tui.model": f"{bento.model}:{bento.version}",
        "io.mlops-tui.bento": bento.tag,
        CONTENT: bento.key,
        "io.mlops-tui.approved": "true" if bento.approved else "false",
    }


def _told(workspace: Workspace, line: str) -> None:
    if STEP.match(line):
        workspace.report(Progress("image", line[:100]))


def manifest(workspace: Workspace, name: str, kind: str, tag: str | None = None) -> tuple[Bento, str]:
    """Return a Bento's compose file or Kubernetes manifest, for its image's usual name or for `tag`.

    Raises InvalidInput for another kind, NotFound if there is no such Bento. Whether there is an image is not asked.
    """
    if kind not in KINDS:
        raise InvalidInput(f"nothing is exported as {kind!r}{near_miss(kind, ['bento', *KINDS])}")
    bento = bentos.find(workspace, name)
    called = reference(tag or images.default_reference(bento.tag), "image name")
    part = manifests.Part(bento.tag, called, labels(bento), _spool_mb(workspace, bento))
    return bento, KINDS[kind](part)


def export(workspace: Workspace, name: str, path: Path, kind: str, tag: str | None = None) -> tuple[Bento, Path]:
    """Write a Bento, or a manifest of its image, to a file, whole or not at all, and return its path.

    Into a folder a manifest goes as compose.yaml or kubernetes.yaml. Raises InvalidInput for another kind.
    """
    if kind == "bento":
        if tag:
            raise InvalidInput("--tag names the image in a manifest: it goes with --as compose or --as kubernetes")
        return bentos.export(workspace, name, path)
    bento, text = manifest(workspace, name, kind, tag)
    target = path / f"{kind}.yaml" if path.is_dir() else path
    part = unfinished(target)
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise External(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return bento, target


def _spool_mb(workspace: Workspace, bento: Bento) -> int | None:
    """The bound of the spool that the model's pipeline says; None where it says none, is gone or broken."""
    try:
        return lookup.pipeline(workspace, bento.model)[0].monitor.spool_mb
    except MlopsError:
        return None
