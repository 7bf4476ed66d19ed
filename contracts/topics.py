"""The topic table: every topic, what travels on it, its key and how long it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.records import RecordKind

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MOST_REPLICAS = 3


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. ``key`` says what its messages are keyed by, so what arrives in order."""

    name: str
    carries: str
    key: str
    retention_ms: int
    compression: str = "producer"
    max_message_bytes: int = 8_000_000
    """A partial of many labels, a verdict of many strata: they may be larger than Kafka's 1 MiB."""
    is_compacted: bool = False
    """Whether the last message of each key is kept for ever."""
    is_stamped: bool = False
    """Whether the broker says when a message came: the sender's clock may be wrong."""


def _telemetry(name: str, records: str, days: int = 1) -> Topic:
    carries = f"Arrow batches or JSON of {records}"
    return Topic(f"coalmine.{name}", carries, "agent", days * _DAY_MS, is_stamped=True)


EVENTS = _telemetry("events", "Event")
CRASHES = _telemetry("crashes", "Crash", days=7)
LOGS = _telemetry("logs", "LogLine")
HOSTS = _telemetry("hosts", "HostSample")
PARTIALS = Topic("coalmine.partials", "Partial", "service", _DAY_MS)
ROLLOUTS = Topic("coalmine.rollouts", "RolloutCommand", "service", 30 * _DAY_MS)
WINDOWS = Topic("coalmine.windows", "Window", "service", 7 * _DAY_MS)
VERDICTS = Topic("coalmine.verdicts", "Verdict", "service", 7 * _DAY_MS)
DECISIONS = Topic("coalmine.decisions", "Decision", "service", 30 * _DAY_MS)
FLAGS = Topic("coalmine.flags", "FlagState", "service and flag", 30 * _DAY_MS, is_compacted=True)
ANSWERS = Topic("coalmine.answers", "Answer", "service", 30 * _DAY_MS)
DELIVERIES = Topic("coalmine.deliveries", "Delivery", "decision", 30 * _DAY_MS)
RESENDS = Topic("coalmine.resends", "ResendRequest", "decision", 30 * _DAY_MS)
CRASH_GROUPS = Topic("coalmine.crash-groups", "CrashGroupSighting", "service", 7 * _DAY_MS)
CRASH_MARKS = Topic("coalmine.crash-marks", "CrashMark", "service", 30 * _DAY_MS)
DEADLETTERS = Topic("coalmine.deadletters", "DeadLetter", "origin", 30 * _DAY_MS)

TELEMETRY: dict[RecordKind, Topic] = {
    RecordKind.EVENTS: EVENTS,
    RecordKind.CRASHES: CRASHES,
    RecordKind.LOGS: LOGS,
    RecordKind.HOSTS: HOSTS,
}

ALL: tuple[Topic, ...] = (
    EVENTS,
    CRASHES,
    LOGS,
    HOSTS,
    PARTIALS,
    ROLLOUTS,
    WINDOWS,
    VERDICTS,
    DECISIONS,
    FLAGS,
    ANSWERS,
    DELIVERIES,
    RESENDS,
    CRASH_GROUPS,
    CRASH_MARKS,
    DEADLETTERS,
)


def replication_factor(brokers: int) -> int:
    """As many replicas as the cluster has room for, three at most.

    >>> [replication_factor(n) for n in (1, 2, 3, 9)]
    [1, 2, 3, 3]
    """
    return max(1, min(_MOST_REPLICAS, brokers))
