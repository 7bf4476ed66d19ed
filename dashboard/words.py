"""The words of the page: one place where an outcome, a status or a number becomes language.

Everything here is pure; colours never stand alone, each tone comes with an icon and a word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from contracts.results import (
    DecisionAction,
    DeliveryOutcome,
    MetricVerdict,
    Outcome,
    RelativeRisk,
    RolloutCommandAction,
    RolloutStatus,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Label:
    """A word, the icon that goes with it (a CSS class) and its tone (a CSS class)."""

    word: str
    icon: str
    tone: str


OUTCOMES: dict[Outcome, Label] = {
    Outcome.HEALTHY: Label("Healthy", "check", "good"),
    Outcome.REGRESSED: Label("Regressed", "down", "bad"),
    Outcome.INCONCLUSIVE: Label("Inconclusive", "dots", "open"),
    Outcome.NO_DATA: Label("No data", "empty", "idle"),
    Outcome.ERROR: Label("Error", "alert", "warn"),
}
STATUSES: dict[RolloutStatus, Label] = {
    RolloutStatus.RUNNING: Label("Watching", "eye", "open"),
    RolloutStatus.HOLDING: Label("On hold", "pause", "warn"),
    RolloutStatus.ROLLING_BACK: Label("Rolling back", "undo", "bad"),
    RolloutStatus.TRAFFIC_STOPPED: Label("Traffic stopped", "alert", "bad"),
    RolloutStatus.ROLLED_BACK: Label("Rolled back", "undo", "bad"),
    RolloutStatus.WATCHING: Label("Promoted, watched", "eye", "good"),
    RolloutStatus.PROMOTED: Label("Promoted", "check", "good"),
    RolloutStatus.ABORTED: Label("Aborted", "stop", "idle"),
    RolloutStatus.CLOSED: Label("Closed", "empty", "idle"),
}
ACTIONS: dict[str, Label] = {
    DecisionAction.ROLLBACK: Label("Roll back", "undo", "bad"),
    DecisionAction.PROMOTE: Label("Promote", "check", "good"),
    DecisionAction.HOLD: Label("Hold", "pause", "warn"),
    DecisionAction.ROLLBACK_VERIFIED: Label("Rollback verified", "check", "good"),
    DecisionAction.ABORTED: Label("Aborted", "stop", "idle"),
    DecisionAction.ESCALATE: Label("Escalate", "alert", "bad"),
    DecisionAction.RETURNED: Label("Traffic is back", "alert", "bad"),
}
REQUESTS: dict[str, Label] = {
    RolloutCommandAction.START: Label("Start", "flag", "open"),
    RolloutCommandAction.ABORT: Label("Abort", "stop", "idle"),
    RolloutCommandAction.HOLD: Label("Hold", "pause", "warn"),
    RolloutCommandAction.RESUME: Label("Resume", "eye", "open"),
    RolloutCommandAction.PHASE: Label("Go to phase", "step", "open"),
    RolloutCommandAction.PROMOTE: Label("Promote", "check", "good"),
    RolloutCommandAction.ROLLBACK: Label("Roll back", "undo", "bad"),
}
DELIVERIES: dict[str, Label] = {
    DeliveryOutcome.DELIVERED: Label("Delivered", "check", "good"),
    DeliveryOutcome.RETRYING: Label("Retrying", "dots", "warn"),
    DeliveryOutcome.REFUSED: Label("Refused", "stop", "bad"),
    DeliveryOutcome.EXPIRED: Label("Expired", "empty", "bad"),
    DeliveryOutcome.OBSOLETE: Label("Obsolete", "empty", "idle"),
    DeliveryOutcome.SILENCED: Label("Silenced", "pause", "idle"),
    DeliveryOutcome.EXHAUSTED: Label("Gave up", "stop", "bad"),
    DeliveryOutcome.NOT_SENT: Label("Not sent", "empty", "idle"),
}
_ATTENTION = (
    RolloutStatus.ROLLING_BACK,
    RolloutStatus.TRAFFIC_STOPPED,
    RolloutStatus.HOLDING,
    RolloutStatus.RUNNING,
    RolloutStatus.WATCHING,
    RolloutStatus.ROLLED_BACK,
    RolloutStatus.ABORTED,
    RolloutStatus.CLOSED,
    RolloutStatus.PROMOTED,
)
_ALARM = (
    Outcome.REGRESSED,
    Outcome.ERROR,
    Outcome.NO_DATA,
    Outcome.INCONCLUSIVE,
    Outcome.HEALTHY,
)


def attention_rank(status: RolloutStatus, outcome: Outcome) -> int:
    """Sort key of the list, small first: what needs a person, then what runs, then the past.

    >>> attention_rank(RolloutStatus.HOLDING, Outcome.REGRESSED) < attention_rank(
    ...     RolloutStatus.RUNNING, Outcome.HEALTHY
    ... )
    True
    """
    return _ATTENTION.index(status) * len(_ALARM) + _ALARM.index(outcome)


def tone(verdict: Verdict) -> Label:
    """The label that colours the whole page: the end of a rollout, else what was found."""
    if verdict.status in {RolloutStatus.RUNNING, RolloutStatus.HOLDING}:
        return OUTCOMES[verdict.outcome]
    return STATUSES[verdict.status]


def headline(verdict: Verdict) -> str:
    """The one big sentence of a rollout's page."""
    release = verdict.canary
    ended = {
        RolloutStatus.ROLLING_BACK: f"{release} is being rolled back",
        RolloutStatus.TRAFFIC_STOPPED: f"{release} was rolled back, then all traffic stopped",
        RolloutStatus.ROLLED_BACK: f"{release} was rolled back",
        RolloutStatus.WATCHING: f"{release} was promoted and is still watched",
        RolloutStatus.PROMOTED: f"{release} was promoted",
        RolloutStatus.ABORTED: f"The rollout of {release} was aborted",
        RolloutStatus.CLOSED: f"The rollout of {release} ended without a decision",
    }
    if verdict.status in ended:
        return ended[verdict.status]
    running = {
        Outcome.HEALTHY: f"{release} is healthy so far",
        Outcome.REGRESSED: f"{release} is worse than {verdict.baseline}",
        Outcome.INCONCLUSIVE: f"No harm shown by {release} so far",
        Outcome.NO_DATA: f"Waiting for traffic on {release}",
        Outcome.ERROR: f"{release} cannot be judged",
    }
    return running[verdict.outcome]


