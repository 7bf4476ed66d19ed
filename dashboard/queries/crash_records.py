"""A crash group as people look at it: from aggregated sightings to records. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.results import CrashMark, CrashMarkKind
from dashboard.queries.crash_states import CrashState, release_order, state_of
from dashboard.queries.elastic import Query, newest_first

MOST_RELEASES = 50
"""Releases of one group: those that showed it last."""
MOST_ARMS = 10
_PRECISION = 1000
"""So many distinct users are counted nearly exactly; above, within a few per cent."""

Families = Mapping[str, Sequence[str]]
"""The fingerprint of each group, and all that belong to it."""
Buckets = dict[str, dict[str, Any]]


class ReleaseCount(msgspec.Struct, frozen=True, kw_only=True):
    """A crash group in one release."""

    release: str
    count: int
    users: int
    first: int
    last: int
    arms: dict[str, int]
    """Counts by arm, where a feature flag separates canary from baseline; else one, nameless."""


class GroupRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A crash group as people look at it; times in epoch milliseconds."""

    fingerprint: str
    members: list[str]
    """Its own fingerprint, and those that a rule merged into it."""
    state: CrashState
    title: str
    culprit: str
    runtime: str
    algorithm: str
    count: int
    """Crashes in the stretch of time that was asked for."""
    total: int
    """Crashes as far as they are kept."""
    users: int
    first: int
    first_release: str
    last: int
    releases: list[ReleaseCount]
    """The newest release first."""
    trend: list[tuple[int, int]]
    """Start of each stretch of time in which it was seen, and how often."""
    trend_step_s: int
    resolved_in: str = ""
    mark_reason: str = ""

    @property
    def last_release(self) -> str:
        """The release that showed it last."""
        return max(self.releases, key=lambda seen: seen.last).release


@dataclass(frozen=True, slots=True)
class Standing:
    """What the state of a group depends on, beside the group.

    Attributes:
        first_traffic: of each release of the service, epoch milliseconds.
        marks: what people said, by fingerprint.
        absent: so many releases without a crash make its return a regression.
    """

    first_traffic: Mapping[str, int]
    marks: Mapping[str, CrashMark]
    absent: int = 1


def records(groups: Buckets, known: Families, standing: Standing, step_s: int) -> list[GroupRecord]:
    """The groups that were seen at all, in the order of ``known``.

    Args:
        groups: answer to ``aggregations``, by fingerprint.
        known: the groups.
        standing: releases and marks of their service.
        step_s: length of each part of the trend, in seconds.
    """
    seen = {name: _releases(groups[name]) for name in known if groups[name]["doc_count"]}
    first_traffic = dict(standing.first_traffic)
    for one in (release for releases in seen.values() for release in releases):
        # windows are kept for a shorter time than crashes
        first_traffic[one.release] = min(first_traffic.get(one.release, one.first), one.first)
    order = release_order(first_traffic)
    return [
        _record(name, known[name], groups[name], releases, order, standing, step_s)
        for name, releases in seen.items()
    ]


def aggregations(known: Families, since: Query, step_s: int) -> Query:
    """What is asked of Elasticsearch for the records of these groups.

    Args:
        known: the groups.
        since: the stretch of time that is counted and drawn.
        step_s: length of each part of the trend, in seconds.
    """
    count, users = sum_of("count"), _users()
    first, last = {"min": {"field": "first"}}, {"max": {"field": "@timestamp"}}
    by_arm = {"field": "arm", "missing": "", "size": MOST_ARMS}
    by_release = {"field": "service.version", "missing": "", "size": MOST_RELEASES}
    trend = {"field": "@timestamp", "fixed_interval": f"{step_s}s", "min_doc_count": 1}
    named = {name: {"terms": {"fingerprint": [*members]}} for name, members in known.items()}
    newest = {
        "size": 1,
        "sort": newest_first(),
        "_source": ["title", "culprit", "runtime", "algorithm"],
    }
    return {
        "groups": {
            "filters": {"filters": named},
            "aggs": {
                "count": count,
                "users": users,
                "first": first,
                "last": last,
                "newest": {"top_hits": newest},
                "since": {
                    "filter": since,
                    "aggs": {
                        "count": count,
                        "trend": {"date_histogram": trend, "aggs": {"count": count}},
                    },
                },
                "origin": {
                    "terms": {**by_release, "size": 1, "order": {"first": "asc"}},
                    "aggs": {"first": first},
                },
                "releases": {
                    "terms": {**by_release, "order": {"last": "desc"}},
                    "aggs": {
                        "count": count,
                        "users": users,
                        "first": first,
                        "last": last,
                        "arms": {"terms": by_arm, "aggs": {"count": count}},
                    },
                },
            },
        }
    }


def _record(
    fingerprint: str,
    members: Sequence[str],
    group: dict[str, Any],
    releases: list[ReleaseCount],
    order: Sequence[str],
    standing: Standing,
    step_s: int,
) -> GroupRecord:
    newest = group["newest"]["hits"]["hits"][0]["_source"]
    said = mark_of(members, standing.marks)
    resolved_in = said.release if said and said.kind is CrashMarkKind.RESOLVED else None
    origin = buckets(group, "origin")[0]["key"]
    seen = {*(one.release for one in releases), origin}
    return GroupRecord(
        fingerprint=fingerprint,
        members=[*members],
        state=state_of(order, seen, resolved_in, standing.absent),
        title=newest.get("title", ""),
        culprit=newest.get("culprit", ""),
        runtime=newest.get("runtime", ""),
        algorithm=newest.get("algorithm", ""),
        count=_value(group["since"]["count"]),
        total=_value(group["count"]),
        users=_value(group["users"]),
        first=_value(group["first"]),
        first_release=origin,
        last=_value(group["last"]),
        releases=sorted(releases, key=lambda one: order.index(one.release), reverse=True),
        trend=[
            (int(bucket["key"]), _value(bucket["count"]))
            for bucket in buckets(group["since"], "trend")
        ],
        trend_step_s=step_s,
        resolved_in=resolved_in or "",
        mark_reason=said.reason if said else "",
    )


def mark_of(members: Sequence[str], marks: Mapping[str, CrashMark]) -> CrashMark | None:
    """The newest mark of any of the fingerprints of a group."""
    return max((marks[m] for m in members if m in marks), key=lambda m: m.time, default=None)


def _releases(group: dict[str, Any]) -> list[ReleaseCount]:
    return [
        ReleaseCount(
            release=bucket["key"],
            count=_value(bucket["count"]),
            users=_value(bucket["users"]),
            first=_value(bucket["first"]),
            last=_value(bucket["last"]),
            arms={arm["key"]: _value(arm["count"]) for arm in buckets(bucket, "arms")},
        )
        for bucket in buckets(group, "releases")
    ]


def sum_of(field: str) -> Query:
    """The sum of a field."""
    return {"sum": {"field": field}}


def _users() -> Query:
    return {"cardinality": {"field": "users", "precision_threshold": _PRECISION}}


def buckets(group: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The buckets of one aggregation; none where there is none."""
    found: list[dict[str, Any]] = group.get(name, {}).get("buckets", [])
    return found


def _value(aggregation: dict[str, Any]) -> int:
    return round(aggregation["value"] or 0)
