"""The releases of a service, by the moment of their first traffic."""

from __future__ import annotations

from elasticsearch import Elasticsearch

from contracts.indices import WINDOWS
from dashboard.queries.elastic import all_of, search

MOST_RELEASES = 200
"""The newest ones."""
NO_RELEASES = ("unknown", "other")
"""Stand for releases that are not named, or are too many."""


def fetch_first_traffic(client: Elasticsearch, service: str) -> dict[str, int]:
    """First traffic of each release, epoch milliseconds, as far as windows are kept.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(
        client,
        WINDOWS,
        query=all_of({"term": {"service.name": service}}),
        aggs={
            "releases": {
                "terms": {
                    "field": "service.version",
                    "size": MOST_RELEASES,
                    "order": {"first": "desc"},
                },
                "aggs": {"first": {"min": {"field": "@timestamp"}}},
            }
        },
    )
    buckets = answer.get("aggregations", {}).get("releases", {}).get("buckets", [])
    return {
        bucket["key"]: int(bucket["first"]["value"])
        for bucket in buckets
        if bucket["key"] not in NO_RELEASES
    }
