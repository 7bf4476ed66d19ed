"""The index table: what is stored in Elasticsearch, under which name and mapping.

An ``_id`` is unique only within one index, so the index name is a function of the document: its
kind and the UTC day of its own time. Writing a document twice then equals writing it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.errors import InvalidRecord

PREFIX = "coalmine"

_KEYWORD = {"type": "keyword", "ignore_above": 1024}
_DATE = {"type": "date", "format": "strict_date_optional_time||epoch_millis"}
_LONG = {"type": "long"}
_DOUBLE = {"type": "double"}
_BOOL = {"type": "boolean"}
_TEXT = {"type": "text", "norms": False}
_STORED = {"type": "object", "enabled": False}
"""Kept in ``_source`` and returned, but neither parsed nor searchable."""

_IDENTITY: dict[str, Any] = {
    "@timestamp": _DATE,
    "service.name": _KEYWORD,
    "service.version": _KEYWORD,
    "host.name": _KEYWORD,
}
_ROLLOUT: dict[str, Any] = {
    "rollout": _KEYWORD,
    "canary": _KEYWORD,
    "baseline": _KEYWORD,
    "phase": _KEYWORD,
    "outcome": _KEYWORD,
    "action": _KEYWORD,
    "reason": _TEXT,
    "guilty_metric": _KEYWORD,
    "evidence_log10": _DOUBLE,
    "policy_hash": _KEYWORD,
    "processed_time": _DATE,
}
_VERDICT: dict[str, Any] = {
    **_IDENTITY,
    **_ROLLOUT,
    "status": _KEYWORD,
    "opened_at": _DATE,
    "phase_started_at": _DATE,
    "decided_at": _DATE,
    "drained_at": _DATE,
    "first_bad_event_at": _DATE,
    "promotion_log10": _DOUBLE,
    "rollback_at_log10": _DOUBLE,
    "promote_at_log10": _DOUBLE,
    "share": _DOUBLE,
    "rollback_verified": _BOOL,
    "flag": _KEYWORD,
    "exposure": _DOUBLE,
    "phases": _STORED,
    "held_because": _TEXT,
    "folded": _STORED,
    "metrics": _STORED,
    "needed": _STORED,
}


@dataclass(frozen=True, slots=True)
class Index:
    """One kind of document: ``name`` is the middle of the index name."""

    name: str
    properties: dict[str, Any]
    retention_days: int
    dynamic_counts: bool = False

    @property
    def pattern(self) -> str:
        """All days of this kind, for searches and for the index template."""
        return f"{PREFIX}-{self.name}-*"

    def for_time(self, time_ms: int) -> str:
        """Name of the index that holds a document of this time.

        Raises:
            InvalidRecord: a time that no calendar has.

        >>> WINDOWS.for_time(1795428000000)
        'coalmine-windows-2026.11.23'
        """
        try:
            day = datetime.fromtimestamp(time_ms / 1000, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise InvalidRecord("time out of range", str(time_ms)[:40]) from error
        return f"{PREFIX}-{self.name}-{day:%Y.%m.%d}"

    def template(self) -> dict[str, Any]:
        """Body of the index template: one shard, no replica (set by the operator), strict size."""
        mappings: dict[str, Any] = {"dynamic": False, "properties": self.properties}
        if self.dynamic_counts:
            counts = {"type": "object", "dynamic": True, "subobjects": False}
            mappings["properties"] = {**self.properties, "counts": counts}
            mappings["dynamic_templates"] = [
                {"counts": {"path_match": "counts.*", "mapping": {"type": "long", "index": False}}}
            ]
        settings = {
            "index.number_of_shards": 1,
            "index.auto_expand_replicas": "0-1",
            "index.refresh_interval": "1s",
            "index.mapping.total_fields.limit": 2000,
            "index.mapping.total_fields.ignore_dynamic_beyond_limit": True,
        }
        return {
            "index_patterns": [self.pattern],
            "priority": 500,
            "template": {"settings": settings, "mappings": mappings},
        }


WINDOWS = Index(
    "windows",
    {
        **_IDENTITY,
        "arm": _KEYWORD,
        "part": _KEYWORD,
        "window_s": _LONG,
        "histograms": _STORED,
        "units": _STORED,
    },
    retention_days=30,
    dynamic_counts=True,
)
VERDICTS = Index("verdicts", _VERDICT, retention_days=30)
ROLLOUTS = Index("rollouts", _VERDICT, retention_days=365)
"""The last verdict of each rollout, under the rollout's id, by the day it was opened."""
DECISIONS = Index(
    "decisions",
    {
        **_IDENTITY,
        **_ROLLOUT,
        "id": _KEYWORD,
        "expires_at": _DATE,
        "relative_risk": _STORED,
        "undelivered_to": _KEYWORD,
        "flag": _KEYWORD,
        "next_phase": _KEYWORD,
        "exposure": _DOUBLE,
        "requested_by": _KEYWORD,
    },
    retention_days=365,
)
ANSWERS = Index(
    "answers",
    {
        **_IDENTITY,
        "id": _KEYWORD,
        "rollout": _KEYWORD,
        "action": _KEYWORD,
        "code": _KEYWORD,
        "message": _TEXT,
        "canary": _KEYWORD,
        "baseline": _KEYWORD,
        "flag": _KEYWORD,
        "phase": _KEYWORD,
        "reason": _TEXT,
        "requested_by": _KEYWORD,
    },
    retention_days=365,
)
"""What people and tools asked of rollouts, and what became of it."""
DELIVERIES = Index(
    "deliveries",
    {
        **_IDENTITY,
        "id": _KEYWORD,
        "decision": _KEYWORD,
        "rollout": _KEYWORD,
        "action": _KEYWORD,
        "endpoint": _KEYWORD,
        "url": _KEYWORD,
        "attempt": _LONG,
        "outcome": _KEYWORD,
        "status": _LONG,
        "reason": _TEXT,
        "duration_ms": _DOUBLE,
        "is_circuit_open": _BOOL,
        "requested_by": _KEYWORD,
        "request_reason": _TEXT,
        "request": _KEYWORD,
        "steps": _KEYWORD,
        "verified": _BOOL,
        "body": {"type": "keyword", "index": False, "doc_values": False},
    },
    retention_days=365,
)
CRASH_GROUPS = Index(
    "crash-groups",
    {
        **_IDENTITY,
        "id": _KEYWORD,
        "first": _DATE,
        "fingerprint": _KEYWORD,
        "algorithm": _KEYWORD,
        "title": {"type": "keyword", "ignore_above": 1024},
        "culprit": _KEYWORD,
        "runtime": _KEYWORD,
        "count": _LONG,
        "arm": _KEYWORD,
        "base": _KEYWORD,
        "users": {"type": "long", "index": False},
        "is_sampled": _BOOL,
        "sample": _STORED,
        "calls": _STORED,
    },
    retention_days=90,
)
CRASH_MARKS = Index(
    "crash-marks",
    {
        **_IDENTITY,
        "id": _KEYWORD,
        "fingerprint": _KEYWORD,
        "kind": _KEYWORD,
        "reason": _TEXT,
        "requested_by": _KEYWORD,
    },
    retention_days=365,
)
"""What people said of crash groups; the newest mark of a group counts."""
ANNOTATIONS = Index(
    "annotations",
    {
        "@timestamp": _DATE,
        "annotation": {"properties": {"type": _KEYWORD, "title": _KEYWORD}},
        "service.name": _KEYWORD,
        "service.version": _KEYWORD,
        "service.environment": _KEYWORD,
        "message": _TEXT,
        "tags": _KEYWORD,
        "event.created": _DATE,
        "labels.rollout": _KEYWORD,
    },
    retention_days=365,
)
"""Rollouts as Kibana draws them, see ``streams.index.annotations``."""
LOGS = Index(
    "logs",
    {
        **_IDENTITY,
        "severity": _KEYWORD,
        "message": _TEXT,
        "trace.id": _KEYWORD,
        "attributes": {"type": "flattened", "ignore_above": 1024},
        "agent": _KEYWORD,
        "seq": _LONG,
        "row": _LONG,
        "weight": {"type": "double", "index": False},
    },
    retention_days=7,
)
HOSTS = Index(
    "hosts",
    {
        **_IDENTITY,
        "cpu_percent": _DOUBLE,
        "memory_percent": _DOUBLE,
        "load1": _DOUBLE,
        "disk_percent": _DOUBLE,
        "open_files": _LONG,
        "boot_time": _LONG,
    },
    retention_days=7,
)
"""One sample of each host, service, release and minute: its last one."""
DEADLETTERS = Index(
    "deadletters",
    {
        **_IDENTITY,
        "id": _KEYWORD,
        "stage": _KEYWORD,
        "detail": _TEXT,
        "origin": _KEYWORD,
        "truncated": _BOOL,
        "reason": _KEYWORD,
        "schema": _KEYWORD,
        "replayed_at": _DATE,
        "payload": {"type": "keyword", "index": False, "doc_values": False},
    },
    retention_days=30,
)

ALL: tuple[Index, ...] = (
    WINDOWS,
    VERDICTS,
    ROLLOUTS,
    DECISIONS,
    ANSWERS,
    DELIVERIES,
    CRASH_GROUPS,
    CRASH_MARKS,
    ANNOTATIONS,
    LOGS,
    HOSTS,
    DEADLETTERS,
)
