"""Which models a service answers with: the live one; beside it a canary that answers some, or a shadow, none.

What it is told stands in a file (`Control`), which a thread looks at; models are loaded in that thread, and put in
their places between two requests. What it serves, it says in another file (`Serves`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from mlops_tui import counters
from mlops_tui.core import canary
from mlops_tui.core.bodies import PANIC
from mlops_tui.errors import MlopsError
from mlops_tui.records import Challenger, Control, Serves, Serving, from_json, to_json
from mlops_tui.service.answer import Reply
from mlops_tui.service.model import Served, load, serving_as
from mlops_tui.service.one_row import OneRow, one_row

LOOK_SECONDS = 0.05
SERVES = "serves.json"
MOST_VALUES = 10  # of one request: a large one is no more than a few customers
FAULTS: tuple[type[BaseException], ...] = (Exception, PANIC)
LOADED = 4  # models that are kept, so that a way back is a matter of milliseconds
log = logging.getLogger("mlops_tui.service")


class Tally:
    """What one model did since its rollout began, as `core.canary` judges it."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.requests = self.errors = 0
        self.seconds = counters.Distribution(counters.FINE)
        self.predictions = counters.Distribution(edges)

    def add(self, reply: Reply, seconds: float) -> None:
        """Count one answer."""
        self.requests += 1
        self.errors += reply.status >= 500 or reply.status == 422
        self.seconds.add(seconds)
        for value in reply.values[:MOST_VALUES]:
            self.predictions.add(value)

    def side(self) -> canary.Side:
        """Return the counts so far."""
        return canary.Side(self.requests, self.errors, self.seconds.counts, self.predictions.counts)


@dataclass(frozen=True, slots=True)
class Roles:
    """Who answers: `live`, and `rival` where a challenger stands beside it; a request takes one of them once.

    `usual` answers bodies of one row where the live model is alone, and nobody's pace is bounded.
    """

    number: int
    live: Served
    rival: Served | None = None
    challenger: Challenger | None = None
    tallies: tuple[Tally, Tally] | None = None
    leaving: bool = False
    ones: tuple[OneRow | None, OneRow | None] = field(init=False)
    usual: OneRow | None = field(init=False)

    def __post_init__(self) -> None:
        ones = one_row(self.live), one_row(self.rival) if self.rival is not None else None
        is_plain = self.rival is None and not self.leaving and self.live.serving.limits.per_second is None
        object.__setattr__(self, "ones", ones)
        object.__setattr__(self, "usual", ones[0] if is_plain else None)

    def one(self, served: Served) -> OneRow | None:
        """What answers bodies of one row for one of the models."""
        return self.ones[served is not self.live]

    @property
    def is_split(self) -> bool:
        """Whether a canary answers some of the requests."""
        return self.rival is not None and self.challenger is not None and self.challenger.mode == "canary"

    def infos(self) -> tuple[tuple[str, str, str], ...]:
        """Return (model, role, approved) of each, for the counters."""
        found = [(self.live, "live")]
        if self.rival is not None and self.challenger is not None:
            found.append((self.rival, self.challenger.mode))
        return tuple((one.model, role, "true" if one.approved else "false") for one, role in found)


