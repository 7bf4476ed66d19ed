"""Crash groups: how often each crash was seen in either arm, where it came first, a sample."""

from __future__ import annotations

from typing import Any

import pandas as pd
from elasticsearch import Elasticsearch

from contracts.indices import CRASH_GROUPS
from dashboard.queries.elastic import (
    Query,
    Source,
    all_of,
    between,
    newest_first,
    of_arm,
    of_arms,
    search,
    sources,
)

MOST_GROUPS = 100

COLUMNS = {
    "fingerprint": "str",
    "title": "str",
    "culprit": "str",
    "runtime": "str",
    "canary": "int64",
    "baseline": "int64",
    "first_release": "str",
    "first": "int64",
    "last": "int64",
}


def fetch_crash_groups(
    client: Elasticsearch, service: str, arms: dict[str, str], start_ms: int, end_ms: int
) -> pd.DataFrame:
    """The most frequent crash groups of a service, counted per arm within a rollout.

    First seen, in time and in release, looks at everything that is kept, not at the rollout only.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    inside = between(start_ms, end_ms)
    counted = {
        arm: {
            "filter": all_of(inside, of_arm(name)),
            "aggs": {"count": {"sum": {"field": "count"}}},
        }
        for arm, name in arms.items()
    }
    answer = search(
        client,
        CRASH_GROUPS,
        query=all_of({"term": {"service.name": service}}),
        aggs={
            "inside": {
                "filter": all_of(inside, of_arms(arms.values())),
                "aggs": {
                    "groups": {
                        "terms": {
                            "field": "fingerprint",
                            "size": MOST_GROUPS,
                            "order": {"count": "desc"},
                        },
                        "aggs": {
                            **counted,
                            "count": {"sum": {"field": "count"}},
                            "last": {"max": {"field": "@timestamp"}},
                            "newest": {
                                "top_hits": {
                                    "size": 1,
                                    "sort": newest_first(),
                                    "_source": ["title", "culprit", "runtime"],
                                }
                            },
                        },
                    }
                },
            },
        },
    )
    groups = _groups(answer)
    if not groups:
        return crash_frame([], {})
    first = search(
        client,
        CRASH_GROUPS,
        query=all_of(
            {"term": {"service.name": service}},
            {"terms": {"fingerprint": [g["key"] for g in groups]}},
        ),
        aggs={
            "groups": {
                "terms": {"field": "fingerprint", "size": MOST_GROUPS},
                "aggs": {
                    "releases": {
                        "terms": {
                            "field": "service.version",
                            "size": 1,
                            "order": {"first": "asc"},
                        },
                        "aggs": {"first": {"min": {"field": "first"}}},
                    }
                },
            }
        },
    )
    return crash_frame(groups, _first_seen(first))


def fetch_sample(
    client: Elasticsearch, service: str, fingerprint: str, release: str | None
) -> Source | None:
    """The newest sighting of a group with its sample, in one release if it is named.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    conditions: list[Query] = [
        {"term": {"service.name": service}},
        {"term": {"fingerprint": fingerprint}},
        {"term": {"is_sampled": True}},
    ]
    if release:
        conditions.append({"term": {"service.version": release}})
    answer = search(client, CRASH_GROUPS, query=all_of(*conditions), size=1, sort=newest_first())
    found = sources(answer)
    return found[0] if found else None


def crash_frame(
    groups: list[dict[str, Any]], first_seen: dict[str, tuple[str, int]]
) -> pd.DataFrame:
    """Aggregation buckets as one row per group, most crashes of the canary first.

    Args:
        groups: buckets of ``fetch_crash_groups``.
        first_seen: release and epoch ms of the first crash, by fingerprint.

    Returns:
        Columns and types of ``COLUMNS``, times in epoch milliseconds.
    """
    rows = []
    for group in groups:
        newest = group["newest"]["hits"]["hits"][0]["_source"]
        last = int(group["last"]["value"] or 0)
        release, first = first_seen.get(group["key"], ("", last))
        rows.append(
            {
                "fingerprint": group["key"],
                "title": newest.get("title", ""),
                "culprit": newest.get("culprit", ""),
                "runtime": newest.get("runtime", ""),
                "canary": round(group["canary"]["count"]["value"] or 0),
                "baseline": round(group["baseline"]["count"]["value"] or 0),
                "first_release": release,
                "first": first,
                "last": last,
            }
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(["canary", "baseline"], ascending=False, ignore_index=True)


def _groups(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        answer.get("aggregations", {}).get("inside", {}).get("groups", {}).get("buckets", [])
    )
    return found


def _first_seen(answer: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {
        bucket["key"]: (release["key"], int(release["first"]["value"] or 0))
        for bucket in answer.get("aggregations", {}).get("groups", {}).get("buckets", [])
        for release in bucket["releases"]["buckets"][:1]
    }
