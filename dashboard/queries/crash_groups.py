"""Crash groups of a service over all its releases: sightings added up, with their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from elasticsearch import Elasticsearch

from contracts.indices import CRASH_GROUPS, CRASH_MARKS
from contracts.results import CrashMark
from dashboard.queries.crash_records import (
    MOST_RELEASES,
    Buckets,
    Families,
    GroupRecord,
    Standing,
    aggregations,
    buckets,
    records,
    sum_of,
)
from dashboard.queries.crash_states import CrashState, families
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
from dashboard.queries.releases import fetch_first_traffic

MOST_GROUPS = 200
"""Groups of a list: the most frequent ones of its stretch of time."""
TREND_BUCKETS = 48
_MOST_MARKS = 1000
_MOST_BASES = 50


def fetch_groups(
    client: Elasticsearch, service: str, since_ms: int, now_ms: int, absent: int = 1
) -> list[GroupRecord]:
    """The crash groups of a service that were seen since a moment; what needs a person first.

    Args:
        client: Elasticsearch.
        service: name of the service.
        since_ms: beginning of the stretch that is counted and drawn.
        now_ms: its end.
        absent: so many releases without a crash make its return a regression.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    found = _found(client, all_of(_of(service), between(since_ms)))
    # those that a rule merged may not have been seen since
    known = families(_with_bases(found))
    chosen = {name: members for name, members in known.items() if {*members} & {*found}}
    listed = _records(client, service, chosen, (since_ms, now_ms), absent)
    return sorted(listed, key=lambda r: ([*CrashState].index(r.state), -r.count, r.fingerprint))


def fetch_group(
    client: Elasticsearch, service: str, fingerprint: str, since_ms: int, now_ms: int, absent: int
) -> GroupRecord | None:
    """One group by its fingerprint, or by one that a rule merged into it; None if unknown.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    own = _found(client, all_of(_of(service), {"term": {"fingerprint": fingerprint}}))
    replaced = {fingerprint, *(base for bases in own.values() for base in bases)}
    others = _found(client, all_of(_of(service), {"terms": {"base": sorted(replaced)}}))
    known = families(_with_bases(own | others))
    chosen = {name: members for name, members in known.items() if fingerprint in members}
    return next(iter(_records(client, service, chosen, (since_ms, now_ms), absent)), None)


def fetch_samples(
    client: Elasticsearch, service: str, members: Sequence[str], release: str | None = None
) -> list[Source]:
    """The newest sighting with a sample of each release, newest first; of one release if named.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    conditions = [_of(service), {"terms": {"fingerprint": [*members]}}]
    conditions.append({"term": {"is_sampled": True}})
    if release is not None:
        conditions.append({"term": {"service.version": release}})
    answer = search(
        client,
        CRASH_GROUPS,
        query=all_of(*conditions),
        size=MOST_RELEASES,
        sort=newest_first(),
        collapse="service.version",
    )
    return sources(answer)


def fetch_services(client: Elasticsearch, since_ms: int) -> list[str]:
    """Services that crashed since a moment, the most frequent first.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    terms = {"field": "service.name", "size": MOST_GROUPS, "order": {"count": "desc"}}
    answer = search(
        client,
        CRASH_GROUPS,
        query=all_of(between(since_ms)),
        aggs={"services": {"terms": terms, "aggs": {"count": sum_of("count")}}},
    )
    return [bucket["key"] for bucket in buckets(answer.get("aggregations", {}), "services")]


def fetch_marks(client: Elasticsearch, service: str) -> dict[str, CrashMark]:
    """The newest mark of each group that has one, by fingerprint.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(
        client, CRASH_MARKS, query=all_of(_of(service)), size=_MOST_MARKS, sort=newest_first()
    )
    marks: dict[str, CrashMark] = {}
    for document in sources(answer):
        try:
            mark = msgspec.convert(document, CrashMark, strict=False)
        except msgspec.ValidationError:  # of a version that says more
            continue
        marks.setdefault(mark.fingerprint, mark)
    return marks


def _with_bases(found: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """With the fingerprints that were replaced, though they were not seen lately."""
    nothing: dict[str, list[str]] = {base: [] for bases in found.values() for base in bases}
    return nothing | {**found}


def _found(client: Elasticsearch, query: Query) -> dict[str, list[str]]:
    """Fingerprints, the most frequent first, and what each of them replaces."""
    bases = {"field": "base", "size": _MOST_BASES, "exclude": [""]}
    groups = {"field": "fingerprint", "size": MOST_GROUPS, "order": {"count": "desc"}}
    answer = search(
        client,
        CRASH_GROUPS,
        query=query,
        aggs={
            "groups": {
                "terms": groups,
                "aggs": {"count": sum_of("count"), "bases": {"terms": bases}},
            }
        },
    )
    return {
        group["key"]: [base["key"] for base in buckets(group, "bases")]
        for group in buckets(answer.get("aggregations", {}), "groups")
    }


def _records(
    client: Elasticsearch, service: str, known: Families, span: tuple[int, int], absent: int
) -> list[GroupRecord]:
    if not known:
        return []
    step_s = step_for(span[1] - span[0], buckets=TREND_BUCKETS, at_least_s=10)
    every = sorted({member for members in known.values() for member in members})
    answer = search(
        client,
        CRASH_GROUPS,
        query=all_of(_of(service), {"terms": {"fingerprint": every}}),
        aggs=aggregations(known, between(span[0]), step_s),
    )
    standing = Standing(fetch_first_traffic(client, service), fetch_marks(client, service), absent)
    groups: Buckets = answer.get("aggregations", {}).get("groups", {}).get("buckets", {})
    return records(groups, known, standing, step_s) if groups else []


def _of(service: str) -> Query:
    return {"term": {"service.name": service}}
