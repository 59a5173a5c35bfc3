"""Images of Bentos: built by an engine of this machine from our own Containerfile, found, measured, removed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from mlops_tui.adapters import containerfile, engines
from mlops_tui.adapters.containerfile import Recipe
from mlops_tui.adapters.engines import Engine
from mlops_tui.errors import External, NotFound


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an engine's store: its reference, its id "sha256:…", its size in bytes, the engine's name, labels."""

    reference: str
    id: str
    size: int
    engine: str
    labels: dict[str, str] = field(default_factory=dict)


def default_reference(tag: str) -> str:
    """Return how the image of a Bento is called if nobody says.

    >>> default_reference("flight-delay:v3")
    'localhost/mlops/flight-delay:v3'
    """
    return f"localhost/mlops/{tag}"


def build(engine: Engine, recipe: Recipe, name: str, told: Callable[[str], None] = lambda _: None) -> Image:
    """Build an image and return it; `told` gets every line that the engine prints.

    Raises InvalidInput for a name that is none, External with the engine's last words if it fails.
    """
    containerfile.reference(name, "image name")
    with tempfile.TemporaryDirectory(prefix="mlops-image-") as folder:
        file = containerfile.write(recipe, Path(folder))
        words = ["build", "--file", str(file), "--tag", name, *_flags(engine, recipe), folder]
        engines.follow(engine, words, told)
    return find(engine, name)


def _flags(engine: Engine, recipe: Recipe) -> list[str]:
    """What an engine must be told: Docker's format, which knows health checks; times of day that are the same."""
    offline = ["--network", "none"] if recipe.wheels else []
    if engine.name == "docker":
        return offline
    return [*offline, "--format", "docker", "--layers", "--pull=false", "--timestamp", "0"]


def find(engine: Engine, name: str) -> Image:
    """Return an image of the engine's store; raises NotFound if there is none of that name."""
    asked = ("inspect", "--type", "image") if engine.name == "buildah" else ("image", "inspect")
    done = engines.attempt(engine, *asked, name)
    if done.returncode:
        raise _not_found(engine, name, done.stderr)
    try:
        told = msgspec.json.decode(done.stdout)
        id_, size, labels = _of_buildah(told) if engine.name == "buildah" else _of_podman(told[0])
    except (LookupError, TypeError, msgspec.MsgspecError) as error:
        raise External(f"{engine.name} tells of its images in an unknown way: {error!r}") from None
    return Image(name, f"sha256:{id_.removeprefix('sha256:')}", size, engine.name, labels or {})


def _of_podman(told: dict[str, Any]) -> tuple[str, int, dict[str, str] | None]:
    """What podman and docker tell of an image."""
    return told["Id"], told["Size"], told["Config"].get("Labels")


def _of_buildah(told: dict[str, Any]) -> tuple[str, int, dict[str, str] | None]:
    """What buildah tells of an image: a manifest inside of a text, with the sizes of layers."""
    layers = msgspec.json.decode(told["Manifest"])["layers"]
    return told["FromImageID"], sum(layer["size"] for layer in layers), told["Docker"]["config"].get("Labels")


def _not_found(engine: Engine, name: str, said: str) -> NotFound | External:
    if any(words in said.lower() for words in ("no such image", "not known", "not found", "unable to find")):
        return NotFound(f"no image {name} in the store of {engine.name}", "mlops bentos containerize NAME")
    return External(f"{engine.name} does not tell of image {name}: {said.strip()}")


def remove(engine: Engine, name: str) -> None:
    """Remove an image from the engine's store; raises External if a container still needs it."""
    engines.call(engine, *(("rmi", name) if engine.name == "buildah" else ("image", "rm", name)))
