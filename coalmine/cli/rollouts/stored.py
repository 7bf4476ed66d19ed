"""What Elasticsearch has of rollouts: the last verdict of each, every look, the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from coalmine.cli.asking import elasticsearch_client
from coalmine.rollouts.trail import Step, trail
from contracts import indices
from contracts.errors import Fatal, Recoverable
from contracts.indices import Index
from contracts.results import Answer, Decision, Delivery, RolloutStatus, Verdict
from contracts.settings import ElasticsearchSettings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_T = TypeVar("_T", bound=msgspec.Struct)
_MOST_HITS = 10_000
"""So many documents Elasticsearch returns at once."""


def find(
    settings: ElasticsearchSettings, *, service: str = "", limit: int, only_open: bool = False
) -> list[dict[str, Any]]:
    """The latest verdict of each rollout as it is stored, latest rollout first.

    Raises:
        Recoverable: Elasticsearch does not answer.
    """
    with _asking(settings) as client:
        return _hits(
            client,
            indices.ROLLOUTS,
            rollout_filter(service=service, only_open=only_open),
            newest="opened_at",
            size=limit,
        )


def latest(settings: ElasticsearchSettings, service: str) -> Verdict:
    """The latest verdict of the latest rollout of a service.

    Raises:
        Fatal: it has none.
        Recoverable: Elasticsearch does not answer.
    """
    return verdict_of(latest_document(settings, service))


def latest_document(settings: ElasticsearchSettings, service: str) -> dict[str, Any]:
    """The same as it is stored.

    Raises:
        Fatal: it has none.
        Recoverable: Elasticsearch does not answer.
    """
    found = find(settings, service=service, limit=1)
    if not found:
        raise Fatal(f"no rollout of {service} is known")
    return found[0]


def looks(settings: ElasticsearchSettings, rollout: str) -> list[Verdict]:
    """Every look of one rollout, in order of time.

    Raises:
        Fatal: none is stored.
        Recoverable: Elasticsearch does not answer.
    """
    from elasticsearch import helpers  # noqa: PLC0415 - slow to import

    query = {"query": {"term": {"rollout": rollout}}}
    with _asking(settings) as client:
        hits = [*helpers.scan(client, index=indices.VERDICTS.pattern, query=query)]
    if not hits:
        raise Fatal(f"no look at a rollout {rollout} is stored")
    return sorted((verdict_of(hit["_source"]) for hit in hits), key=lambda verdict: verdict.time)


def history(settings: ElasticsearchSettings, service: str, rollout: str = "") -> list[Step]:
    """What was asked, decided and delivered, in order of time.

    Args:
        settings: of Elasticsearch.
        service: whose rollouts.
        rollout: only this one.

    Raises:
        Recoverable: Elasticsearch does not answer.
    """
    clauses: list[dict[str, Any]] = [{"term": {"service.name": service}}]
    if rollout:
        clauses.append({"term": {"rollout": rollout}})
    with _asking(settings) as client:

        def all_of(index: Index, as_type: type[_T]) -> list[_T]:
            hits = _hits(client, index, clauses, newest="@timestamp", size=_MOST_HITS)
            return [msgspec.convert(hit, as_type, strict=False) for hit in hits]

        return trail(
            all_of(indices.ANSWERS, Answer),
            all_of(indices.DECISIONS, Decision),
            all_of(indices.DELIVERIES, Delivery),
        )


def verdict_of(document: dict[str, Any]) -> Verdict:
    """A stored verdict."""
    return msgspec.convert(document, Verdict, strict=False)


def rollout_filter(*, service: str, only_open: bool) -> list[dict[str, Any]]:
    """Clauses of the search for rollouts."""
    clauses: list[dict[str, Any]] = []
    if service:
        clauses.append({"term": {"service.name": service}})
    if only_open:
        clauses.append({"terms": {"status": [s.value for s in RolloutStatus if s.is_open]}})
    return clauses


@contextmanager
def _asking(settings: ElasticsearchSettings) -> Iterator[Elasticsearch]:
    import elasticsearch  # noqa: PLC0415 - slow to import

    try:
        with elasticsearch_client(settings) as client:
            yield client
    except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
        raise Recoverable(f"Elasticsearch at {settings.url} did not answer: {error}") from error


def _hits(
    client: Elasticsearch, index: Index, clauses: list[dict[str, Any]], *, newest: str, size: int
) -> list[dict[str, Any]]:
    answer = client.search(
        index=index.pattern,
        query={"bool": {"filter": clauses}},
        sort=[{newest: {"order": "desc", "unmapped_type": "date"}}],
        size=size,
        ignore_unavailable=True,
    )
    return [hit["_source"] for hit in answer["hits"]["hits"]]
