"""Progress of the servers' start: bars on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coalmine.cli.output import say
from coalmine.stack.report import Report, Stage, Step


@contextmanager
def draw() -> Iterator[Report]:
    """A report that draws on stderr as long as the context lasts."""
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _Lines()


class _Lines:
    """One line whenever a server reaches a new stage."""

    def __init__(self) -> None:
        self._last: dict[str, Stage] = {}

    def __call__(self, step: Step) -> None:
        if self._last.get(step.server) is not step.stage:
            self._last[step.server] = step.stage
            size = f" {step.total_bytes / 1e6:.0f} MB" if step.total_bytes else ""
            say(f"{step.server}: {step.stage}{size}")


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import (  # noqa: PLC0415 - see above
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.fields[server]:<14}"),
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def report(step: Step) -> None:
            if step.server not in tasks:
                tasks[step.server] = progress.add_task("", server=step.server, total=None)
            is_ready = step.stage is Stage.READY
            progress.update(
                tasks[step.server],
                description=_described(step),
                total=1 if is_ready else (step.total_bytes or None),
                completed=1 if is_ready else step.done_bytes,
            )

        yield report


def _described(step: Step) -> str:
    if step.stage is Stage.DOWNLOADING:
        return f"downloading {step.done_bytes / 1e6:.0f}/{step.total_bytes / 1e6:.0f} MB"
    return str(step.stage)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """A counter that moves on a terminal while long work goes on, and is silent elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

    with Console(stderr=True).status(f"0 {what}") as status:
        yield lambda count: status.update(f"{count:,} {what}")
