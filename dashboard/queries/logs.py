"""Log lines: those that a search finds, those around a crash. All errors are there, of the rest
the share that the indexer keeps; each line knows for how many it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from elasticsearch import Elasticsearch

from contracts.indices import LOGS
from dashboard.queries.elastic import (
    Query,
    Source,
    all_of,
    between,
    newest_first,
    search,
    sources,
    step_for,
)
from dashboard.queries.log_text import fixed_words, of_template, text_conditions

MOST_LINES = 200
_MOST_CANDIDATES = 1000
"""Lines that have the words of a template, of which those are kept that match it."""
MOST_BUCKETS = 120
AROUND_MS = 30_000
MOST_AROUND = 60
"""Lines on either side of a crash, and of its trace."""

ERRORS = ("error", "err", "critical", "crit", "fatal", "alert", "emergency", "panic", "severe")
SEVERITIES: dict[str, tuple[str, ...]] = {
    "error": ERRORS,
    "warning": ("warning", "warn", *ERRORS),
    "info": ("info", "notice"),
    "debug": ("debug", "trace"),
}
"""What a search for a severity finds: the first two are lower limits."""


class LogSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader looks for; empty fields are no conditions."""

    start_ms: int
    end_ms: int
    service: str = ""
    release: str = ""
    host: str = ""
    severity: str = ""
    trace: str = ""
    text: str = ""
    template: str = ""


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line as it is stored."""

    time: int
    service: str
    release: str
    host: str
    severity: str
    message: str
    trace: str
    key: str
    """Names the line for ever."""


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest lines that a search found, and how many there are over time."""

    rows: list[LogRow]
    is_cut: bool
    """Whether there are older ones."""
    steps: list[tuple[int, float, float]]
    """Start of each stretch of time, its errors, its other lines: those that were written, as far
    as the kept share tells."""
    step_s: int


def fetch_logs(client: Elasticsearch, wanted: LogSearch) -> LogPage:
    """The newest lines that a search finds.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    step_s = step_for(wanted.end_ms - wanted.start_ms, buckets=MOST_BUCKETS)
    size = _MOST_CANDIDATES if wanted.template else MOST_LINES + 1
    answer = search(
        client,
        LOGS,
        query=log_query(wanted),
        size=size,
        sort=newest_first(),
        aggs=_over_time(step_s),
    )
    rows = [_row(document) for document in sources(answer)]
    is_cut = len(rows) == size
    if wanted.template:
        matches = of_template([row.message for row in rows], wanted.template)
        rows = [row for row, fits in zip(rows, matches, strict=True) if fits]
    return LogPage(
        rows=rows[:MOST_LINES],
        is_cut=is_cut or len(rows) > MOST_LINES,
        steps=_steps(answer),
        step_s=step_s,
    )


def fetch_around(
    client: Elasticsearch, service: str, host: str, trace: str, at_ms: int
) -> list[LogRow]:
    """What a service wrote within half a minute of a crash, on its host and in its trace.

    Of many lines those of the trace come first, then the nearest; in the order of time.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    here: list[Query] = [{"term": {"service.name": service}}]
    of_host: list[Query] = [{"term": {"host.name": host}}] if host else []
    before = all_of(*here, *of_host, between(at_ms - AROUND_MS, at_ms + 1))
    after = all_of(*here, *of_host, between(at_ms + 1, at_ms + AROUND_MS))
    found = [
        *sources(search(client, LOGS, query=before, size=MOST_AROUND, sort=newest_first())),
        *sources(search(client, LOGS, query=after, size=MOST_AROUND, sort=_OLDEST_FIRST)),
    ]
    if trace:
        # also what other services wrote of the same request
        of_trace = all_of(
            {"term": {"trace.id": trace}}, between(at_ms - AROUND_MS, at_ms + AROUND_MS)
        )
        found += sources(
            search(client, LOGS, query=of_trace, size=MOST_AROUND, sort=newest_first())
        )
    return in_order(map(_row, found))


def in_order(rows: Iterable[LogRow]) -> list[LogRow]:
    """Each line once, in the order of time."""
    once = {row.key: row for row in rows}
    return sorted(once.values(), key=lambda row: (row.time, row.key))


def log_query(wanted: LogSearch) -> Query:
    """The conditions of a search; text of a reader is only ever a value in them."""
    conditions: list[Query] = [between(wanted.start_ms, wanted.end_ms)]
    for field, value in (
        ("service.name", wanted.service),
        ("service.version", wanted.release),
        ("host.name", wanted.host),
        ("trace.id", wanted.trace),
    ):
        if value:
            conditions.append({"term": {field: value}})
    if wanted.severity:
        names = SEVERITIES.get(wanted.severity, (wanted.severity,))
        conditions.append({"terms": {"severity": [*names]}})
    conditions += text_conditions(wanted.text)
    if words := fixed_words(wanted.template):
        conditions.append({"match": {"message": {"query": words, "operator": "and"}}})
    return all_of(*conditions)


_OLDEST_FIRST: list[Query] = [{"@timestamp": {"order": "asc", "unmapped_type": "date"}}]


def _over_time(step_s: int) -> Query:
    lines = {"sum": {"field": "weight", "missing": 1}}
    errors = {"filter": {"terms": {"severity": [*ERRORS]}}, "aggs": {"lines": lines}}
    by_time = {"field": "@timestamp", "fixed_interval": f"{step_s}s", "min_doc_count": 1}
    return {
        "steps": {"date_histogram": by_time, "aggs": {"errors": errors, "lines": lines}},
    }


def _steps(answer: dict[str, Any]) -> list[tuple[int, float, float]]:
    found = []
    for step in answer.get("aggregations", {}).get("steps", {}).get("buckets", []):
        errors = step["errors"]["lines"]["value"] or 0.0
        found.append((int(step["key"]), errors, max(0.0, step["lines"]["value"] - errors)))
    return found


def _row(document: Source) -> LogRow:
    return LogRow(
        time=int(document["@timestamp"]),
        service=document.get("service.name") or "",
        release=document.get("service.version") or "",
        host=document.get("host.name") or "",
        severity=document.get("severity") or "",
        message=document.get("message") or "",
        trace=document.get("trace.id") or "",
        key=f"{document.get('agent')}:{document.get('seq')}:{document.get('row')}",
    )
