"""What telemetry shows of services: releases, traffic, failures, from the windows that are kept."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import msgspec

from coalmine.policies.budgets import Flow
from contracts.indices import WINDOWS
from contracts.policy import Policy
from contracts.results import MetricKind

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_MOST_SERVICES = 200
_MOST_RELEASES = 20


class SeenRelease(msgspec.Struct, frozen=True, kw_only=True):
    """One release in the stretch that was looked at."""

    name: str
    share: float
    """Of the service's exposures, 0 to 1."""


class SeenService(msgspec.Struct, frozen=True, kw_only=True):
    """One service: sums of its counters over the seconds in which it had windows."""

    name: str
    seconds: float
    """From its first window to the end of its last one, within the stretch."""
    counts: dict[str, int]
    releases: list[SeenRelease]
    """The busiest first."""

    def flow(self, of: str, bad: str) -> Flow | None:
        """Exposures a second and bad outcomes each; ``None`` without exposures."""
        exposures = self.counts.get(of, 0)
        if not exposures or not self.seconds:
            return None
        return Flow(exposures / self.seconds, self.counts.get(bad, 0) / exposures)


def fetch_services(
    client: Elasticsearch,
    counters: Collection[str],
    *,
    since_ms: int,
    until_ms: int,
    service: str = "",
) -> list[SeenService]:
    """The services with windows in ``[since_ms, until_ms)``, the busiest first.

    Args:
        client: Elasticsearch.
        counters: which to add up; the first one says what is busy.
        since_ms: epoch milliseconds.
        until_ms: epoch milliseconds.
        service: only this one.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    from dashboard.queries.elastic import all_of, between, search  # noqa: PLC0415 - loads a client

    sums = {name: {"sum": {"field": f"counts.{name}"}} for name in counters}
    clauses = [between(since_ms, until_ms)]
    if service:
        clauses.append({"term": {"service.name": service}})
    answer = search(
        client,
        WINDOWS,
        query=all_of(*clauses),
        aggs={
            "services": {
                "terms": {"field": "service.name", "size": _MOST_SERVICES},
                "aggs": {
                    **sums,
                    "first": {"min": {"field": "@timestamp"}},
                    "last": {"max": {"field": "@timestamp"}},
                    "window_s": {"max": {"field": "window_s"}},
                    "releases": {
                        "terms": {"field": "service.version", "size": _MOST_RELEASES},
                        "aggs": sums,
                    },
                },
            }
        },
    )
    return services_of(answer, list(counters))


def services_of(answer: dict[str, Any], counters: list[str]) -> list[SeenService]:
    """The aggregation of ``fetch_services`` as services, the busiest first."""
    buckets = answer.get("aggregations", {}).get("services", {}).get("buckets", [])
    found = [_service(bucket, counters) for bucket in buckets]
    return sorted(found, key=lambda seen: (-seen.counts[counters[0]], seen.name))


def flows_seen(policy: Policy, seen: SeenService) -> dict[str, Flow]:
    """What was seen, by the name of each critical ratio metric of the policy."""
    return {
        metric.name: flow
        for metric in policy.metrics
        if metric.critical and metric.kind is MetricKind.RATIO
        for flow in [seen.flow(metric.of, metric.bad)]
        if flow is not None
    }


def counters_of(policy: Policy) -> list[str]:
    """The counters that ``flows_seen`` asks for, that of the first metric's exposures first."""
    ratios = [m for m in policy.metrics if m.kind is MetricKind.RATIO]
    names = [policy.metrics[0].of, *(m.of for m in ratios), *(m.bad for m in ratios)]
    return list(dict.fromkeys(names))


def _service(bucket: dict[str, Any], counters: list[str]) -> SeenService:
    counts = _sums(bucket, counters)
    lasted_ms = bucket["last"]["value"] - bucket["first"]["value"]
    whole = counts[counters[0]]
    releases = [
        SeenRelease(
            name=str(each["key"]),
            share=_sums(each, counters[:1])[counters[0]] / whole if whole else 0.0,
        )
        for each in bucket["releases"]["buckets"]
    ]
    return SeenService(
        name=str(bucket["key"]),
        seconds=lasted_ms / 1000 + (bucket["window_s"]["value"] or 0),
        counts=counts,
        releases=sorted(releases, key=lambda seen: (-seen.share, seen.name)),
    )


def _sums(bucket: dict[str, Any], counters: list[str]) -> dict[str, int]:
    return {name: round(bucket[name]["value"] or 0) for name in counters}
