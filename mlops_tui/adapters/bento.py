"""Bentos: built from one model version's files, listed, exported and removed.

BentoML runs in a child process: it takes more than a second of CPU to import and keeps global state, neither
of which belongs into ours. A Bento is made in a folder aside and renamed into the store when it is complete.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_tui.adapters.files import unfinished
from mlops_tui.adapters.processes import environment
from mlops_tui.errors import External, InvalidInput, NotFound, near_miss

if TYPE_CHECKING:
    import tarfile

CARRIED = (
    "__init__.py",
    "counters.py",
    "errors.py",
    "golden.py",
    "records/__init__.py",
    "records/build.py",
    "records/codec.py",
    "records/progress.py",
    "records/release.py",
    "records/serving.py",
    "records/watch.py",
    "service/__init__.py",
    "service/answer.py",
    "service/bento.py",
    "service/guard.py",
    "service/http.py",
    "service/model.py",
    "service/one_row.py",
    "service/pages.py",
    "service/roles.py",
    "service/shadow.py",
    "service/waiting.py",
    "service/wire.py",
    "spool.py",
    "core/__init__.py",
    "core/bodies.py",
    "core/calibration.py",
    "core/canary.py",
    "core/decode.py",
    "core/derive.py",
    "core/features.py",
    "core/inputs.py",
    "core/kinds.py",
    "core/matrix.py",
    "core/openapi.py",
    "core/requests.py",
    "core/scoring.py",
    "core/sent_labels.py",
    "core/single_row.py",
)
"""The modules of ours that a Bento carries; a test proves that they are enough and that each is needed."""

PACKAGE = Path(__file__).parents[1]
ENTRY = '''"""What BentoML serves: the model version in the folder beside this file."""

import os
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(variable, "1")  # requests are small: threads cost more than they give

# LightGBM imports these where it finds them, a third of a worker's memory, for faces that nobody uses here.
unused = [name for name in ("sklearn", "pandas") if name not in sys.modules]
sys.modules.update(dict.fromkeys(unused))
from mlops_tui.service.bento import make

for name in unused:
    del sys.modules[name]

Model = make(Path(__file__).parent / "model")
'''
BUILD_SECONDS = 300
HASHED = re.compile(r".*-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a Bento: the reference "flight-delay:3", the model's files by name, whether it is approved.

    Files: booster.txt, transform.json, signature.json, golden.json, model.json (an object: what /metadata says),
    serving.json (how it is served), and calibration.json where the model has one.
    """

    model: str
    files: dict[str, bytes]
    approved: bool


@dataclass(frozen=True, slots=True)
class Built:
    """A Bento in the store: its tag "name:version", its model's reference, folder, size in bytes, approved or not."""

    tag: str
    model: str
    folder: Path
    size: int
    approved: bool


def tag_name(model: str) -> str:
    """Return the name of a model's Bentos: BentoML knows no capitals, and no two models share a name.

    A name that changes in lower case gets a hash of what it was, and so does one that looks as if it had one.

    >>> tag_name("flight-delay"), tag_name("Flight-Delay")
    ('flight-delay', 'flight-delay-dd32e41e')
    """
    lower = model.lower()
    if lower == model and not HASHED.fullmatch(model):
        return model
    return f"{lower[:54]}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def build(home: Path, contents: Contents, name: str, version: str) -> Built:
    """Build a Bento into the store at `home` (BENTOML_HOME), in place of one of the same tag.

    Raises External with BentoML's last words if it fails.
    """
    import tempfile

    tag = f"{name}:{version}"
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    _clear_abandoned(home / "tmp")
    with (
        tempfile.TemporaryDirectory(prefix="build-", dir=home / "tmp") as scratch,
        tempfile.TemporaryDirectory(prefix="mlops-") as outside,  # BentoML refuses to read below a hidden folder
    ):
        context, store = Path(outside, "context"), Path(scratch, "home")
        _write_context(context, contents, tag)
        _run_build(context, store, name, version)
        made = store / "bentos" / name / version
        # BentoML adds its own name without a hash to what it was given; with hashes, installers want them all.
        shutil.copyfile(context / "requirements.txt", made / "env" / "python" / "requirements.txt")
        _compile(made / "src")
        place = home / "bentos" / name / version
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            place.rename(Path(scratch, "old"))
        made.rename(place)
        (place.parent / "latest").write_text(version)  # what BentoML's own commands read for "name:latest"
    return _built(place)


def find(home: Path, tag: str) -> Built:
    """Return the Bento with a tag; raises NotFound naming the known ones."""
    if is_there(home, tag):
        return _built(_folder(home, tag))
    raise NotFound(f"no Bento '{tag}'{near_miss(tag, [item.tag for item in list_bentos(home)])}")


def is_there(home: Path, tag: str) -> bool:
    """Return whether a store has a Bento of a tag."""
    return ":" in tag and (_folder(home, tag) / "bento.yaml").is_file()


def _folder(home: Path, tag: str) -> Path:
    name, _, version = tag.partition(":")
    return home / "bentos" / name / version


