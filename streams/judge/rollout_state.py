"""What the judge remembers of one rollout, and what its metrics say at one moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from contracts.policy import Metric, Phase, Policy
from contracts.results import Contributor, MetricVerdict, Outcome, RolloutStatus
from streams.judge.metric import MetricState
from streams.judge.shares import SharesState

_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._+-]")


_ARM = "\x1f"
"""Before the name of a flag's variant, so that no release is ever taken for one."""


def arm_key(arm: str) -> str:
    """What the arm ``flag:variant`` is counted under, beside the releases."""
    return _ARM + arm


def key_of(name: str, flag: str = "") -> str:
    """What a release, or a variant of a flag, is counted under."""
    return arm_key(f"{flag}:{name}") if flag else name


def is_arm(key: str) -> bool:
    """Whether a key is that of a flag's variant, not of a release."""
    return key.startswith(_ARM)


class PhaseVisit(msgspec.Struct, array_like=True):
    """One stay in a phase: a person can send a rollout back to one, so there may be several."""

    phase: int
    number: int
    """Which stay in this phase it is, from 1."""
    started_at: int
    ended_at: int | None = None
    exposures: int = 0
    """Of the canary."""


class RolloutState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything the judge remembers of one rollout. Times are epoch milliseconds of event time."""

    id: str
    service: str
    canary: str
    baseline: str
    policy: Policy
    """The policy it was opened with, to its end."""
    opened_at: int
    flag: str = ""
    """The feature flag of which ``canary`` and ``baseline`` are variants."""
    status: RolloutStatus = RolloutStatus.RUNNING
    visits: list[PhaseVisit]
    """Stays in phases, the last one still lasting."""
    lasts_from: int
    """Since when ``max_duration`` counts: the phase began, or a person said ``resume``."""
    is_overdue: bool = False
    """Whether the phase has lasted for ``max_duration`` and waits for a person."""
    hold: str = ""
    """The word of a person who wants the phase kept."""
    promoted_at: int | None = None
    """End of the last phase, where the promoted release is still compared."""
    metrics: list[MetricState]
    shares: SharesState = msgspec.field(default_factory=SharesState)
    matched_to: int = 0
    """End of the last tick by which both arms had been exposed since the one before."""
    unmatched: tuple[bool, bool] = (False, False)
    """Whether canary and baseline were exposed since then."""
    judged_to: int = 0
    """End of the last tick that was judged."""
    canary_exposures: int = 0
    baseline_exposures: int = 0
    last_exposure_end: int = 0
    """End of the last tick in which the canary had exposures."""
    last_baseline_end: int = 0
    """The same of the baseline."""
    without_canary: tuple[int, int] = (0, 0)
    """Ends of the first and the last tick since then in which others had exposures."""
    share: float | None = None
    first_bad_event_at: int | None = None
    decided_at: int | None = None
    decided_outcome: Outcome = Outcome.REGRESSED
    """What was found when the rollback was decided: a person may decide on anything."""
    drained_at: int | None = None
    escalated: bool = False
    held: bool = False
    """Whether this phase has been held, and told so."""
    reason: str = ""
    """Why it ended, where a person or a decision ended it."""
    guilty_metric: str | None = None
    guilty_group: Contributor | None = None

    @property
    def phase(self) -> int:
        """Index of the phase it is in; after the last one, of that."""
        return self.visits[-1].phase

    @property
    def phase_policy(self) -> Phase:
        """What the policy says of this phase."""
        return self.policy.phases[self.phase]

    @property
    def phase_started_at(self) -> int:
        """When this phase began."""
        return self.visits[-1].started_at

    @property
    def keys(self) -> tuple[str, str]:
        """What canary and baseline are counted under."""
        return key_of(self.canary, self.flag), key_of(self.baseline, self.flag)

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms as events say them, where a flag separates them."""
        return (f"{self.flag}:{self.canary}", f"{self.flag}:{self.baseline}") if self.flag else ()

    def phase_at(self, time: int) -> int:
        """Index of the phase that an event time falls into."""
        past = (visit.phase for visit in reversed(self.visits) if visit.started_at <= time)
        return next(past, self.visits[0].phase)

    def judges(self, metric: Metric, phase: int | None = None) -> bool:
        """Whether a metric is judged in a phase, by default in this one."""
        name = self.policy.phases[self.phase if phase is None else phase].name
        return not metric.phases or name in metric.phases

    @property
    def has_late_reports(self) -> bool:
        """Whether a metric waits for reports that come late."""
        return any(metric.reports_within for metric in self.policy.metrics)


class Look(msgspec.Struct, frozen=True):
    """What all metrics together say at one moment (natural logarithms)."""

    metrics: list[MetricVerdict]
    log_evidence: float
    log_promotion: float
    guilty_metric: str | None
    guilty_group: Contributor | None
    log_sample_ratio: float | None


def rollout_id(service: str, canary: str, opened_at: int) -> str:
    """Readable, unique id: ``checkout-1.5.0-20261123T101500.250``.

    >>> rollout_id("checkout", "1.5.0", 1795428900250)
    'checkout-1.5.0-20261123T101500.250'
    """
    opened = datetime.fromtimestamp(opened_at / 1000, UTC)
    stamp = f"{opened:%Y%m%dT%H%M%S}.{opened_at % 1000:03d}"
    return _NOT_IN_ID.sub("_", f"{service}-{canary}-{stamp}")
