"""What a person sees while a command runs: everything here goes to stderr, stdout is for results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

console = Console(stderr=True)


def progress_bar() -> Progress:
    """A progress bar with counts, elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar on stderr."""
    with progress_bar() as progress:
        yield from progress.track(items, total=total, description=description)


def warn(message: str) -> None:
    """Say something that the user should know but that stops nothing."""
    console.print(f"[yellow]warning:[/] {escape(message)}", highlight=False, soft_wrap=True)
