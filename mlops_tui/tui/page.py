"""What every page is: a path on top, a body that is loaded in a thread, and two lines at the bottom.

A page says what it loads (`load`, in a worker thread: it may wait), how that is shown (`show`, on the event loop: it
may not), which command shows the same (`shell`), and what is under the cursor (`subject`), from which its acts follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual import work
from textual._styles_cache import StylesCache
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from mlops_tui.errors import InvalidInput, MlopsError
from mlops_tui.tui import verbs
from mlops_tui.tui.outside import log_bug
from mlops_tui.tui.widgets.dialogs import Help
from mlops_tui.tui.widgets.drawn import Words
from mlops_tui.tui.widgets.status import Keys
from mlops_tui.tui.widgets.table import Table

if TYPE_CHECKING:
    from textual.events import Key

    from mlops_tui.flows.workspace import Workspace
    from mlops_tui.tui.app import MissionControl

T = TypeVar("T")
WIDE = 120  # columns of a screen from which two parts stand side by side
EVERYWHERE = (
    ("0 1 2 3", "home, build, release, watch"), ("Enter", "open"), ("Esc", "back"), ("Tab", "the next list"),
    ("/", "filter"), (":", "type any mlops command"), ("y", "copy the command that shows this"),
    ("Ctrl+P", "find any act or object"), ("o", "this page's text in $PAGER"), ("E", "the pipeline's file in $EDITOR"),
    ("J", "commands at work"), ("Ctrl+X", "cancel the newest command"), ("T", "the next theme"),
    ("Ctrl+R", "load again"), ("q", "quit"),
)  # fmt: skip
TABLES = (
    ("↑ ↓ PgUp PgDn", "move"), ("← →", "columns that do not fit"), ("< >", "sort by a column"), ("!", "the other way"),
    ("Space", "mark a row"),
)  # fmt: skip


class Page(Screen[None], Generic[T]):
    """A page of the screens; see the module."""

    name_in_path: ClassVar[str] = ""
    filters: ClassVar[bool] = False  # whether `/` is of use here
    breathes: ClassVar[float] = (
        0.0  # loaded again by itself after so many seconds at the least; 0: when the catalogue changed
    )
    AUTO_FOCUS = "Table"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  # as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", show=False),
        Binding("question_mark", "keys", "help", show=False),
        Binding("y", "copy", "copy the command", show=False),
        Binding("ctrl+r", "reload", "load again", show=False),
        Binding("o", "pager", "open in a pager", show=False),
        Binding("E", "edit", "open in an editor", show=False),
    ]

    class Loaded(Message):
        """What a page asked for is here; or what went wrong."""

        def __init__(self, number: int, data: Any, error: MlopsError | None, seconds: float) -> None:
            super().__init__()
            self.number, self.data, self.error, self.seconds = number, data, error, seconds

    def __init__(self) -> None:
        super().__init__()
        self.data: T | None = None
        self.failed: MlopsError | None = None
        self.mistyped: MlopsError | None = None  # what is wrong with the filter as it is typed
        self.text = ""  # of the filter
        self._number = 0  # of the newest load: an older one's answer comes too late
        self._loading = False
        self._again = False
        self._is_here = False  # its widgets are
        self._stamp: tuple[int, ...] = ()  # of the catalogue, when it was loaded last
        self.cost = 0.0  # seconds that the last load took

    # ── what a page says of itself ───────────────────────────────────────────────────────────────

    @property
    def app_(self) -> MissionControl:
        """The application, by its own type."""
        from mlops_tui.tui.app import MissionControl

        assert isinstance(self.app, MissionControl)
        return self.app

    @property
    def workspace(self) -> Workspace:
        """The workspace that is looked at."""
        return self.app_.workspace

    def title_in_path(self) -> str:
        """What stands for this page in the path."""
        return self.name_in_path

    def body(self) -> ComposeResult:
        """The widgets between the path and the keys."""
        yield from ()

    def load(self, workspace: Workspace) -> T:
        """Fetch what is shown; runs in a thread, touches no widget."""
        raise NotImplementedError

    def loader(self) -> Callable[[Workspace], T]:
        """What loads the page, with all that it needs of the widgets: those are the event loop's."""
        return self.load

    def show(self, data: T) -> None:
        """Put what was loaded on the screen."""
        raise NotImplementedError

    def shell(self) -> list[str]:
        """The words of the command that shows the same, without `mlops`."""
        return []

    def subject(self) -> verbs.Subject | None:
        """What acts are done to."""
        return None

    def keys(self) -> Sequence[tuple[str, str]]:
        """The page's own keys, beside those of its acts."""
        return ()

    # ── the frame ────────────────────────────────────────────────────────────────────────────────

    def compose(self) -> ComposeResult:
        """Path, body, filter, what happens, keys."""
        yield Words("", id="path")
        with Vertical(id="body"):
            yield from self.body()
        yield Words("", id="trouble")
        if self.filters:
            hint = "filter: words, field:value, metric>number, -not this"
            yield Input(placeholder=hint, id="filter", select_on_focus=False)
        yield Words("", id="activity")
        yield Keys(id="keys")

    def on_mount(self) -> None:
        """Begin to load."""
        self.query("#filter").set(display=False)
        self.query_one("#trouble").display = False
        self._is_here = True
        self.tell_path()
        self.reload()

    def on_unmount(self) -> None:
        """Let go of what was drawn: a cache of Textual's keeps the lines of every widget that it was asked for."""
        StylesCache.get_inner_outer.cache_clear()

    def on_screen_resume(self) -> None:
        """Back from another page: what it did may show here."""
        self.tell_path()
        self.app_.tell_activity()
        changed = self.data is not None and self.workspace.catalogue.stamp() != self._stamp
        if changed or self.failed is not None:
            self.reload()

    def tell_path(self) -> None:
        """Where we are: the pages below this one, then it."""
        app = self.app_
        names = [page.title_in_path() for page in app.screen_stack if isinstance(page, Page)]
        where = Content.styled(" ▸ ", "dim").join([Content(name) for name in names])
        right = f"{app.workspace.user} {'READ ONLY ' if app.read_only else ''}"
        left = Content.assemble(
            " ", Content.styled(app.workspace.root.name, "bold"), Content.styled(" ▸ ", "dim"), where
        )
        room = max(1, self.app.size.width - left.cell_length - len(right))
        path = Content.assemble(left, " " * room, Content.styled(right, "dim"))
        self.query_one("#path", Words).update(path, layout=False)

    def on_resize(self) -> None:
        """The path is as wide as the screen."""
        self.tell_path()

    # ── loading ──────────────────────────────────────────────────────────────────────────────────

    @property
    def is_open(self) -> bool:
        """Whether its widgets are here: clocks and threads may come before they are, or when they are being removed."""
        return self._is_here and self.display

    def reload(self) -> None:
        """Load, unless that is going on: then once more after it."""
        if not self.is_open:
            return
        if self._loading:
            self._again = True
            return
        self._loading, self._again = True, False
        self._stamp = self.workspace.catalogue.stamp()
        self._number += 1
        self._load(self._number, self.loader())

    @work(thread=True, group="load", exit_on_error=False)
    def _load(self, number: int, load: Callable[[Workspace], T]) -> None:
        started = monotonic()
        data, error = None, None
        try:
            data = load(self.workspace)
        except MlopsError as found:
            error = found
        except Exception as found:  # a page says what is wrong with it, the others go on
            error = MlopsError(f"a bug: {type(found).__name__}: {found}", log_bug(self.workspace.home))
        self.post_message(self.Loaded(number, data, error, monotonic() - started))

    def on_page_loaded(self, event: Loaded) -> None:
        """Show what came, or what went wrong; and load again where somebody asked meanwhile."""
        self._loading = False
        if not self.is_open:
            return
        if event.number == self._number:
            self.cost = event.seconds
            self.failed = event.error
            self._trouble(event.error)
            if event.error is None:
                self.data = event.data
                self.show(event.data)
            self.tell_path()
            self.tell_keys()
        if self._again:
            self.reload()

    def _trouble(self, error: MlopsError | None) -> None:
        """Say what is wrong: with the page, or else with the filter that is being typed."""
        error = error or self.mistyped
        trouble = self.query_one("#trouble", Words)
        trouble.display = error is not None
        if error is not None:
            hint = f"\nnext: {error.hint}" if error.hint else ""
            trouble.update(Content.assemble(Content.styled(f"✗ {error.message}", "bold $text-error"), hint))

    # ── keys and acts ────────────────────────────────────────────────────────────────────────────

    def acts(self) -> list[verbs.Verb]:
        """The acts that can be done here, now."""
        subject = self.subject()
        found = verbs.for_subject(subject) if subject else []
        return [verb for verb in found if verb.reads or not self.app_.read_only]

    def tell_keys(self) -> None:
        """Show the keys of what is under the cursor."""
        own, acts = list(self.keys()), [(verb.key, verb.label) for verb in self.acts()]
        self.query_one(Keys).put([*own[:1], *acts, *own[1:], *((("/", "filter"),) if self.filters else ())])

    def on_table_moved(self, event: Table.Moved) -> None:
        """Other rows have other acts."""
        event.stop()
        self.moved()
        self.tell_keys()

    def on_table_sorted(self, event: Table.Sorted) -> None:
        """Back to the order of the page itself."""
        event.stop()
        self.reload()

    def moved(self) -> None:
        """The cursor is on another row."""

    def on_key(self, event: Key) -> None:
        """A key that nothing else took may be an act's."""
        name = event.character or event.key
        verb = next((verb for verb in self.acts() if verb.key == name), None)
        subject = self.subject()
        if verb is not None and subject is not None:
            event.stop()
            self.app_.do(verb, subject)

    def action_keys(self) -> None:
        """All keys that do something here."""
        here = [*self.keys(), *((verb.key, f"{verb.label}: mlops {verb.command}") for verb in self.acts())]
        groups = [("here", here)] if here else []
        self.app.push_screen(
            Help(f"{self.title_in_path()}: keys", [*groups, ("everywhere", EVERYWHERE), ("tables", TABLES)])
        )

    def action_copy(self) -> None:
        """Copy the command that shows this page."""
        self.app_.outside.copy(self.shell())

    def action_reload(self) -> None:
        """Load again."""
        self.reload()

    def action_pager(self) -> None:
        """The page's text in a pager."""
        self.app_.outside.page(self.shell())

    def action_edit(self) -> None:
        """The pipeline's file in an editor."""
        subject = self.subject()
        self.app_.outside.edit(subject.of("pipeline") if subject else None)

    # ── the filter ───────────────────────────────────────────────────────────────────────────────

    def action_filter(self) -> None:
        """Open the filter."""
        if self.filters:
            field = self.query_one("#filter", Input)
            field.display = True
            field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The list follows what is typed."""
        if event.input.id == "filter":
            event.stop()
            self._filtered(event.value)

    def _filtered(self, text: str) -> None:
        self.text, self.mistyped = text, None
        try:
            self.narrow()
        except InvalidInput as error:
            self.mistyped = error
        self._trouble(None)

    def narrow(self) -> None:
        """Show what `self.text` leaves; raises InvalidInput for what is no filter (yet)."""
        self.reload()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter keeps the filter and goes back to the list."""
        if event.input.id == "filter":
            event.stop()
            event.input.display = bool(event.value)
            self._focus_list()

    def _focus_list(self) -> None:
        table = next(iter(self.query(Table)), None)
        if table is not None:
            table.focus()

    def leave_filter(self) -> bool:
        """Take the filter away; False where there was none."""
        field = next(iter(self.query("#filter").results(Input)), None)
        if field is None or not field.display:
            return False
        field.display = False
        if field.value:
            field.value = ""
        self._focus_list()
        return True
