"""What the judge remembers of one rollout, and what its metrics say at one moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from contracts.policy import Policy
from contracts.results import Contributor, MetricVerdict, RolloutStatus
from streams.judge.metric import MetricState
from streams.judge.shares import SharesState

_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._+-]")


class RolloutState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything the judge remembers of one rollout. Times are epoch milliseconds of event time."""

    id: str
    service: str
    canary: str
    baseline: str
    policy: Policy
    """The policy it was opened with, to its end."""
    opened_at: int
    status: RolloutStatus = RolloutStatus.RUNNING
    phase: int = 0
    phase_started_at: int
    phase_exposures: int = 0
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
    without_canary: tuple[int, int] = (0, 0)
    """Ends of the first and the last tick since then in which others had exposures."""
    share: float | None = None
    first_bad_event_at: int | None = None
    decided_at: int | None = None
    drained_at: int | None = None
    escalated: bool = False
    held: bool = False
    """Whether this phase has been held, and told so."""
    reason: str = ""
    """Why it ended, where a person or a decision ended it."""
    guilty_metric: str | None = None
    guilty_group: Contributor | None = None

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
