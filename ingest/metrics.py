"""What an agent counts; every name stands in docs/metrics.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from health.metrics import Bounded, new_registry

if TYPE_CHECKING:
    from health.vitals import Vitals
    from ingest.agent import Agent
    from ingest.ship import Shipper
    from ingest.spool import Spool

REGISTRY = new_registry()

LINES = Counter("coalmine_ingest_lines", "Lines read from files.", registry=REGISTRY)
READ_BYTES = Counter("coalmine_ingest_read_bytes", "Bytes of those lines.", registry=REGISTRY)
RECORDS = Counter(
    "coalmine_ingest_records", "Records made of lines, by kind.", ["kind"], registry=REGISTRY
)
DEAD_LETTERS = Counter(
    "coalmine_ingest_dead_letters",
    "Lines set aside because they could not be read as a record, by reason.",
    ["reason"],
    registry=REGISTRY,
)
IGNORED = Counter(
    "coalmine_ingest_ignored_lines",
    "Lines in sources of crashes that show no failure.",
    registry=REGISTRY,
)
REDACTED = Counter(
    "coalmine_ingest_redacted",
    "Secrets replaced before they left this machine, by rule.",
    ["rule"],
    registry=REGISTRY,
)
PAUSES = Counter(
    "coalmine_ingest_pauses",
    "Times at which reading began to wait because the spool was full.",
    registry=REGISTRY,
)
POSSIBLE_LOSSES = Counter(
    "coalmine_ingest_possible_losses",
    "Files whose end was perhaps not read: cut with no copy left, or gone during a stop.",
    registry=REGISTRY,
)
WAITING = Gauge(
    "coalmine_ingest_reading_waits", "1 while the spool is full and files wait.", registry=REGISTRY
)
SPOOL_BYTES = Gauge(
    "coalmine_ingest_spool_bytes", "Bytes in the spool that Kafka lacks.", registry=REGISTRY
)
SPOOL_LIMIT_BYTES = Gauge(
    "coalmine_ingest_spool_limit_bytes", "Bytes that the spool may hold.", registry=REGISTRY
)
SPOOL_ENTRIES = Gauge(
    "coalmine_ingest_spool_entries", "Entries in the spool that Kafka lacks.", registry=REGISTRY
)
QUARANTINED = Gauge(
    "coalmine_ingest_quarantined_entries",
    "Entries that this process set aside because they can never be sent.",
    registry=REGISTRY,
)
STOPPED_SOURCES = Gauge(
    "coalmine_ingest_stopped_sources",
    "Sources that are not read any more: too many of their lines are no records.",
    registry=REGISTRY,
)
SENDING_SECONDS = Gauge(
    "coalmine_ingest_sending_seconds",
    "For how long the oldest entry has been offered to Kafka without an acknowledgement.",
    registry=REGISTRY,
)
SENT_ENTRIES = Counter(
    "coalmine_ingest_sent_entries", "Spool entries acknowledged by Kafka.", registry=REGISTRY
)
SENT_BATCHES = Counter(
    "coalmine_ingest_sent_batches",
    "Messages acknowledged by Kafka, by topic.",
    ["topic"],
    registry=REGISTRY,
)
SEND_FAILURES = Counter(
    "coalmine_ingest_send_failures", "Attempts that Kafka did not acknowledge.", registry=REGISTRY
)

REQUESTS = Counter(
    "coalmine_ingest_received_requests",
    "Requests to the receiver, by what they spoke and how they were answered.",
    ["protocol", "status"],
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "coalmine_ingest_received_seconds",
    "From the whole body of a request to its answer: until its records are safe on disk.",
    registry=REGISTRY,
)
PASSED_OVER = Counter(
    "coalmine_ingest_received_ignored",
    "Parts of requests that nobody asked for, by what they are.",
    ["item"],
    registry=REGISTRY,
)
REPEATED = Counter(
    "coalmine_ingest_received_repeated",
    "Groups of records that a sender sent again although they were safe.",
    registry=REGISTRY,
)
UNKEPT = Counter(
    "coalmine_ingest_received_unkept",
    "Parts that are no record and got no dead letter: too many in a row.",
    registry=REGISTRY,
)

reason_label = Bounded()
item_label = Bounded()


def watch(vitals: Vitals, agent: Agent, spool: Spool, shipper: Shipper, limit_bytes: int) -> None:
    """Let the gauges, and the needs of readiness, follow this agent."""
    vitals.need("kafka takes what is sent", lambda: not shipper.is_failing)
    vitals.need("the spool has room", lambda: not agent.is_waiting)
    WAITING.set_function(lambda: agent.is_waiting)
    SPOOL_BYTES.set_function(lambda: spool.size_bytes)
    SPOOL_LIMIT_BYTES.set(limit_bytes)
    SPOOL_ENTRIES.set_function(lambda: spool.entries)
    QUARANTINED.set_function(lambda: spool.quarantined)
    STOPPED_SOURCES.set_function(lambda: agent.stopped_sources)
    SENDING_SECONDS.set_function(lambda: shipper.sending_s)
