"""What an image is made from: a Containerfile of our own and the files beside it, written from a Bento's folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from mlops_tui.errors import External, InvalidInput

LAUNCHER = Path(__file__).with_name("launcher.py")
PORT = 3000
UID, GID = 10001, 0
SPOOL = "/spool"
REFERENCE = re.compile(r"[a-z0-9][a-z0-9._/:-]*(@sha256:[0-9a-f]{64})?")
PROBE = (
    "import http.client as h, os, sys; "
    f"c = h.HTTPConnection(os.environ.get('MLOPS_HOST', '0.0.0.0'), int(os.environ.get('MLOPS_PORT', '{PORT}')), "
    "timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"
)
# By content, as times are not kept: a cold start without takes three times the CPU, and nothing can be written later.
COMPILE = "PYTHONHASHSEED=0 /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash"
FETCH_GOMP = "apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1"
NO_GOMP = "echo 'the base has no libgomp1, and nothing is fetched with --wheels' >&2; exit 1"
TEMPLATE = """\
FROM {base} AS build
{wheels}COPY requirements.txt /build/requirements.txt
RUN python3 -m venv /build/pip && python3 -m venv --without-pip /opt/venv \\
 && /build/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \\
    --require-hashes --only-binary=:all:{offline} -r /build/requirements.txt
# LightGBM's wheel needs libgomp, which slim images leave out: it goes with the packages, wherever it comes from.
RUN gomp() {{ find /usr/lib /usr/local/lib -name libgomp.so.1 | head -n 1; }} \\
 && if [ -z "$(gomp)" ]; then {fetch_gomp}; fi \\
 && cp -L "$(gomp)" /opt/venv/lib/libgomp.so.1
# Nobody runs tests, installers or type checkers in there; numpy.testing imports one module of its tests.
RUN find /opt/venv/bin -mindepth 1 ! -name 'python*' -exec rm -rf {{}} + \\
 && find /opt/venv/lib -type d -name tests ! -path '*/numpy/_core/tests' -prune -exec rm -rf {{}} + \\
 && find /opt/venv/lib '(' -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' ')' -delete \\
 && rm -rf /opt/venv/share /opt/venv/include \\
 && {compile} /opt/venv/lib
COPY src /bento/src
COPY bento.yaml run.py /bento/
RUN {compile} /bento && install -d -m 0775 /build/spool

FROM {base}
# Official images come without compiled code of Python itself; where it is there, this finds nothing to do.
RUN python3 -m compileall -q -x '/(test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip|.*-packages)/' \\
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/venv /opt/venv
COPY --from=build /bento /bento
COPY --from=build --chown={uid}:{gid} /build/spool {spool}
ENV BENTOML_HOME=/tmp/bentoml BENTOML_DO_NOT_TRACK=true MLOPS_SPOOL={spool} \\
    LD_LIBRARY_PATH=/opt/venv/lib PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1
{labels}
USER {uid}:{gid}
WORKDIR /bento
VOLUME {spool}
EXPOSE {port}
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD {probe}
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/venv/bin/python", "/bento/run.py"]
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made from: a Bento's folder, labels, a base image, a folder of wheels if nothing is fetched."""

    bento: Path
    labels: dict[str, str] = field(default_factory=dict)
    base: str = ""
    wheels: Path | None = None


def default_base() -> str:
    """Return the official slim image of the Python that made the Bento."""
    return f"docker.io/library/python:{sys.version_info[0]}.{sys.version_info[1]}-slim"


def reference(text: str, what: str) -> str:
    """Return the name of an image as it is; raises InvalidInput for one that no engine takes."""
    if not REFERENCE.fullmatch(text):
        raise InvalidInput(f"{text!r} is no {what}: lower case, as in registry.example.org/team/flight-delay:v3")
    return text


def containerfile(recipe: Recipe) -> str:
    """Return the text of the Containerfile: two stages, of which the second has no installer and no root."""
    base = reference(recipe.base or default_base(), "base image")
    return TEMPLATE.format(
        base=base,
        wheels="COPY wheels /build/wheels\n" if recipe.wheels else "",
        offline=" --no-index --find-links /build/wheels" if recipe.wheels else "",
        fetch_gomp=NO_GOMP if recipe.wheels else FETCH_GOMP,
        labels="\n".join(f"LABEL {_quoted(key)}={_quoted(text)}" for key, text in sorted(recipe.labels.items())),
        uid=UID,
        gid=GID,
        spool=SPOOL,
        port=PORT,
        compile=COMPILE,
        probe=json.dumps(["/opt/venv/bin/python", "-ISc", PROBE]),
    )


def wheels(folder: Path) -> list[Path]:
    """Return the wheels of a folder; raises InvalidInput if there are none."""
    found = sorted(folder.glob("*.whl"))
    if not found:
        hint = (
            f"pip download --require-hashes --only-binary=:all: -d {folder} -r the Bento's env/python/requirements.txt"
        )
        raise InvalidInput(f"no wheels in {folder}", hint)
    return found


def write(recipe: Recipe, context: Path) -> Path:
    """Write the Containerfile and all that it copies into an empty folder, and return its path.

    The same Bento gives the same bytes and modes. Raises InvalidInput for a folder without wheels, External if the
    disk does not take it.
    """
    text = containerfile(recipe)
    try:
        shutil.copytree(recipe.bento / "src", context / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(recipe.bento / "bento.yaml", context / "bento.yaml")
        shutil.copyfile(recipe.bento / "env" / "python" / "requirements.txt", context / "requirements.txt")
        shutil.copyfile(LAUNCHER, context / "run.py")
        if recipe.wheels:
            _take_wheels(recipe.wheels, context / "wheels")
        (context / "Containerfile").write_text(text, encoding="utf-8")
        for path in context.rglob("*"):
            if path.parent.name != "wheels":  # a link to the user's own file
                path.chmod(0o755 if path.is_dir() else 0o644)
    except OSError as error:
        raise External(f"cannot write what the image is made from: {error}") from None
    return context / "Containerfile"


def _take_wheels(folder: Path, target: Path) -> None:
    """Link, or else copy, a folder's wheels beside the Containerfile: an engine reads nothing outside of it."""
    found = wheels(folder)
    target.mkdir()
    for wheel in found:
        try:
            os.link(wheel.resolve(), target / wheel.name)
        except OSError:
            shutil.copyfile(wheel, target / wheel.name)


def _quoted(text: str) -> str:
    """Quote a label for a Containerfile, where a dollar names a variable and a line ends the instruction."""
    clean = " ".join(text.split())
    return json.dumps(clean, ensure_ascii=False).replace("$", "\\$")
