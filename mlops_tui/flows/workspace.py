"""Handles, opened once: the root, settings, catalogue, objects, user, clock and where progress goes."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui import __version__
from mlops_tui.adapters.catalogue import Catalogue, lock
from mlops_tui.adapters.objects import Objects
from mlops_tui.errors import Busy, External, InvalidInput, NotFound
from mlops_tui.names import LOCK_TIMEOUT, parse_duration
from mlops_tui.records import Code, Progress

if TYPE_CHECKING:
    from mlops_tui.config import WorkspaceFile

FOLDERS = ("objects", "runs", "bentos", "spool", "log", "locks", "backups")
SETTINGS_TEMPLATE = """\
# The team's settings; every key is optional and shown with its default.

[catalogue]
# lock_timeout = "30s"     # how long an act waits for another to finish

[training]
# threads = 0              # 0: all cores

[approval]
# identity = "claimed"     # "unix": reviewers sign as their Unix user only, --by is refused

[agent]
# every = "1m"             # how often it wakes
# restarts = 5             # how often a deployment is restarted before it is given up

[notify]                   # whom the agent tells: a webhook, a command, or both; by default nobody
# webhook = "https://…"
# webhook_env = "…"        # the variable that holds the address, where that is a secret
# secret_env = "…"         # the variable that holds the key that signs, or:
# secret_file = "…"        # the file that does
# command = ["…"]          # gets each notice as JSON on its standard input
# kinds = ["waiting", "failed"]    # by default all
# timeout = "10s"          # of one delivery
# attempts = 8
"""
TRAINING_CODE = (
    *("calibration", "crossval", "derive", "features", "fitting", "intervals", "kinds", "material", "measures"),
    *("metrics", "requests", "samples", "scoring", "single_row", "split", "target"),
    "training",
)
"""The modules of core whose code decides what a training gives: `training` and all that it imports."""


def utc_now() -> datetime:
    """Return the time, in UTC, to the microsecond."""
    return datetime.now(UTC)


def silent(_: Progress) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Workspace:
    """A team's workspace, open; flows take it as their first argument."""

    root: Path
    catalogue: Catalogue
    objects: Objects
    user: str
    now: Callable[[], datetime] = utc_now
    report: Callable[[Progress], None] = field(default=silent, repr=False)

    @cached_property
    def settings(self) -> WorkspaceFile:
        """The team's settings; raises InvalidInput with every mistake of `mlops.toml`."""
        from mlops_tui.config import load_workspace_file

        return load_workspace_file(self.root / "mlops.toml")

    @property
    def home(self) -> Path:
        """The folder of everything the product writes."""
        return self.root / ".mlops"

    @property
    def threads(self) -> int:
        """How many threads a training uses."""
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.settings.training.threads or allowed or 1

    @contextmanager
    def exclusive(self, name: str, what: str, timeout: float | None = None) -> Iterator[None]:
        """Hold a named lock for a long act; says whom it waits for, and raises Busy after the team's lock_timeout."""
        path, wait = self.home / "locks" / name, self.catalogue.timeout if timeout is None else timeout
        with ExitStack() as held:
            try:
                held.enter_context(lock.exclusive(path, what, timeout=0, user=self.user))
            except Busy as busy:
                self.report(Progress("wait", f"{busy.message}; waiting up to {wait:g} s"))
                held.enter_context(lock.exclusive(path, what, timeout=wait, user=self.user))
            yield

    def run_folder(self, run: str) -> Path:
        """The folder of a run's live progress."""
        return self.home / "runs" / run

    def relative(self, path: Path) -> str:
        """A path as a person in the workspace would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def unix_user() -> str:
    """Return the name of the Unix user that this process runs as."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def find_root(start: Path | None = None) -> Path:
    """Return the workspace's root: `start`, else MLOPS_WORKSPACE, else upwards from here; raises NotFound."""
    named = start or (Path(os.environ["MLOPS_WORKSPACE"]) if os.environ.get("MLOPS_WORKSPACE") else None)
    if named is not None:
        if (named / ".mlops").is_dir():
            return named.resolve()
        raise NotFound(f"{named} is not a workspace: it has no folder .mlops", f"make one: mlops init {named}")
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".mlops").is_dir():
            return folder
    raise NotFound(f"no workspace at {here} or above it", "make one: mlops init, or name one: mlops -C DIR …")


