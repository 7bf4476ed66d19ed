"""Marks of deployments, in the shape that Kibana draws into its charts.

They are further documents of verdicts and decisions: the same message always gives the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts import indices
from contracts.results import Decision, DecisionAction, Verdict

STARTED_WITHIN_MS = 60_000
"""Looks in a rollout's first minute mark its beginning: there may be one every second after it."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One mark: where it is kept, and what it says."""

    index: str
    id: str
    body: dict[str, Any]


def annotations_of(record: msgspec.Struct) -> list[Annotation]:
    """The marks that a result gives: a rollout began, was promoted to all, or was rolled back."""
    match record:
        case Verdict() if record.time - record.opened_at <= STARTED_WITHIN_MS:
            beside = f" beside {record.baseline}" if record.baseline else ""
            said = f"Rollout of {_name(record)}{beside} began."
            return [_mark(record, "started", record.opened_at, said)]
        case Decision(action=DecisionAction.ROLLBACK):
            said = f"{_name(record)} was rolled back: {record.reason}"
            return [_mark(record, "rolled back", record.time, said)]
        case Decision(action=DecisionAction.PROMOTE, next_phase=""):
            said = f"{_name(record)} was promoted to all: {record.reason}"
            return [_mark(record, "promoted", record.time, said)]
    return []


def _name(record: Verdict | Decision) -> str:
    return f"{record.flag}:{record.canary}" if record.flag else record.canary


def _mark(record: Verdict | Decision, what: str, time_ms: int, said: str) -> Annotation:
    index = indices.ANNOTATIONS.for_time(time_ms)
    service: dict[str, str] = {"name": record.service}
    if not record.flag:
        service["version"] = record.canary
    at = _iso(time_ms)
    body: dict[str, Any] = {
        "@timestamp": at,
        "annotation": {"type": "deployment", "title": f"{_name(record)} {what}"},
        "service": service,
        "message": said,
        # Kibana draws what is tagged so
        "tags": ["apm", "coalmine", what],
        "event": {"created": at},
        "labels": {"rollout": record.rollout},
    }
    return Annotation(index, f"{record.rollout}/{what}", body)


def _iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
