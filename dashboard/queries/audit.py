"""The audit trail: what Coalmine decided, what people asked, and who was told, in one order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from elasticsearch import Elasticsearch

from contracts.indices import ANSWERS, DECISIONS, DELIVERIES, Index
from contracts.results import Decision, DeliveryOutcome
from dashboard.queries.elastic import Query, Source, all_of, between, newest_first, search, sources

MOST_ENTRIES = 200
"""Of each kind; an older one is found by an earlier end of the stretch of time."""

KINDS: dict[str, Index] = {"decision": DECISIONS, "answer": ANSWERS, "delivery": DELIVERIES}


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """What a reader looks for; empty words mean anything.

    Attributes:
        start_ms: first moment, epoch milliseconds.
        end_ms: first moment after.
        kind: one of ``KINDS``.
        action: of the decision or command.
        outcome: code of an answer, or outcome of a delivery.
        who: person who asked.
    """

    start_ms: int
    end_ms: int
    service: str = ""
    rollout: str = ""
    kind: str = ""
    action: str = ""
    outcome: str = ""
    who: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was decided, asked for, or told."""

    time: int
    kind: str
    id: str
    service: str
    rollout: str
    action: str
    result: str
    """Outcome of what was judged, code of an answer, outcome of a delivery."""
    text: str
    who: str
    body: dict[str, Any]
    """The document as it is stored."""


def fetch_trail(client: Elasticsearch, wanted: AuditSearch) -> list[Entry]:
    """What a search finds, newest first, at most ``MOST_ENTRIES`` of each kind.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    found: list[Entry] = []
    for kind, index in KINDS.items():
        if wanted.kind in ("", kind):
            answer = search(
                client,
                index,
                query=all_of(*_conditions(wanted, kind)),
                size=MOST_ENTRIES,
                sort=newest_first(),
            )
            found += [entry_of(kind, document) for document in sources(answer)]
    return sorted(found, key=lambda entry: (-entry.time, entry.id))


def entry_of(kind: str, body: Source) -> Entry:
    """One stored document as an entry of the trail."""
    result = {"decision": "outcome", "answer": "code", "delivery": "outcome"}[kind]
    return Entry(
        time=int(body["@timestamp"]),
        kind=kind,
        id=str(body.get("id", "")),
        service=str(body.get("service.name", "")),
        rollout=str(body.get("rollout", "")),
        action=str(body.get("action", "")),
        result=str(body.get(result, "")),
        text=_text(kind, body),
        who=_who(kind, body),
        body=body,
    )


def _text(kind: str, body: Source) -> str:
    if kind == "delivery":
        status = f"HTTP {body['status']}" if body.get("status") else ""
        reason = str(body.get("reason") or "")
        told = reason if reason.lower() != status.lower() else ""
        asked = f"asked by {body['requested_by']}" if body.get("requested_by") else ""
        if body.get("request_reason"):
            asked += f" “{body['request_reason']}”"
        if body.get("outcome") == DeliveryOutcome.NOT_SENT.value:
            return f"{asked} · {told}"
        attempt = f"attempt {body.get('attempt', 1)}"
        parts = (attempt, status, told, f"{float(body.get('duration_ms') or 0):.0f} ms", asked)
        return " · ".join(part for part in parts if part)
    if kind == "answer":
        asked, told = str(body.get("reason") or ""), str(body.get("message") or "")
        return f"{told} “{asked}”" if asked else told
    return str(body.get("reason") or "")


def _who(kind: str, body: Source) -> str:
    if kind == "delivery":
        return str(body.get("endpoint") or "")
    return str(body.get("requested_by") or ("Coalmine" if kind == "decision" else "a tool"))


def _conditions(wanted: AuditSearch, kind: str) -> list[Query]:
    terms = {
        "service.name": wanted.service,
        "rollout": wanted.rollout,
        "action": wanted.action,
        "code" if kind == "answer" else "outcome": wanted.outcome,
        "requested_by": wanted.who,
    }
    named = [{"term": {field: value}} for field, value in terms.items() if value]
    return [between(wanted.start_ms, wanted.end_ms), *named]


def fetch_answer(client: Elasticsearch, command: str) -> Source | None:
    """The judge's answer to one command; None while there is none.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(client, ANSWERS, query=all_of({"term": {"id": command}}), size=1)
    return next(iter(sources(answer)), None)


def fetch_decision(client: Elasticsearch, decision: str) -> Decision | None:
    """A decision by its id; None where it is no longer stored.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(client, DECISIONS, query=all_of({"term": {"id": decision}}), size=1)
    found = next(iter(sources(answer)), None)
    return msgspec.convert(found, Decision, strict=False) if found else None


def fetch_resent(client: Elasticsearch, decision: str, request: str) -> Source | None:
    """The record that answers a request to send a decision again; None while there is none.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(
        client,
        DELIVERIES,
        query=all_of({"term": {"decision": decision}}),
        size=MOST_ENTRIES,
        sort=newest_first(),
    )
    # by hand: the index of a day that began before the field was mapped knows nothing of it
    return next((one for one in sources(answer) if one.get("request") == request), None)
