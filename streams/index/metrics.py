"""What an indexer counts; every name stands in docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from health.metrics import Bounded, new_registry
from streams.lag import Lag

REGISTRY = new_registry()

STALE_SECONDS = Gauge(
    "coalmine_streams_index_stale_seconds",
    "Age of the oldest result that Elasticsearch lacks, at most; 0 where it has all.",
    registry=REGISTRY,
)
LAG = Lag(REGISTRY, STALE_SECONDS)
DOCUMENTS = Counter(
    "coalmine_streams_index_documents",
    "Documents that Elasticsearch has taken.",
    registry=REGISTRY,
)
RETRIES = Counter(
    "coalmine_streams_index_retries",
    "Bulk requests made again because Elasticsearch was away or busy.",
    registry=REGISTRY,
)
DEAD_LETTERS = Counter(
    "coalmine_streams_index_dead_letters",
    "Results set aside because they cannot be stored, by reason.",
    ["reason"],
    registry=REGISTRY,
)

reason_label = Bounded()
