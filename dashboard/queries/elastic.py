"""The one place where the dashboard speaks to Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from elasticsearch import ApiError, Elasticsearch, TransportError

from contracts.errors import Recoverable
from contracts.indices import Index
from dashboard import metrics

Query = dict[str, Any]
Source = dict[str, Any]

_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 43_200, 86_400)


class Unavailable(Recoverable):
    """Elasticsearch did not answer, or refused; the message is one sentence for people."""


def search(
    client: Elasticsearch,
    index: Index,
    *,
    query: Query | None = None,
    size: int = 0,
    sort: list[Query] | None = None,
    aggs: Query | None = None,
    fields: list[str] | None = None,
    collapse: str | None = None,
    after: list[Any] | None = None,
) -> dict[str, Any]:
    """One search over all days of a kind of document; an index that is not there yet is empty.

    Args:
        client: a client with a short request timeout.
        index: which kind of document.
        query: Elasticsearch query; everything if left out.
        size: most hits returned.
        sort: order of the hits.
        aggs: aggregations.
        fields: top-level source fields to return; all if left out.
        collapse: field of which only the first hit of each value is returned.
        after: values of the sort at the last hit of the page before.

    Raises:
        Unavailable: no answer in time, or an error answer.
    """
    try:
        with metrics.SEARCH_SECONDS.labels(index.name).time():
            answer = client.search(
                index=index.pattern,
                query=query,
                size=size,
                sort=sort,
                aggs=aggs,
                source={"includes": fields} if fields else None,
                collapse={"field": collapse} if collapse else None,
                search_after=after,
                ignore_unavailable=True,
                allow_no_indices=True,
                # what a red shard would leave out must not look as if it were not there
                allow_partial_search_results=False,
                track_total_hits=False,
            )
    except ApiError as error:
        metrics.SEARCHES.labels(index.name, "refused").inc()
        raise Unavailable(f"Elasticsearch refused a search (HTTP {error.status_code})") from error
    except TransportError as error:
        metrics.SEARCHES.labels(index.name, "no answer").inc()
        raise Unavailable("Elasticsearch does not answer") from error
    metrics.SEARCHES.labels(index.name, "answered").inc()
    body: dict[str, Any] = answer.body
    return body


def sources(answer: dict[str, Any]) -> list[Source]:
    """The documents of an answer."""
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def all_of(*conditions: Query) -> Query:
    """A query that all conditions must meet, without scoring."""
    return {"bool": {"filter": list(conditions)}}


def newest_first(field: str = "@timestamp") -> list[Query]:
    """Sort order; works while no document has the field yet."""
    return [{field: {"order": "desc", "unmapped_type": "date"}}]


def of_arm(name: str) -> Query:
    """What is counted for a release, or for a feature flag's variant (``flag:variant``)."""
    return {"bool": {"should": [{"term": {"service.version": name}}, {"term": {"arm": name}}]}}


def of_arms(names: Iterable[str]) -> Query:
    """What is counted for any of these."""
    return {"bool": {"should": [of_arm(name) for name in names]}}


def between(start_ms: int, end_ms: int | None = None) -> Query:
    """Documents whose own time lies in ``[start_ms, end_ms)``."""
    limits: dict[str, Any] = {"gte": start_ms, "format": "epoch_millis"}
    if end_ms is not None:
        limits["lt"] = end_ms
    return {"range": {"@timestamp": limits}}


def step_for(span_ms: int, *, buckets: int, at_least_s: int = 1) -> int:
    """Seconds per bucket so that a span needs at most ``buckets`` of them.

    >>> step_for(120_000, buckets=300), step_for(3_600_000, buckets=300)
    (1, 20)
    """
    for step in _STEPS_S:
        if step >= at_least_s and span_ms <= step * 1000 * buckets:
            return step
    return _STEPS_S[-1]
