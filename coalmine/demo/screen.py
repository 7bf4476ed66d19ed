"""What people see while the demo runs: live steps on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from coalmine.demo.timeline import Timeline

_PLAIN_EVERY_S = 5.0


class Step:
    """One step under way."""

    def __init__(self, screen: Screen, title: str, task: TaskID | None) -> None:
        self._screen, self._title, self._task = screen, title, task
        self._started = self._said = time.monotonic()

    def say(self, text: str, done: float | None = None) -> None:
        """Show how it stands; ``done`` is the part that is done, 0 to 1, where that is known."""
        progress, now = self._screen.progress, time.monotonic()
        if progress is not None and self._task is not None:
            completed = None if done is None else max(0.0, min(done, 1.0))
            progress.update(self._task, detail=text, total=1.0, completed=completed)
        elif now - self._said >= _PLAIN_EVERY_S:
            self._said = now
            self._screen.note(f"{self._title}: {text}")

    def took_s(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._started


class Screen:
    """Tells what the demo does, on stderr, so that stdout holds results only."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.progress: Progress | None = None
        self._started = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while the ``with`` block runs, then how long it took."""
        if not self.console.is_terminal:
            step = Step(self, title, None)
            self.note(f"{title} …")
            yield step
        else:
            with self._bar() as self.progress:
                task = self.progress.add_task(title, total=None, detail="")
                step = Step(self, title, task)
                yield step
            self.progress = None
        self.note(f"[green]✓[/] {title} [dim]({step.took_s():.1f} s)[/]")

    def _bar(self) -> Progress:
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}[/]"),
            console=self.console,
            transient=True,
        )

    def note(self, text: str) -> None:
        """A line that stays; rich markup is understood."""
        elapsed = time.monotonic() - self._started
        self.console.print(f"[dim]{elapsed:6.1f} s[/]  {text}", soft_wrap=True)

    def show(self, timeline: Timeline) -> None:
        """The timeline as a table, on stdout: it is the demo's result."""
        Console(highlight=False).print(table_of(timeline))

    def note_end(self, *, ended_well: bool) -> None:
        """Whether the run proved what it should."""
        good, bad = "[bold green]It ended as it should.[/]", "[bold red]It did not end well.[/]"
        self.note(good if ended_well else bad)


def table_of(timeline: Timeline) -> Table:
    """The timeline for people: when, what, and the figures behind it."""
    table = Table(title=f"checkout {timeline.canary} beside {timeline.baseline}", expand=False)
    table.add_column("time (UTC)", style="dim", no_wrap=True)
    table.add_column("what happened")
    for moment, text in _rows(timeline):
        table.add_row((moment or "")[11:23], text)
    return table


def _rows(timeline: Timeline) -> Iterator[tuple[str | None, str]]:
    yield timeline.canary_started_at, f"canary {timeline.canary} deployed"
    if timeline.first_bad_event_at:
        yield timeline.first_bad_event_at, "first bad event of the canary"
    yield timeline.verdict_at, _verdict_text(timeline)
    if timeline.webhook_at:
        yield timeline.webhook_at, "rollback webhook delivered"
    if timeline.drained_at:
        yield timeline.drained_at, "last request of the canary"
    if timeline.verdict_at:
        verified = "rollback verified" if timeline.rollback_verified else "rollback not verified"
        yield None, verified
    written, counted = timeline.events_written, timeline.events_counted
    yield None, f"{written:,} requests in the shop's logs, {counted:,} counted in Elasticsearch"


def _verdict_text(timeline: Timeline) -> str:
    risk = timeline.relative_risk
    text = f"verdict: {timeline.outcome}, {timeline.action}"
    if timeline.guilty_metric:
        text += f"\n{timeline.guilty_metric}"
    if risk.estimate is not None and risk.lower is not None:
        upper = "∞" if risk.upper is None else f"{risk.upper:.1f}"
        text += f" × {risk.estimate:.1f} (between {risk.lower:.1f} and {upper})"
    return f"{text}\nevidence 10^{timeline.evidence_log10:.1f}"
