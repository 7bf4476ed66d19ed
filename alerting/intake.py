"""A message of ``coalmine.decisions`` → a decision and the endpoints that are to hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from alerting.parts import Ledger
from alerting.settings import Endpoint
from contracts.errors import UNREADABLE, InvalidRecord
from contracts.results import Decision

STAGE = "alerting.decode"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands: what is committed once it is settled."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def decode(value: bytes | None) -> Decision:
    """The decision in a message.

    Raises:
        InvalidRecord: empty, not JSON, or not a decision.
    """
    if not value:
        raise InvalidRecord("empty", "expected the JSON of a decision")
    try:
        decision = msgspec.json.decode(value, type=Decision)
    except msgspec.ValidationError as error:
        raise InvalidRecord("not a decision", str(error)) from error
    except UNREADABLE as error:
        raise InvalidRecord("not json", str(error)) from error
    if not decision.id or not decision.service:
        raise InvalidRecord("not a decision", "expected an id and a service")
    return decision


def select_endpoints(
    decision: Decision, endpoints: Sequence[Endpoint], ledger: Ledger
) -> list[Endpoint]:
    """Those that subscribe to this decision and have not settled it before."""
    return [
        endpoint
        for endpoint in endpoints
        if endpoint.wants(decision) and not ledger.is_settled(decision.id, endpoint.name)
    ]