def metric_title(name: str) -> str:
    """A metric's name as a heading.

    >>> metric_title("error_rate")
    'Error rate'
    """
    words = name.replace("_", " ").replace(".", " ").strip()
    return words[:1].upper() + words[1:]


def times(value: float | None) -> str:
    """A relative risk in words.

    >>> times(3.456), times(0.95), times(128.4), times(None)
    ('×3.46', '×0.95', '×128', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"×{value:,.0f}" if value >= 100 else f"×{value:.3g}"


def interval(risk: RelativeRisk) -> str:
    """The interval that holds at all times, or an empty string where there is none yet.

    >>> interval(RelativeRisk(lower=1.2, upper=3.0)), interval(RelativeRisk(lower=2.0))
    ('×1.2 to ×3', 'at least ×2')
    """
    if risk.lower is not None and risk.upper is not None:
        return f"{times(risk.lower)} to {times(risk.upper)}"
    if risk.lower is not None:
        return f"at least {times(risk.lower)}"
    return f"at most {times(risk.upper)}" if risk.upper is not None else ""


def percent(value: float | None) -> str:
    """A share between 0 and 1 in per cent, precise where it is small.

    >>> percent(0.25), percent(0.00123), percent(0.0), percent(None)
    ('25 %', '0.12 %', '0 %', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    hundred = 100 * value
    if hundred == 0 or hundred >= 10:
        return f"{hundred:.0f} %"
    return f"{hundred:.2g} %"


def count(value: float) -> str:
    """A count with thin groups: 36100 is ``36 100``."""
    return f"{value:,.0f}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """A stretch of time as people say it.

    >>> duration(0.4), duration(42), duration(150), duration(7380), duration(90_000)
    ('0.4 s', '42 s', '2 min 30 s', '2 h 3 min', '1 d 1 h')
    """
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for size, word, small, small_word in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {word}" + (f" {rest} {small_word}" if rest else "")
    return f"{whole} s"


def milliseconds(value: float | None) -> str:
    """A latency with a fitting unit.

    >>> milliseconds(0.42), milliseconds(87.3), milliseconds(2345.0), milliseconds(None)
    ('0.42 ms', '87 ms', '2.35 s', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def metric_sentence(metric: MetricVerdict) -> str:
    """Both arms of a metric in plain words, with the counts behind the rates."""
    if metric.kind == "distribution":
        return (
            f"half of the canary's values are above {milliseconds(metric.bad.canary)}, "
            f"half of the baseline's above {milliseconds(metric.bad.baseline)}"
        )
    sides = (
        (word, bad, of)
        for word, bad, of in (
            ("canary", metric.bad.canary, metric.exposures.canary),
            ("baseline", metric.bad.baseline, metric.exposures.baseline),
        )
    )
    return " · ".join(
        f"{word} {count(bad)} of {count(of)}" + (f" ({percent(bad / of)})" if of else "")
        for word, bad, of in sides
    )


def crash_path(service: str, fingerprint: str) -> str:
    """The address of one crash group's page.

    >>> crash_path("shop/checkout", "0f3a")
    '/s/shop%2Fcheckout/crashes/0f3a'
    """
    return f"/s/{quote(service, safe='')}/crashes/{quote(fingerprint, safe='')}"


def label_of(labels: Mapping[str, Label], word: str) -> Label:
    """The label of a word, whatever a later version may say.

    >>> label_of(ACTIONS, "hold").word, label_of(ACTIONS, "sing_along").word
    ('Hold', 'Sing along')
    """
    return labels.get(word) or Label(metric_title(word), "dots", "idle")


def rollout_path(service: str, release: str) -> str:
    """The address of one rollout's page.

    >>> rollout_path("shop/checkout", "1.5.0")
    '/s/shop%2Fcheckout/r/1.5.0'
    """
    return f"/s/{quote(service, safe='')}/r/{quote(release, safe='')}"