def open_workspace(start: Path | None = None, report: Callable[[Progress], None] = silent) -> Workspace:
    """Open the workspace at or above a folder; nothing is locked or loaded until a flow acts."""
    root = find_root(start)
    home = root / ".mlops"
    if home.stat().st_mode & 0o2000:
        os.umask(0o002)  # a shared workspace: what one member writes, the others may replace
    user = unix_user()
    catalogue = Catalogue(home / "catalogue.duckdb", parse_duration(LOCK_TIMEOUT), user)
    workspace = Workspace(root, catalogue, Objects(home / "objects"), user, report=report)
    if _sets_something(root / "mlops.toml"):
        catalogue.timeout = parse_duration(workspace.settings.catalogue.lock_timeout)
    return workspace


def _sets_something(path: Path) -> bool:
    """Whether a file of settings says anything: most say nothing, and a listing need not load what checks them."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        return True  # whoever reads it next says what is wrong with it
    return any(line and not line.startswith(("#", "[")) for line in map(str.strip, lines))


def init(root: Path, group: str | None = None) -> tuple[Workspace, bool]:
    """Make a workspace in a folder and return it, and whether it is new; running it again changes nothing."""
    try:
        is_new = not (root / ".mlops").exists()
        for folder in (root, root / "pipelines", root / ".mlops", *(root / ".mlops" / name for name in FOLDERS)):
            folder.mkdir(parents=True, exist_ok=True)
        _write_once(root / "mlops.toml", SETTINGS_TEMPLATE)
        _write_once(root / ".mlops" / ".gitignore", "*\n")
    except OSError as error:
        raise External(f"cannot make a workspace in {root}: {error.strerror}") from None
    if group:
        _share(root, group)
    workspace = open_workspace(root)
    workspace.catalogue.create()
    return workspace, is_new


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")


def _share(root: Path, group: str) -> None:
    """Give every folder to a Unix group, with the setgid bit so that what is made in it stays the group's."""
    try:
        for folder in (root, root / "pipelines", root / ".mlops", *(root / ".mlops" / name for name in FOLDERS)):
            shutil.chown(folder, group=group)
            folder.chmod(0o2775)
    except LookupError:
        raise InvalidInput(f"no Unix group '{group}'", "getent group lists them") from None
    except PermissionError as error:
        raise External(f"cannot give {root} to the group {group}: {error.strerror}", "are you a member?") from None


def new_id() -> str:
    """Return a fresh id of 12 hex digits, whose prefixes tell ids apart."""
    return os.urandom(6).hex()


def training_code(root: Path) -> Code:
    """Return which code trains: a hash of our training code and its libraries' versions, and the workspace's commit."""
    folder = Path(__file__).parent.parent / "core"
    from importlib import metadata

    hash_ = hashlib.sha256()
    for name in TRAINING_CODE:
        hash_.update((folder / f"{name}.py").read_bytes())
    for library in ("lightgbm", "polars", "numpy"):
        hash_.update(f"{library}=={metadata.version(library)}".encode())
    commit, dirty = _git_state(root)
    return Code(hash_.hexdigest(), commit, dirty)


def _git_state(root: Path) -> tuple[str | None, bool]:
    """Return the workspace's commit and whether its work tree differs from it; (None, False) outside of git."""
    command = ["git", "-C", str(root), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None, False
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), None)
    if done.returncode != 0 or commit in (None, "(initial)"):
        return None, False
    return commit, any(not line.startswith("#") for line in lines)


def environment() -> dict[str, str]:
    """Return the versions that a training depends on."""
    import platform
    from importlib import metadata

    libraries = ("lightgbm", "polars", "numpy")
    found = {name: metadata.version(name) for name in libraries}
    return {"python": platform.python_version(), "machine": platform.machine(), **found, "mlops-tui": __version__}
