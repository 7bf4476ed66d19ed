"""``coalmine replay``: recorded events through the judge, with no server."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from coalmine.cli.output import print_json, print_table, say
from coalmine.cli.progress import counting
from contracts.clock import Clock, SystemClock
from contracts.policy import Policy, load_policy
from contracts.results import Decision, MetricVerdict, Needed, Outcome, Verdict


class VerdictExit(IntEnum):
    """Exit codes of the commands that end with a verdict."""

    HEALTHY = 0
    REGRESSED = 1
    USAGE = 2
    INCONCLUSIVE = 4
    NO_DATA = 5


_EXIT_OF = {
    Outcome.HEALTHY: VerdictExit.HEALTHY,
    Outcome.REGRESSED: VerdictExit.REGRESSED,
    Outcome.INCONCLUSIVE: VerdictExit.INCONCLUSIVE,
    Outcome.NO_DATA: VerdictExit.NO_DATA,
    Outcome.ERROR: VerdictExit.USAGE,
}
_EPILOG = (
    "Example: coalmine replay events.jsonl.gz --policy checkout.yaml --json. "
    "Exit codes: 0 healthy, 1 regressed, 2 wrong usage, configuration or input, "
    "4 inconclusive, 5 no data."
)


def register(app: typer.Typer) -> None:
    """Add ``replay`` to the application."""
    app.command(epilog=_EPILOG)(replay)


def replay(
    files: Annotated[list[Path], typer.Argument(help="JSON lines or Arrow, plain or compressed.")],
    *,
    policy: Annotated[
        Path | None, typer.Option(help="Policy file; by default an empty one.")
    ] = None,
    service: Annotated[str, typer.Option(help="Which service, where the files hold several.")] = "",
    canary: Annotated[str, typer.Option(help="Release under test; by default the latest.")] = "",
    baseline: Annotated[str, typer.Option(help="Release beside it; by default the busiest.")] = "",
    flag: Annotated[
        str, typer.Option(help="A feature flag: canary and baseline are two of its variants.")
    ] = "",
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="So many times as fast as it happened; else at once."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Judge recorded events in event time, with no server: to try a policy on past data."""
    from streams.replay import replay as run  # noqa: PLC0415 - loads pyarrow and scipy

    rules = load_policy(policy) if policy else Policy()
    with counting("records") as progress:
        found = run(
            files,
            rules,
            service=service,
            canary=canary,
            baseline=baseline,
            flag=flag,
            progress=progress,
            pace=Pace(speed, SystemClock()) if speed else lambda _: None,
            tell=_Narrator() if speed else lambda _: None,
        )
    for reason, count in found.set_aside.items():
        first = found.first_set_aside[reason]
        records = "1 record" if count == 1 else f"{count:,} records"
        say(f"coalmine: {records} set aside: {reason}, the first at {first}")
    if as_json:
        print_json(found)
    elif found.verdict is None:
        say(f"No rollout to judge in {found.records} records.")
    else:
        _print_verdict(found.verdict)
        _print_decisions(found.decisions)
    raise SystemExit(_EXIT_OF[found.outcome])


class Pace:
    """Waits until a tick's time has come, ``speed`` times as fast as it did.

    >>> from contracts.clock import ManualClock
    >>> clock = ManualClock()
    >>> pace = Pace(10, clock, clock.advance)
    >>> pace(1_700_000_000_000)
    >>> pace(1_700_000_060_000)
    >>> clock.monotonic_s()
    6.0
    """

    def __init__(
        self, speed: float, clock: Clock, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._first: tuple[int, float] | None = None

    def __call__(self, tick: int) -> None:
        """Wait for this tick, an event time in epoch milliseconds."""
        now = self._clock.monotonic_s()
        first, started = self._first = self._first or (tick, now)
        self._sleep(max(0.0, started + (tick - first) / 1000 / self._speed - now))


class _Narrator:
    """A line on stderr for every decision, and whenever the outcome changes, in event time."""

    def __init__(self) -> None:
        self._outcome: Outcome | None = None

    def __call__(self, output: msgspec.Struct) -> None:
        if isinstance(output, Decision):
            say(f"{_when(output.time)}  {output.action.value}: {output.reason}")
        elif isinstance(output, Verdict) and output.outcome is not self._outcome:
            self._outcome = output.outcome
            say(f"{_when(output.time)}  {output.outcome.value}")


def _when(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _print_verdict(verdict: Verdict) -> None:
    typer.echo(f"{verdict.outcome.value}: {verdict.reason}")
    columns = ["metric", "outcome", "risk", "lower", "upper", "evidence (log10)", "still needed"]
    is_open = verdict.outcome is Outcome.INCONCLUSIVE
    needed = [_forecast(metric.needed) if is_open else "–" for metric in verdict.metrics]
    print_table(columns, [*map(_row, verdict.metrics, needed)])


def _row(metric: MetricVerdict, needed: str) -> list[str]:
    risk = metric.relative_risk
    return [
        metric.name,
        metric.outcome.value,
        *("–" if v is None else f"{v:.3g}" for v in (risk.estimate, risk.lower, risk.upper)),
        f"{metric.evidence_log10:.2f}",
        needed,
    ]


def _forecast(needed: Needed | None) -> str:
    if needed is None or needed.exposures is None:
        return "–"
    times = f"{needed.exposures:,} exposures if {1 + needed.harm:.3g} times as high"
    return times if needed.seconds is None else f"{times}, {needed.seconds:,} s"


def _print_decisions(decisions: list[Decision]) -> None:
    if decisions:
        rows = [[_when(d.time), d.phase, d.action.value, d.reason] for d in decisions]
        print_table(["decided at", "phase", "decision", "reason"], rows)
