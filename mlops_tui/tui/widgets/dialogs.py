"""Questions: what will happen, the command that does it, and what it must be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.table import Table


class Question(ModalScreen[list[str] | None]):
    """Asks for (label, hint, required) fields and a yes; gives the answers back, or None for a no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "no", show=False),
        Binding("enter", "accept", "yes", show=False),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]  # noqa: RUF012  # as Textual declares it

    def __init__(
        self, title: str, text: str, fields: Sequence[tuple[str, str, bool]], command: Callable[[list[str]], str]
    ) -> None:
        super().__init__()
        self.told, self.text, self.fields, self.command = title, text, tuple(fields), command

    def compose(self) -> ComposeResult:
        """A box with the question, its fields, and the command as it stands."""
        with VerticalScroll(id="box", can_focus=not self.fields):  # a field passes on the keys that scroll
            yield Static(Content.styled(self.told, "bold"), id="title")
            if self.text:
                yield Static(Content(self.text), id="text")
            for label, hint, required in self.fields:
                yield Input(placeholder=f"{label}{'' if required else ' (optional)'}{f': {hint}' if hint else ''}")
            yield Static("", id="command")
            yield Static(Content.styled("Enter does it · Esc leaves it", "dim"))

    def on_mount(self) -> None:
        """Show the command."""
        self._tell()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The command follows what is typed; a field that was scrolled away comes back."""
        event.input.scroll_visible(animate=False)
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in a field goes to the next one that is empty and needed, and from there it does it."""
        event.stop()
        self.action_accept()

    @property
    def answers(self) -> list[str]:
        """What has been typed."""
        return [field.value.strip() for field in self.query(Input)]

    def _tell(self) -> None:
        self.query_one("#command", Static).update(Content.styled(f"$ {self.command(self.answers)}", "dim"))

    def action_accept(self) -> None:
        """Give the answers back; a field that must be filled gets the cursor instead."""
        fields = list(self.query(Input))
        for field, answer, (_, _, required) in zip(fields, self.answers, self.fields, strict=True):
            if required and not answer:
                field.focus()
                field.add_class("missing")
                return
        self.dismiss(self.answers)


class Line(ModalScreen[str | None]):
    """One line to type at the bottom of the screen: a command, with completion and history."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "leave", show=False),
        Binding("up", "back(-1)", "the one before", show=False),
        Binding("down", "back(1)", "the next", show=False),
    ]

    def __init__(self, prompt: str, words: Sequence[str], history: Sequence[str], value: str = "") -> None:
        super().__init__()
        self.prompt, self.words, self.history, self.value = prompt, list(words), list(history), value
        self.at = len(self.history)

    def compose(self) -> ComposeResult:
        """The prompt and the line."""
        with Vertical(id="line"):
            yield Static(self.prompt, id="prompt")
            yield Input(self.value, suggester=SuggestFromList(self.words, case_sensitive=True), select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give the line back."""
        event.stop()
        self.dismiss(event.value.strip() or None)

    def action_back(self, by: int) -> None:
        """Through what was typed before."""
        self.at = max(0, min(self.at + by, len(self.history)))
        field = self.query_one(Input)
        field.value = self.history[self.at] if self.at < len(self.history) else ""
        field.cursor_position = len(field.value)


class Help(ModalScreen[None]):
    """Every key of a page, by groups; any of Esc, Enter, q and ? leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "leave", show=False),
    ]

    def __init__(self, title: str, groups: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> None:
        super().__init__()
        self.told, self.groups = title, groups

    def compose(self) -> ComposeResult:
        """A box of keys and what they do: a table, which draws only the rows in view."""
        columns = (Column("key", self.told, 14, 24, sorts=False), Column("does", "", 20, 100, sorts=False))
        with Vertical(id="box"):
            yield Table(columns)

    def on_mount(self) -> None:
        """A row a key, a head to every group."""
        rows: dict[Key, tuple[Cell, ...]] = {}
        for name, pairs in self.groups:
            rows[name] = (Cell(name, "due"), Cell(""))
            rows |= {(name, key): (Cell(f"  {key}", "lit"), Cell(label)) for key, label in pairs}
        self.query_one(Table).put(list(rows), rows)

    def on_table_chosen(self) -> None:
        """Enter leaves it."""
        self.dismiss()
