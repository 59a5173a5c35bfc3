"""Progress on a terminal: one bar a step, drawn by Rich on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from mlops_tui.records import Progress


@contextmanager
def bars() -> Iterator[Callable[[Progress], None]]:
    """A callable that draws progress for the body, and leaves the last state of every step on the screen."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.fields[step]:<9}"),
        BarColumn(24),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=False) as drawn:
        tasks: dict[str, TaskID] = {}

        def report(event: Progress) -> None:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in event.values.items())
            text = "  ".join(part for part in (event.text, figures) if part)
            if event.step not in tasks:
                for task in tasks.values():
                    drawn.update(task, total=1, completed=1)
                tasks[event.step] = drawn.add_task(text, total=event.total or None, step=event.step)
            drawn.update(tasks[event.step], description=text, completed=event.done, total=event.total or None)

        yield report
        for task in tasks.values():
            drawn.update(task, total=1, completed=1)
