"""The palette: every act on what is under the cursor, and every object by name."""

from __future__ import annotations

import asyncio
import shlex
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.markup import escape

from mlops_tui.tui import verbs
from mlops_tui.tui.page import Page

if TYPE_CHECKING:
    from mlops_tui.tui.app import MissionControl

MOST = 40  # hits: each is a widget


class Finder(Provider):
    """Acts first, then objects: they come from the catalogue, in a thread, never more than fit to be read."""

    @property
    def _app(self) -> MissionControl:
        return cast("MissionControl", self.app)

    def _acts(self) -> list[tuple[str, str, verbs.Verb, verbs.Subject]]:
        page = self.screen
        subject = (page.subject() if isinstance(page, Page) else None) or verbs.WORKSPACE
        found = [verb for verb in verbs.for_subject(subject) if verb.reads or not self._app.read_only]
        names = [f"{verb.label} {subject.of(verb.noun) or ''}".strip() for verb in found]
        lines = [shlex.join(["mlops", *verb.line(subject)]) for verb in found]
        return [(name, line, verb, subject) for name, line, verb in zip(names, lines, found, strict=True)]

    async def discover(self) -> Hits:
        """What can be done here."""
        for name, command, verb, subject in self._acts():
            yield DiscoveryHit(Content(name), partial(self._app.do, verb, subject), name, escape(command))

    async def search(self, query: str) -> Hits:
        """Acts and objects whose names have the letters typed, in their order."""
        from mlops_tui.flows.queries import lists

        matcher = self.matcher(query)
        for name, command, verb, subject in self._acts():
            if (score := matcher.match(name)) > 0:
                yield Hit(
                    score, matcher.highlight(escape(name)), partial(self._app.do, verb, subject), name, escape(command)
                )
        found = await asyncio.to_thread(lists.names, self._app.workspace, query, MOST)
        for one in found:
            shown = f"{one.noun} {one.ref}"
            score = matcher.match(one.ref) or 0.01
            act = partial(self._app.open, one.noun, one.ref)
            yield Hit(score, matcher.highlight(escape(shown)), act, shown, escape(one.text))
