"""The releases of a service: when each had its first traffic, and how they do in the wild."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from elasticsearch import Elasticsearch

from contracts.indices import WINDOWS
from contracts.results import UNITS_PART
from dashboard.queries.adoption import (
    CRASH,
    EXPOSURES,
    LEAVE,
    age_of,
    predecessors,
    report_of,
)
from dashboard.queries.elastic import Query, Source, all_of, between, search, step_for
from dashboard.queries.release_records import Bucket, ReleaseReport, Span, Stretch

MOST_RELEASES = 200
"""The newest ones."""
MOST_STEPS = 84
MOST_STRETCHES = 20_000
_STRETCHES_AT_ONCE = 2_000
_DAY_MS = 86_400_000
_UNIQUE = ("@timestamp", "part", "service.version")
"""What no two stretches of a service have in common."""
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


def fetch_report(
    client: Elasticsearch, service: str, now_ms: int, days: float = 7, leave: float = LEAVE
) -> ReleaseReport:
    """The releases of a service in the wild: adoption, crash-free units, old ones that matter.

    Args:
        client: Elasticsearch.
        service: name of the service.
        now_ms: end of what is looked at, epoch milliseconds.
        days: its length.
        leave: share of the users whom one may leave behind.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    length_ms = round(days * _DAY_MS)
    step_s = step_for(length_ms, buckets=MOST_STEPS, at_least_s=10)
    span = Span(now_ms - length_ms, now_ms, step_s)
    first = fetch_first_traffic(client, service)
    buckets = _fetch_buckets(client, service, span)
    seen = {b.release for b in buckets}
    stretches, is_cut = _fetch_stretches(client, service, _wanted(first, seen, span))
    report = report_of(service, first, buckets, stretches, span, leave)
    return msgspec.structs.replace(report, is_cut=is_cut)


def _wanted(first: Mapping[str, int], seen: set[str], span: Span) -> list[Query]:
    """The span, and the youth before it of its releases and of those they are compared with."""
    before = predecessors(first)
    wanted = [between(span.start_ms, span.end_ms)]
    for release in seen & first.keys():
        age_ms = age_of(first[release], span)
        for one in (release, before.get(release)):
            if one is not None and first[one] < span.start_ms:
                youth = between(first[one], first[one] + age_ms)
                wanted.append(all_of({"term": {"service.version": one}}, youth))
    return wanted


def _fetch_buckets(client: Elasticsearch, service: str, span: Span) -> list[Bucket]:
    counters = (*EXPOSURES, CRASH)
    sums = {name: {"sum": {"field": f"counts.{name}"}} for name in counters}
    steps = {"field": "@timestamp", "fixed_interval": f"{span.step_s}s", "min_doc_count": 1}
    last = {"last": {"max": {"field": "@timestamp"}}}
    answer = search(
        client,
        WINDOWS,
        query=all_of({"term": {"service.name": service}}, between(span.start_ms, span.end_ms)),
        aggs={
            "releases": {
                "terms": {"field": "service.version", "size": MOST_RELEASES},
                "aggs": {"steps": {"date_histogram": steps, "aggs": sums | last}},
            }
        },
    )
    return [
        Bucket(
            release["key"],
            int(step["key"]),
            int(step["last"]["value"]),
            {name: round(step[name]["value"] or 0) for name in counters},
        )
        for release in answer.get("aggregations", {}).get("releases", {}).get("buckets", [])
        if release["key"] not in NO_RELEASES
        for step in release["steps"]["buckets"]
    ]


def _fetch_stretches(
    client: Elasticsearch, service: str, wanted: list[Query]
) -> tuple[list[Stretch], bool]:
    """Every stretch of the wanted times, the newest first, and whether there are more."""
    query = all_of(
        {"term": {"service.name": service}},
        {"prefix": {"part": UNITS_PART}},
        {"bool": {"should": wanted, "minimum_should_match": 1}},
    )
    sort = [{name: {"order": "desc", "unmapped_type": "keyword"}} for name in _UNIQUE]
    found: list[Stretch] = []
    after: list[Any] | None = None
    while len(found) < MOST_STRETCHES:
        answer = search(
            client,
            WINDOWS,
            query=query,
            size=_STRETCHES_AT_ONCE,
            sort=sort,
            fields=["service.version", "service*", "@timestamp", "units*"],
            after=after,
        )
        hits = answer["hits"]["hits"]
        found += [_stretch(hit["_source"]) for hit in hits]
        if len(hits) < _STRETCHES_AT_ONCE:
            return found, False
        after = hits[-1]["sort"]
    return found, True


def _stretch(document: Source) -> Stretch:
    units = {name: base64.b64decode(text) for name, text in document.get("units", {}).items()}
    return Stretch(str(document["service.version"]), int(document["@timestamp"]), units)
