"""What a worker counts; every name stands in docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from health.metrics import Bounded, new_registry
from streams.lag import Lag

REGISTRY = new_registry()

LAG = Lag(REGISTRY)
MESSAGES = Counter(
    "coalmine_streams_messages", "Messages handled, by topic.", ["topic"], registry=REGISTRY
)
RECORDS = Counter(
    "coalmine_streams_records",
    "Records in the telemetry messages that were counted, by kind.",
    ["kind"],
    registry=REGISTRY,
)
DUPLICATES = Counter(
    "coalmine_streams_duplicates",
    "Messages that had been counted before, recognised by a fence, by stage.",
    ["stage"],
    registry=REGISTRY,
)
DEAD_LETTERS = Counter(
    "coalmine_streams_dead_letters",
    "Records and messages set aside, by stage and reason.",
    ["stage", "reason"],
    registry=REGISTRY,
)
LATE_RECORDS = Counter(
    "coalmine_streams_late_records",
    "Records that came after their second had been judged.",
    registry=REGISTRY,
)
FOLDED = Counter(
    "coalmine_streams_folded_records",
    "Records counted under the label other because there were too many labels, by kind of label.",
    ["kind"],
    registry=REGISTRY,
)
LOOKS = Counter(
    "coalmine_streams_looks",
    "Looks at a rollout, each of which gave a verdict, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
DECISIONS = Counter(
    "coalmine_streams_decisions", "Decisions made, by action.", ["action"], registry=REGISTRY
)
POLICIES_REFUSED = Gauge(
    "coalmine_streams_policies_refused",
    "1 while the policy files as they are now are broken, and those before are used.",
    registry=REGISTRY,
)
VERDICT_SECONDS = Histogram(
    "coalmine_streams_verdict_seconds",
    "From the end of the second in which the last counted lines were written to their verdict.",
    buckets=(0.25, 0.5, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 30, 60, 120, 300, 900),
    registry=REGISTRY,
)

reason_label = Bounded()
