"""Load of hosts: a sample of each host and minute, by release and by host."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pandas as pd
from elasticsearch import Elasticsearch

from contracts.indices import HOSTS
from dashboard.queries.elastic import Query, all_of, between, newest_first, search, step_for

VALUES = ("cpu_percent", "memory_percent", "load1", "disk_percent")
"""What a host tells of itself."""
MOST_HOSTS = 200
MOST_RELEASES = 4
"""Of the plots: those with the most samples."""
MOST_BOOTS = 20
"""Of each host: a machine that starts more often in a week is told as this many."""
SAME_BOOT_MS = 60_000
"""Times of start that lie closer are one: a clock that is set moves them."""
STEPS = 120
TREND_BUCKETS = 48

HOST_COLUMNS = {
    "host": "str",
    "service": "str",
    "release": "str",
    **dict.fromkeys(VALUES, "float64"),
    "worst_cpu": "float64",
    "trend": "object",
    "restarts": "object",
    "last": "int64",
}
RELEASE_COLUMNS = {"time": "int64", "release": "str", "hosts": "int64"} | {
    f"{value}_{part}": "float64" for value in VALUES for part in ("mid", "high")
}


def fetch_hosts(client: Elasticsearch, service: str, start_ms: int, end_ms: int) -> pd.DataFrame:
    """Each host's means between two moments, the busiest first.

    Args:
        client: Elasticsearch.
        service: only hosts that it runs on; all if empty.
        start_ms: first moment, epoch milliseconds.
        end_ms: first moment after.

    Returns:
        Columns and types of ``HOST_COLUMNS``; a value that no sample has is NaN. ``service`` and
        ``release`` are what the newest sample says; ``trend`` is its CPU, None where none came;
        ``restarts`` the release of the first sample after each, None where no boot was told.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    step_s = step_for(end_ms - start_ms, buckets=TREND_BUCKETS, at_least_s=60)
    means = {value: {"avg": {"field": value}} for value in VALUES}
    steps = {"field": "@timestamp", "fixed_interval": f"{step_s}s", "min_doc_count": 1}
    newest = {"size": 1, "sort": newest_first(), "_source": ["service*"]}
    answer = search(
        client,
        HOSTS,
        query=_of(service, start_ms, end_ms),
        aggs={
            "hosts": {
                "terms": {
                    "field": "host.name",
                    "size": MOST_HOSTS,
                    "order": {"cpu_percent": "desc"},
                },
                "aggs": {
                    **means,
                    "worst_cpu": {"max": {"field": "cpu_percent"}},
                    "last": {"max": {"field": "@timestamp"}},
                    "newest": {"top_hits": newest},
                    "boots": {
                        "terms": {
                            "field": "boot_time",
                            "size": MOST_BOOTS,
                            "order": {"_key": "asc"},
                        },
                        "aggs": {
                            "first": {"top_hits": {**newest, "sort": [{"@timestamp": "asc"}]}}
                        },
                    },
                    "steps": {
                        "date_histogram": steps,
                        "aggs": {"cpu_percent": means["cpu_percent"]},
                    },
                },
            }
        },
    )
    return hosts_frame(answer, start_ms, step_s)


def hosts_frame(answer: dict[str, Any], start_ms: int, step_s: int) -> pd.DataFrame:
    """The aggregation of ``fetch_hosts`` as rows; columns and types of ``HOST_COLUMNS``."""
    rows = []
    for bucket in answer.get("aggregations", {}).get("hosts", {}).get("buckets", []):
        newest = bucket["newest"]["hits"]["hits"][0]["_source"]
        cpu = {step["key"]: step["cpu_percent"]["value"] for step in bucket["steps"]["buckets"]}
        first = start_ms // (step_s * 1000) * step_s * 1000
        rows.append(
            {
                "host": bucket["key"],
                "service": newest.get("service.name", ""),
                "release": newest.get("service.version", ""),
                **{value: bucket[value]["value"] for value in (*VALUES, "worst_cpu")},
                "trend": [cpu.get(first + n * step_s * 1000) for n in range(TREND_BUCKETS + 1)],
                "restarts": _restarts(bucket["boots"]["buckets"]),
                "last": int(bucket["last"]["value"]),
            }
        )
    return pd.DataFrame(rows, columns=list(HOST_COLUMNS)).astype(HOST_COLUMNS)


def _restarts(boots: list[dict[str, Any]]) -> list[str] | None:
    """The release that ran first after each restart; None where no sample tells a boot."""
    if not boots:
        return None
    found: list[str] = []
    for before, boot in pairwise(boots):
        if boot["key"] - before["key"] > SAME_BOOT_MS:
            first = boot["first"]["hits"]["hits"][0]["_source"]
            found.append(str(first.get("service.version") or ""))
    return found


def fetch_load(client: Elasticsearch, service: str, start_ms: int, end_ms: int) -> pd.DataFrame:
    """Median and 90th percentile over the hosts of each release, over time.

    Returns:
        Columns and types of ``RELEASE_COLUMNS``, ascending in time; ``hosts`` is how many.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    step_s = step_for(end_ms - start_ms, buckets=STEPS, at_least_s=60)
    spread = {
        value: {"percentiles": {"field": value, "percents": [50, 90], "keyed": False}}
        for value in VALUES
    }
    releases = {"field": "service.version", "size": MOST_RELEASES, "missing": "unknown"}
    steps = {"field": "@timestamp", "fixed_interval": f"{step_s}s", "min_doc_count": 1}
    answer = search(
        client,
        HOSTS,
        query=_of(service, start_ms, end_ms),
        aggs={
            "releases": {
                "terms": releases,
                "aggs": {
                    "steps": {
                        "date_histogram": steps,
                        "aggs": {**spread, "hosts": {"cardinality": {"field": "host.name"}}},
                    }
                },
            }
        },
    )
    return load_frame(answer)


def load_frame(answer: dict[str, Any]) -> pd.DataFrame:
    """The aggregation of ``fetch_load`` as rows; columns and types of ``RELEASE_COLUMNS``."""
    rows = [
        {
            "time": step["key"],
            "release": release["key"],
            "hosts": step["hosts"]["value"],
            **{
                f"{value}_{part}": step[value]["values"][place]["value"]
                for value in VALUES
                for place, part in enumerate(("mid", "high"))
            },
        }
        for release in answer.get("aggregations", {}).get("releases", {}).get("buckets", [])
        for step in release["steps"]["buckets"]
    ]
    frame = pd.DataFrame(rows, columns=list(RELEASE_COLUMNS)).astype(RELEASE_COLUMNS)
    return frame.sort_values(["time", "release"], ignore_index=True)


def _of(service: str, start_ms: int, end_ms: int) -> Query:
    named = [{"term": {"service.name": service}}] if service else []
    return all_of(between(start_ms, end_ms), *named)
