"""Every word that a decision or delivery can carry has its label on the pages."""

from __future__ import annotations

from contracts.results import DecisionAction, DeliveryOutcome
from dashboard import words
from dashboard.components import rollout, tables, verdict
from dashboard.queries.deliveries import deliveries_frame
from dashboard.queries.frames import records


def test_every_outcome_of_a_delivery_has_a_label() -> None:
    """A new outcome would end the page's callback with a KeyError."""
    assert set(words.DELIVERIES) == set(DeliveryOutcome)


def test_every_decision_has_a_label_a_step_and_a_mark() -> None:
    """In the table, in the timeline, and on the time axes."""
    actions = set(DecisionAction)
    assert set(words.ACTIONS) == set(verdict._DECISIONS) == set(rollout._MARKS) == actions


def test_a_delivery_says_what_came_back_and_whether_its_endpoint_is_only_probed() -> None:
    """Status, named reason, time taken, and the state of the circuit after it."""
    base = {"id": "x", "@timestamp": 1, "action": "rollback", "endpoint": "e", "url": "u"}
    documents = [
        {**base, "attempt": 1, "outcome": "retrying", "reason": "timeout", "duration_ms": 1000.0},
        {
            **base, "attempt": 2, "outcome": "retrying", "status": 503, "reason": "http 503",
            "duration_ms": 12.0, "is_circuit_open": True,
        },
    ]  # fmt: skip
    first, second = records(deliveries_frame(documents))
    assert tables._answer(first) == "timeout · 1 s"
    assert tables._answer(second) == "HTTP 503 · 12 ms · only probed"