def list_bentos(home: Path) -> list[Built]:
    """Return the Bentos of a store, the newest first."""
    found = sorted((home / "bentos").glob("*/*/bento.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [_built(path.parent) for path in found]


def export(home: Path, tag: str, path: Path) -> Path:
    """Write a Bento as one file that `bentoml import` reads, complete or not at all, and return its path.

    The name decides: .bento (tar, xz) or .tar.gz; a folder means a .bento file named after the tag in it. The same
    Bento gives the same bytes. Raises InvalidInput for another name, External if the file cannot be written.
    """
    bento = find(home, tag)
    target = path / f"{tag.replace(':', '-')}.bento" if path.is_dir() else path
    if not target.name.endswith((".bento", ".tar.gz")):
        raise InvalidInput(f"a Bento is exported as .bento or .tar.gz, not as {target.name!r}")
    part = unfinished(target)
    try:
        _pack(bento.folder, part, target.suffix)
        part.replace(target)
    except OSError as error:
        raise External(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return target


def remove(home: Path, tag: str) -> None:
    """Remove a Bento from the store; raises NotFound if there is none of that tag."""
    folder = find(home, tag).folder
    shutil.rmtree(folder)
    others = [item.folder.name for item in list_bentos(home) if item.folder.parent == folder.parent]
    if others:
        (folder.parent / "latest").write_text(others[0])
    else:
        shutil.rmtree(folder.parent)


def _built(folder: Path) -> Built:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    about = msgspec.json.decode((folder / "src" / "model" / "model.json").read_bytes(), type=dict[str, Any])
    return Built(f"{folder.parent.name}:{folder.name}", about["model"], folder, size, about["approved"] is True)


def _clear_abandoned(folder: Path) -> None:
    """Remove what killed builds left behind: folders too old to belong to a build that still runs."""
    for path in folder.glob("build-*"):
        if time.time() - path.stat().st_mtime > 2 * BUILD_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _write_context(context: Path, contents: Contents, tag: str) -> None:
    about = msgspec.json.decode(contents.files["model.json"], type=dict[str, Any])
    about |= {"model": contents.model, "approved": contents.approved, "bento": tag}
    files = {f"model/{name}": data for name, data in contents.files.items()}
    files["model/model.json"] = msgspec.json.encode(about, order="sorted")
    files |= {f"mlops_tui/{name}": (PACKAGE / name).read_bytes() for name in CARRIED}
    files["service.py"] = ENTRY.encode()
    files["requirements.txt"] = (PACKAGE / "service.lock").read_bytes()
    state = "approved" if contents.approved else "NOT approved"
    files["about.md"] = (
        f"# {tag}\n\nModel {contents.model}, {state}. POST rows to /predict; see /openapi.json.\n".encode()
    )
    files["bentofile.yaml"] = msgspec.json.encode(_bentofile(contents, tag))  # JSON is YAML
    for path, data in files.items():
        target = context / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _bentofile(contents: Contents, tag: str) -> dict[str, Any]:
    return {
        "service": "service:Model",
        "name": tag.partition(":")[0],
        "description": "file:about.md",
        "labels": {"model": contents.model, "approved": "true" if contents.approved else "false"},
        "include": ["service.py", "model/*", "mlops_tui/**"],
        # Our lock has hashes; BentoML's own locking has none and writes the index's address into the Bento.
        "python": {"requirements_txt": "requirements.txt", "lock_packages": False},
        "docker": {"python_version": f"{sys.version_info[0]}.{sys.version_info[1]}"},
    }


def _run_build(context: Path, store: Path, name: str, version: str) -> None:
    import subprocess

    command = [sys.executable, "-m", "bentoml", "build", "--name", name, "--version", version, str(context)]
    store.mkdir()
    try:
        done = subprocess.run(
            command,
            cwd=context,
            env=environment(store),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise External(f"BentoML did not build {name}:{version}: {error}") from None
    if done.returncode or not (store / "bentos" / name / version / "bento.yaml").is_file():
        last = "\n  ".join(done.stdout.decode("utf-8", "replace").strip().splitlines()[-6:])
        raise External(f"BentoML did not build {name}:{version}; its last words:\n  {last}")


def _compile(source: Path) -> None:
    """Compile what the Bento carries: by content, not by time, so that the same Bento has the same bytes."""
    import py_compile

    for path in sorted(source.rglob("*.py")):
        shown = str(path.relative_to(source))
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), dfile=shown, doraise=True, invalidation_mode=mode)


def _pack(folder: Path, target: Path, suffix: str) -> None:
    import gzip
    import lzma
    import tarfile

    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", mtime=0, fileobj=raw) if suffix == ".gz" else lzma.open(raw, "wb") as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in sorted(folder.rglob("*")):
            archive.add(path, str(path.relative_to(folder)), recursive=False, filter=_anonymous)


def _anonymous(item: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who owns a file here and when it was written."""
    item.uid = item.gid = item.mtime = 0
    item.uname = item.gname = ""
    return item
