"""The palette: every act on what is under the cursor, every list, and every object by name."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.markup import escape

from mlops_tui.tui import verbs
from mlops_tui.tui.build.root import Build
from mlops_tui.tui.page import Page
from mlops_tui.tui.release.lists import Release
from mlops_tui.tui.watch.root import Watch

if TYPE_CHECKING:
    from mlops_tui.tui.app import MissionControl

MOST = 40  # objects: each is a widget
LISTS = (Build, Release, Watch)
WHERE: dict[verbs.Noun, tuple[str, str]] = {
    "pipeline": ("build", "pipelines"), "dataset": ("build", "datasets"), "run": ("build", "runs"),
    "champion": ("release", "models"), "model": ("release", "models"), "bento": ("release", "bentos"),
    "deployment": ("release", "deployments"),
}  # fmt: skip
"""By noun: the list that holds what an act is done to."""


class Entry(NamedTuple):
    """Something to do: its name, the command that does the same, and what a choice of it does."""

    name: str
    command: str
    do: Callable[[], None]
    about: str

    def score(self, match: Callable[[str], float]) -> float:
        """How well what is typed fits, by either name."""
        return max(match(self.name), match(self.command))


class Finder(Provider):
    """Acts first, then objects: they come from the catalogue, in a thread, never more than fit to be read."""

    @property
    def _app(self) -> MissionControl:
        return cast("MissionControl", self.app)

    def _here(self) -> tuple[verbs.Subject, list[verbs.Verb]]:
        """What is under the cursor, and what may be done to it: also by an act whose key another one has."""
        page = self.screen
        subject = page.subject() if isinstance(page, Page) else None
        if subject is None or not isinstance(page, Page):
            subject, keyed = verbs.WORKSPACE, verbs.for_subject(verbs.WORKSPACE)
        else:
            keyed = page.acts()
        known = verbs.for_subject(subject)
        found = [*keyed, *(verb for verb in verbs.fitting(subject) if verb not in known)]
        return subject, [verb for verb in found if self._allowed(verb)]

    def _allowed(self, verb: verbs.Verb) -> bool:
        return verb.reads or not self._app.read_only

    def _acts(self) -> list[Entry]:
        subject, found = self._here()
        return [
            Entry(
                f"{verb.label} {subject.of(verb.noun) or ''}".strip(),
                verb.command,
                partial(self._app.do, verb, subject),
                shlex.join(["mlops", *verb.line(subject)]),
            )
            for verb in found
        ]

    def _lists(self) -> Iterator[Entry]:
        """Every list, and where an act can be done that fits nothing here."""
        yield Entry("home", "status", partial(self._app.action_go, 0), "mlops status")
        for page in LISTS:
            for tab in page.tabs:
                words, act = tab.shell("", ""), partial(self._app.open_list, page.name_in_path, tab.name)
                yield Entry(f"{page.name_in_path} ▸ {tab.name}", " ".join(words), act, shlex.join(["mlops", *words]))
        yield Entry("commands", "", self._app.action_jobs, "those that were started here, and what they printed")
        _, here = self._here()
        for verb in verbs.VERBS:
            if verb.noun in WHERE and self._allowed(verb) and verb.command not in {one.command for one in here}:
                act, told = partial(self._app.open_list, *WHERE[verb.noun]), " ▸ ".join(WHERE[verb.noun])
                yield Entry(f"{verb.label}: on a {verb.noun}", verb.command, act, f"choose it in {told}")

    async def discover(self) -> Hits:
        """What can be done here."""
        for one in self._acts():
            yield DiscoveryHit(Content(one.name), one.do, one.name, escape(one.about))

    async def search(self, query: str) -> Hits:
        """Acts, lists and objects whose names have the letters typed, in their order."""
        from mlops_tui.flows.queries import lists

        matcher = self.matcher(query)
        for weight, entries in ((1.0, self._acts()), (0.5, self._lists())):
            for one in entries:
                if (score := one.score(matcher.match)) > 0:
                    yield Hit(weight * score, matcher.highlight(escape(one.name)), one.do, one.name, escape(one.about))
        for named in await asyncio.to_thread(lists.names, self._app.workspace, query, MOST):
            shown = f"{named.noun} {named.name}"
            score = matcher.match(named.name) or 0.01
            act = partial(self._app.open, named.noun, named.ref)
            yield Hit(score, matcher.highlight(escape(shown)), act, f"{shown} {named.ref}", escape(named.text))
