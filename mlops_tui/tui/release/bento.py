"""The page of a Bento: what it carries, the proof that it answers as its model does, and what serves it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.content import Content

from mlops_tui.flows.queries.served import Served, served
from mlops_tui.flows.release import bentos
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento as Built
from mlops_tui.records import Parity
from mlops_tui.texts.cells import age, bytes_text, cell
from mlops_tui.tui.release.parts import PARTS, Rows, Sheet, part
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.widgets.drawn import Title, Words, facts


@dataclass(frozen=True, slots=True)
class Found:
    """A Bento, whether its folder is there, and the deployments that serve it."""

    bento: Built
    there: bool
    serving: tuple[Served, ...]


class Bento(Sheet[Found]):
    """One Bento."""

    name_in_path = "bento"

    def sections(self) -> ComposeResult:
        """The proof, and what it belongs to."""
        yield Title("Parity: golden rows through HTTP against the model in process")
        yield Words("", id="parity")
        yield Title("Belongs to")
        yield Rows(PARTS, id="parts")

    def load(self, workspace: Workspace) -> Found:
        """The Bento by its tag, or that of a model version."""
        bento = bentos.find(workspace, self.ref)
        serving = [one for one in served(workspace) if one.deployment.bento == bento.tag]
        serving.sort(key=lambda one: one.state != "running")
        return Found(bento, bentos.is_there(workspace, bento), tuple(serving))

    def show(self, data: Found) -> None:
        """Update every part."""
        one, now = data.bento, self.workspace.now()
        approved = (
            Content.styled("✓ yes", "$text-success")
            if one.approved
            else Content.styled("! no: a trial", "$text-warning")
        )
        gone = Content.styled(
            f"✗ its folder is gone; next: mlops bentos build {one.model}:{one.version}", "$text-error"
        )
        self.put_text("head", facts([
            ("bento", one.tag), ("approved", approved), ("size", bytes_text(one.size)),
            ("store", None if data.there else gone),
            ("built", f"{cell(one.created_at)} by {one.author} ({age(one.created_at, now)} ago)"), ("content", one.key),
        ]))  # fmt: skip
        self.put_text("parity", _proof(one.parity))
        serving = [
            part("deployment", item.deployment.name, f"{item.state}, {item.deployment.url}") for item in data.serving
        ] or [part("deployment", "-", "nothing serves it; s on its model does")._replace(opens=None)]
        self.put_lines("parts", [part("model", f"{one.model}:{one.version}"), part("pipeline", one.model), *serving])

    def subject(self) -> Subject | None:
        """The Bento, its model, and the deployment that serves it."""
        if self.data is None:
            return None
        one, running = self.data.bento, [item for item in self.data.serving if item.state == "running"]
        refs = {"model": f"{one.model}:{one.version}", "pipeline": one.model}
        return Subject("bento", one.tag, refs | ({"deployment": running[0].deployment.name} if running else {}))

    def shell(self) -> list[str]:
        """The command that lists its model's Bentos."""
        return ["bentos", "list", self.data.bento.model] if self.data else ["bentos", "list"]


def _proof(parity: Parity) -> Content:
    same = parity.max_difference == 0
    mark = Content.styled("✓ the same answers" if same else "✓ within the tolerance", "$text-success")
    return facts([
        ("verdict", mark), ("rows", f"{parity.rows} golden rows"), ("difference", f"{parity.max_difference:g} at most"),
        ("latency", f"p50 {parity.latency_ms_p50:.1f} ms, p99 {parity.latency_ms_p99:.1f} ms, one row a request"),
        ("ready after", f"{parity.ready_seconds:.1f} s"), ("checked", cell(parity.checked_at)),
    ])  # fmt: skip