class Cast:
    """The roles as they are now, and the thread that changes them as the control file says.

    `folder` is the Bento's own model, served as `serving` says where there is no control file. `call` runs a function
    on the event loop.
    """

    def __init__(
        self,
        folder: Path,
        control: Path | None,
        call: Callable[[Callable[[], None]], object],
        serving: Serving | None = None,
    ) -> None:
        self._own, self._control, self._call = folder, control, call
        self._loaded: dict[tuple[str, int], Served] = {}
        self._stamp: tuple[int, int] | None = None
        self._looks: list[Callable[[], None]] = []
        self._ending = threading.Event()
        wanted = self._read()
        withdrawn = self._withdrawn(wanted)
        if wanted and withdrawn:  # a worker that died since: what it took back stays so
            wanted = replace(wanted, challenger=None)
        if wanted and wanted.challenger:
            withdrawn = self._unloadable(wanted)
            wanted = replace(wanted, challenger=None) if withdrawn else wanted
        self.now = self._roles(wanted) if wanted else Roles(0, self._model(str(folder), serving))
        self._apply(self.now, wanted.reason if wanted else "started", withdrawn)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self, *looks: Callable[[], None]) -> None:
        """Begin to look at the control file, and call `looks` each time."""
        self._looks += looks
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(1)

    def choose(self, key: Callable[[Served], str]) -> tuple[Served, str]:
        """Return who answers a request of a key, and in which role."""
        now = self.now
        if now.rival is None or now.challenger is None or now.challenger.mode != "canary":
            return now.live, "live"
        mine = canary.chosen(key(now.live), now.rival.model, now.challenger.share)
        return (now.rival, "canary") if mine else (now.live, "live")

    def judge(self, role: str, reply: Reply, seconds: float) -> None:
        """Count an answer while a canary runs, and take the canary back at once where it breaks a bound."""
        now = self.now
        if now.tallies is None or now.rival is None or now.challenger is None:
            return
        live, rival = now.tallies
        (rival if role == "canary" else live).add(reply, seconds)
        if role != "canary" or (rival.requests > 50 and rival.requests % 10):
            return
        why = canary.verdict(now.live.serving.canary, counters.FINE, live.side(), rival.side())
        if why:
            log.warning("the canary %s is taken back: %s", now.rival.model, why)
            alone = replace(now, rival=None, challenger=None, tallies=None)
            self._apply(alone, "withdrawn", why)

    def _run(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            for look in self._looks:
                try:
                    look()
                except FAULTS:
                    log.exception("a look that failed")
            self._look()

    def _look(self) -> None:
        wanted = self._read()
        if wanted is None or wanted.number == self.now.number:
            return
        try:
            roles = self._roles(wanted)
        except FAULTS as error:  # this thread has to live: it hears of keys, too
            log.error("cannot serve %s: %s", wanted.model, _words(error))
            self._tell(replace(self._said(self.now), number=wanted.number, error=_words(error)))
            return
        self._call(lambda: self._apply(roles, wanted.reason))

    def _read(self) -> Control | None:
        """The control file, if it has changed since it was read."""
        if self._control is None:
            return None
        try:
            stat = self._control.stat()
            stamp = stat.st_ino, stat.st_mtime_ns
            if stamp == self._stamp:
                return None
            self._stamp = stamp  # also of one that cannot be read: it is told once
            found = from_json(self._control.read_bytes(), Control)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.error("the control file cannot be read: %s", type(error).__name__)
            return None
        return found

    def _unloadable(self, wanted: Control) -> str:
        """Why the challenger that is asked for cannot be loaded; what is live has to answer all the same."""
        try:
            self._roles(replace(wanted, folder=wanted.challenger.folder if wanted.challenger else wanted.folder))
        except FAULTS as error:
            log.error("the challenger cannot be loaded: %s", _words(error))
            return f"it cannot be loaded: {_words(error)}"
        return ""

    def _withdrawn(self, wanted: Control | None) -> str:
        """Why the canary that is asked for was taken back already, as the worker before this one wrote down."""
        if wanted is None or self._control is None:
            return ""
        try:
            said = from_json(self._control.with_name(SERVES).read_bytes(), Serves)
        except (OSError, msgspec.MsgspecError):
            return ""
        return said.withdrawn if said.number == wanted.number else ""

    def _roles(self, wanted: Control) -> Roles:
        live = self._model(wanted.folder, wanted.serving)
        if wanted.challenger is None:
            return Roles(wanted.number, live, leaving=wanted.leaving)
        rival = self._model(wanted.challenger.folder, wanted.serving)
        tallies = (Tally(live.edges), Tally(live.edges)) if wanted.challenger.mode == "canary" else None
        return Roles(wanted.number, live, rival, wanted.challenger, tallies, wanted.leaving)

    def _model(self, folder: str, serving: Serving | None = None) -> Served:
        """The model of a folder; one that was loaded before is not loaded again, unless it was built anew."""
        place = folder, (Path(folder) / "model.json").stat().st_mtime_ns
        served = self._loaded.pop(place, None) or load(Path(folder))
        self._loaded[place] = served
        while len(self._loaded) > LOADED:
            del self._loaded[next(iter(self._loaded))]
        return served if serving is None else serving_as(served, serving)

    def _apply(self, roles: Roles, reason: str, withdrawn: str = "") -> None:
        """Put models in their places: one assignment, between two requests."""
        self.now = roles
        counters.held.models = roles.infos()
        counters.held.canary_share = roles.challenger.share if roles.is_split and roles.challenger else 0.0
        counters.swapped(reason)
        self._tell(replace(self._said(roles), withdrawn=withdrawn))

    def _said(self, roles: Roles) -> Serves:
        return Serves(roles.number, os.getpid(), roles.live.model, roles.challenger)

    def _tell(self, said: Serves) -> None:
        """Write down what is served, whole or not at all."""
        if self._control is None:
            return
        part = self._control.with_name(f".serves-{os.getpid()}-{threading.get_ident()}")
        with contextlib.suppress(OSError):  # a full disk must not stop an answer
            part.write_bytes(to_json(said))
            part.replace(self._control.with_name(SERVES))


def _words(error: BaseException) -> str:
    """What an error says to whoever reads the catalogue: no path of this machine."""
    return error.message if isinstance(error, MlopsError) else type(error).__name__
