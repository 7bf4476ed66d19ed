"""Services that sent anything: their traffic, errors, latency and releases."""

from __future__ import annotations

from typing import Any

import pandas as pd
from elasticsearch import Elasticsearch

from contracts.indices import WINDOWS
from dashboard.queries.elastic import all_of, between, newest_first, search, step_for
from dashboard.queries.releases import NO_RELEASES
from dashboard.queries.windows import added

MOST_SERVICES = 100
MOST_RELEASES = 5
"""Of each service: the newest ones."""
TREND_BUCKETS = 48
_NEWEST_WINDOWS = 12
"""Windows of each service whose latencies are added up."""
_NEWEST = [{"first": "desc"}, {"_key": "desc"}]
_LATENCY = "request.duration_ms"

COUNTERS = ("request", "request.bad", "crash", "log.error")
COLUMNS = {
    "service": "str",
    **dict.fromkeys(COUNTERS, "int64"),
    "releases": "object",
    "trend": "object",
    "bad_trend": "object",
    "histogram": "object",
    "last": "int64",
}


def fetch_components(client: Elasticsearch, start_ms: int, end_ms: int) -> pd.DataFrame:
    """Every service that had traffic between two moments, the busiest first.

    Returns:
        Columns and types of ``COLUMNS``. ``releases`` are names, the newest first; the trends are
        lists of ``TREND_BUCKETS`` counts; ``histogram`` is the newest latencies, bin to count.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    step_s = step_for(end_ms - start_ms, buckets=TREND_BUCKETS, at_least_s=10)
    sums = {name: {"sum": {"field": f"counts.{name}"}} for name in COUNTERS}
    trend = {"field": "@timestamp", "fixed_interval": f"{step_s}s", "min_doc_count": 1}
    releases = {"field": "service.version", "size": MOST_RELEASES, "order": _NEWEST}
    newest = {"size": _NEWEST_WINDOWS, "sort": newest_first(), "_source": ["histograms"]}
    answer = search(
        client,
        WINDOWS,
        query=all_of(between(start_ms, end_ms)),
        aggs={
            "services": {
                "terms": {
                    "field": "service.name",
                    "size": MOST_SERVICES,
                    "order": {"request": "desc"},
                },
                "aggs": {
                    **sums,
                    "last": {"max": {"field": "@timestamp"}},
                    "trend": {
                        "date_histogram": trend,
                        "aggs": {name: sums[name] for name in ("request", "request.bad")},
                    },
                    "releases": {
                        "terms": releases,
                        "aggs": {"first": {"min": {"field": "@timestamp"}}},
                    },
                    "newest": {"top_hits": newest},
                },
            }
        },
    )
    return components_frame(answer, start_ms, step_s)


def components_frame(answer: dict[str, Any], start_ms: int, step_s: int) -> pd.DataFrame:
    """The aggregation of ``fetch_components`` as rows; columns and types of ``COLUMNS``."""
    rows = [
        {
            "service": bucket["key"],
            **{name: round(bucket[name]["value"] or 0) for name in COUNTERS},
            "releases": [r["key"] for r in bucket["releases"]["buckets"]],
            "trend": _trend(bucket, "request", start_ms, step_s),
            "bad_trend": _trend(bucket, "request.bad", start_ms, step_s),
            "histogram": _histogram(bucket),
            "last": int(bucket["last"]["value"]),
        }
        for bucket in answer.get("aggregations", {}).get("services", {}).get("buckets", [])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _trend(bucket: dict[str, Any], name: str, start_ms: int, step_s: int) -> list[int]:
    counts = {b["key"]: round(b[name]["value"] or 0) for b in bucket["trend"]["buckets"]}
    first = start_ms // (step_s * 1000) * step_s * 1000
    return [counts.get(first + n * step_s * 1000, 0) for n in range(TREND_BUCKETS + 1)]


def _histogram(bucket: dict[str, Any]) -> dict[int, int]:
    stored = (hit["_source"].get("histograms") or {} for hit in bucket["newest"]["hits"]["hits"])
    return added([one[_LATENCY] for one in stored if one.get(_LATENCY)])


def fetch_releases(
    client: Elasticsearch, service: str, start_ms: int, end_ms: int
) -> dict[str, int]:
    """Requests of each release and arm of a service between two moments, the newest first.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    most, first = 40, {"min": {"field": "@timestamp"}}
    names = {
        name: {
            "terms": {"field": field, "size": most, "order": _NEWEST},
            "aggs": {"first": first, "request": {"sum": {"field": "counts.request"}}},
        }
        for name, field in (("releases", "service.version"), ("arms", "arm"))
    }
    answer = search(
        client,
        WINDOWS,
        query=all_of({"term": {"service.name": service}}, between(start_ms, end_ms)),
        aggs=names,
    )
    return {
        bucket["key"]: round(bucket["request"]["value"] or 0)
        for name in names
        for bucket in answer.get("aggregations", {}).get(name, {}).get("buckets", [])
        if bucket["key"] and bucket["key"] not in NO_RELEASES
    }
