"""Decisions and deliveries as Elasticsearch keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from contracts import indices
from contracts.errors import Fatal, Recoverable
from contracts.indices import Index
from contracts.results import Decision, Delivery
from contracts.settings import ElasticsearchSettings

T = TypeVar("T", bound=msgspec.Struct)

_TIMEOUT_S = 15
_MOST = 10_000


def deliveries(
    settings: ElasticsearchSettings, *, service: str = "", decision: str = "", limit: int = _MOST
) -> list[Delivery]:
    """Attempts, the latest first.

    Args:
        settings: where Elasticsearch is.
        service: only those about it; empty for all.
        decision: only those of the decision with this id; empty for all.
        limit: at most so many.

    Raises:
        Recoverable: Elasticsearch does not answer.
    """
    terms = {"service.name": service, "decision": decision}
    order = [_by("@timestamp"), _by("attempt", "long")]
    return _search(settings, indices.DELIVERIES, Delivery, terms, order, limit)


def stored_decision(settings: ElasticsearchSettings, decision_id: str) -> Decision:
    """The decision with this id.

    Raises:
        Fatal: there is none.
        Recoverable: Elasticsearch does not answer.
    """
    found = _decisions(settings, {"id": decision_id})
    if not found:
        raise Fatal(f"no decision {decision_id} is stored; coalmine webhook list names some")
    return found[0]


def decisions_of(settings: ElasticsearchSettings, rollout: str) -> list[Decision]:
    """Every decision of a rollout.

    Raises:
        Recoverable: Elasticsearch does not answer.
    """
    return _decisions(settings, {"rollout": rollout})


def _decisions(settings: ElasticsearchSettings, terms: dict[str, str]) -> list[Decision]:
    return _search(settings, indices.DECISIONS, Decision, terms, [_by("@timestamp")], _MOST)


def _by(field: str, kind: str = "date") -> dict[str, Any]:
    return {field: {"order": "desc", "unmapped_type": kind}}


def _search(
    settings: ElasticsearchSettings,
    index: Index,
    as_type: type[T],
    terms: dict[str, str],
    order: Sequence[dict[str, Any]],
    limit: int,
) -> list[T]:
    import elasticsearch  # noqa: PLC0415 - slow to import

    clauses = [{"term": {field: value}} for field, value in terms.items() if value]
    try:
        with elasticsearch.Elasticsearch(
            **settings.client_options(), request_timeout=_TIMEOUT_S, max_retries=1
        ) as client:
            answer = client.search(
                index=index.pattern,
                query={"bool": {"filter": clauses}},
                sort=list(order),
                size=limit,
                ignore_unavailable=True,
            )
    except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
        raise Recoverable(f"Elasticsearch at {settings.url} did not answer: {error}") from error
    hits = answer["hits"]["hits"]
    return [msgspec.convert(hit["_source"], as_type, strict=False) for hit in hits]
