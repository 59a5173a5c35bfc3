"""Images of Bentos: built by an engine of this machine from our own Containerfile, found, measured, removed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mlops_tui.adapters import containerfile, engines
from mlops_tui.adapters.containerfile import Recipe
from mlops_tui.adapters.engines import Engine
from mlops_tui.errors import External, NotFound


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an engine's store: its reference, its id "sha256:…", its size in bytes, the engine's name."""

    reference: str
    id: str
    size: int
    engine: str


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
        context, ids = Path(folder, "context"), Path(folder, "id")
        context.mkdir()
        file = containerfile.write(recipe, context)
        words = ["build", "--file", str(file), "--tag", name, "--iidfile", str(ids), *_flags(engine, recipe)]
        engines.follow(engine, [*words, str(context)], told)
    return find(engine, name)


def _flags(engine: Engine, recipe: Recipe) -> list[str]:
    """What an engine must be told: Docker's format, which knows health checks; times of day that are the same."""
    offline = ["--network", "none"] if recipe.wheels else []
    if engine.name == "docker":
        return offline
    return [*offline, "--format", "docker", "--layers", "--pull=false", "--timestamp", "0"]


def find(engine: Engine, name: str) -> Image:
    """Return an image of the engine's store; raises NotFound if there is none of that name."""
    if engine.name == "buildah":
        return _find_with_buildah(engine, name)
    done = engines.attempt(engine, "image", "inspect", "--format", "{{.Id}} {{.Size}}", name)
    if done.returncode:
        raise _not_found(engine, name, done.stderr)
    id_, size = done.stdout.split()
    return Image(name, f"sha256:{id_.removeprefix('sha256:')}", int(size), engine.name)


def _find_with_buildah(engine: Engine, name: str) -> Image:
    done = engines.attempt(engine, "inspect", "--type", "image", name)
    if done.returncode:
        raise _not_found(engine, name, done.stderr)
    about = msgspec.json.decode(done.stdout)
    with contextlib.suppress(KeyError, TypeError, msgspec.MsgspecError):
        layers = msgspec.json.decode(about["Manifest"])["layers"]
        size = sum(layer["size"] for layer in layers)
        return Image(name, f"sha256:{about['FromImageID']}", size, engine.name)
    raise External(f"buildah does not say what image {name} is")


def _not_found(engine: Engine, name: str, said: str) -> NotFound | External:
    if any(words in said.lower() for words in ("no such image", "not known", "not found", "unable to find")):
        return NotFound(f"no image {name} in the store of {engine.name}", "mlops bentos containerize NAME")
    return External(f"{engine.name} does not tell of image {name}: {said.strip()}")


def remove(engine: Engine, name: str) -> None:
    """Remove an image from the engine's store; raises External if a container still needs it."""
    engines.call(engine, *(("rmi", name) if engine.name == "buildah" else ("image", "rm", name)))
