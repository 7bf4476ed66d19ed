"""Every word that a decision or delivery can carry has its label on the pages."""

from __future__ import annotations

from contracts.results import DecisionAction, DeliveryOutcome
from dashboard.components import rollout, tables, verdict


def test_every_outcome_of_a_delivery_has_a_label() -> None:
    """A new outcome would end the page's callback with a KeyError."""
    assert set(tables._DELIVERY) == set(DeliveryOutcome)


def test_every_decision_has_a_label_a_step_and_a_mark() -> None:
    """In the table, in the timeline, and on the time axes."""
    actions = set(DecisionAction)
    assert set(tables._ACTIONS) == set(verdict._DECISIONS) == set(rollout._MARKS) == actions
