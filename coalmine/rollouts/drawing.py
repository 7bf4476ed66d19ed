"""A rollout in a terminal: phases, evidence against both thresholds, metrics, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from coalmine.policies.words import percent, spoken
from contracts.journal import printable
from contracts.results import (
    MetricKind,
    MetricVerdict,
    Outcome,
    PhaseProgress,
    RolloutStatus,
    Verdict,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_BAR = 30
_COLOURS = {
    Outcome.HEALTHY: "green",
    Outcome.REGRESSED: "red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NO_DATA: "bright_black",
    Outcome.ERROR: "red",
}
_DONE, _HERE, _AHEAD, _STOPPED = "✓", "●", "○", "✗"
_BAD_ENDS = (RolloutStatus.ROLLING_BACK, RolloutStatus.TRAFFIC_STOPPED, RolloutStatus.ROLLED_BACK)


def draw(verdict: Verdict) -> RenderableType:
    """Everything that a person wants to see at a glance."""
    from rich.console import Group  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415 - see above

    colour = _COLOURS[verdict.outcome]
    head = Text.assemble(
        (title(verdict), "bold"), "  ", (verdict.status.value, f"bold {colour}"), "  "
    )
    head.append(f"opened {when(verdict.opened_at)}, judged to {when(verdict.time)}", "bright_black")
    said = Text(printable(verdict.reason), colour if verdict.outcome is Outcome.REGRESSED else "")
    parts: list[RenderableType] = [head, "", *_phases(verdict), "", *_bars(verdict), ""]
    parts += [_metrics(verdict), "", said]
    if verdict.held_because:
        parts.append(Text(f"Held: {printable(verdict.held_because)}", "yellow"))
    return Group(*parts)


def line(verdict: Verdict) -> str:
    """The same in one line, for logs."""
    held = f"; held: {verdict.held_because}" if verdict.held_because else ""
    return (
        f"{when(verdict.time)}  {title(verdict)}: {verdict.phase}, {verdict.status}, "
        f"{verdict.outcome}, evidence {verdict.evidence_log10:.2f} of "
        f"{verdict.rollback_at_log10:.2f}: {verdict.reason}{held}"
    )


def facts(verdict: Verdict) -> list[list[str]]:
    """The same as rows of a table, for pipes."""
    rows = [
        ["rollout", verdict.rollout],
        ["service", verdict.service],
        *([["flag", verdict.flag]] if verdict.flag else []),
        ["canary", verdict.canary],
        ["baseline", verdict.baseline],
        ["phase", verdict.phase],
        ["status", verdict.status.value],
        ["outcome", verdict.outcome.value],
        ["action", verdict.action.value],
        ["reason", verdict.reason],
        *([["held because", verdict.held_because]] if verdict.held_because else []),
        ["opened", when(verdict.opened_at)],
        ["judged to", when(verdict.time)],
        ["evidence", f"{verdict.evidence_log10:.2f} of {verdict.rollback_at_log10:.2f}"],
        ["promotion", f"{verdict.promotion_log10:.2f} of {verdict.promote_at_log10:.2f}"],
    ]
    rows += [[f"phase {p.name}", progress(p, verdict)] for p in verdict.phases]
    for kind, events in verdict.folded.items():
        rows.append([f"other {kind}s", f"{events} events: too many {kind}s to tell them apart"])
    return rows + [[metric.name, _risk(metric)] for metric in verdict.metrics]


def title(verdict: Verdict) -> str:
    """``checkout 1.5.0 beside 1.4.2``, with its flag where it has one."""
    flag = f"{verdict.flag}:" if verdict.flag else ""
    return printable(f"{verdict.service} {flag}{verdict.canary} beside {verdict.baseline or '?'}")


def when(time_ms: int | None) -> str:
    """A moment for people, UTC; empty where there is none."""
    if time_ms is None:
        return ""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def progress(phase: PhaseProgress, verdict: Verdict) -> str:
    """How far a phase has come against what it asks for."""
    return ", ".join(_progress(phase, verdict))


def mark(phase: PhaseProgress, verdict: Verdict) -> str:
    """Left, under way, ahead, or where the rollout was stopped."""
    if phase.name == verdict.phase and verdict.status is not RolloutStatus.PROMOTED:
        return _STOPPED if verdict.status in _BAD_ENDS else _HERE
    return _AHEAD if phase.started_at is None else _DONE


def _progress(phase: PhaseProgress, verdict: Verdict) -> Iterator[str]:
    if phase.exposure is not None:
        yield percent(phase.exposure)
    if phase.users:
        yield f"users {phase.users}"
    if phase.started_at is not None:
        lasted_s = ((phase.ended_at or verdict.time) - phase.started_at) / 1000
        least = f" of at least {spoken(phase.min_duration_s)}" if phase.min_duration_s else ""
        most = f", at most {spoken(phase.max_duration_s)}" if phase.max_duration_s else ""
        yield f"{spoken(max(lasted_s, 0.0))}{least}{most}"
        needs = f" of at least {phase.min_exposures:,}" if phase.min_exposures else ""
        yield f"{phase.exposures:,} exposures{needs}"
        return
    if phase.min_duration_s:
        yield f"at least {spoken(phase.min_duration_s)}"
    if phase.min_exposures:
        yield f"at least {phase.min_exposures:,} exposures"


def _phases(verdict: Verdict) -> list[RenderableType]:
    """The strip of phases, and one line for each."""
    from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

    styles = {_DONE: "green", _HERE: "bold cyan", _AHEAD: "bright_black", _STOPPED: "bold red"}
    strip = Text()
    lines: list[RenderableType] = []
    width = max((len(phase.name) for phase in verdict.phases), default=0)
    for number, phase in enumerate(verdict.phases):
        sign = mark(phase, verdict)
        strip.append(" ── " if number else "", "bright_black")
        strip.append(f"{sign} {printable(phase.name)}", styles[sign])
        said = f"  {printable(phase.name):<{width}}  {progress(phase, verdict)}"
        lines.append(Text(said, "" if sign in (_HERE, _STOPPED) else "bright_black"))
    return [strip, *lines] if verdict.phases else [Text(f"phase {printable(verdict.phase)}")]


def _bars(verdict: Verdict) -> list[Text]:
    return [
        _bar("rollback ", verdict.evidence_log10, verdict.rollback_at_log10, "red"),
        _bar("promotion", verdict.promotion_log10, verdict.promote_at_log10, "green"),
    ]


def _bar(name: str, have: float, need: float, colour: str) -> Text:
    from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

    filled = round(_BAR * min(max(have / need, 0.0), 1.0)) if need > 0 else 0
    return Text.assemble(
        f"evidence for {name}  ",
        ("█" * filled, colour),
        ("░" * (_BAR - filled), "bright_black"),
        f"  10^{have:.2f} of 10^{need:.2f}",
    )


def _metrics(verdict: Verdict) -> RenderableType:
    from rich.table import Table  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415 - see above

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("metric", "outcome", "risk", "95 % interval", "evidence", "canary", "baseline"):
        table.add_column(column)
    for metric in verdict.metrics:
        risk = metric.relative_risk
        style = "bright_black" if not metric.is_judged else ""
        table.add_row(
            Text(
                printable(metric.name), "bold red" if metric.name == verdict.guilty_metric else ""
            ),
            Text(metric.outcome.value, _COLOURS[metric.outcome]),
            _times(risk.estimate),
            f"{_times(risk.lower)} to {_times(risk.upper)}",
            f"{metric.evidence_log10:.2f}",
            _counted(metric, metric.bad.canary, metric.exposures.canary),
            _counted(metric, metric.bad.baseline, metric.exposures.baseline),
            style=style,
        )
    return table


def _counted(metric: MetricVerdict, bad: float, exposures: float) -> str:
    if metric.kind is MetricKind.DISTRIBUTION:
        return f"median {bad:,.4g} of {exposures:,.0f}"
    return f"{bad:,.0f} of {exposures:,.0f}"


def _risk(metric: MetricVerdict) -> str:
    risk = metric.relative_risk
    return (
        f"risk ×{_times(risk.estimate)} ({_times(risk.lower)} to {_times(risk.upper)}), "
        f"evidence {metric.evidence_log10:.2f}"
    )


def _times(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"
