"""Which endpoints a person means who sends a stored decision again."""

from __future__ import annotations

from collections.abc import Iterable

from alerting.by_hand import check_action
from alerting.resend import History
from alerting.settings import Endpoint
from contracts.errors import ConfigError
from contracts.results import Decision, DeliveryOutcome


def chosen(
    decision: Decision, endpoints: Iterable[Endpoint], name: str, history: History
) -> list[Endpoint]:
    """The endpoint of this name; without a name those that want the decision and never took it.

    Raises:
        ConfigError: there is none, or its preset does not act on such a decision.
    """
    known = list(endpoints)
    if name:
        found = [endpoint for endpoint in known if endpoint.name == name]
        expected = f"expected one of {', '.join(endpoint.name for endpoint in known)}"
    else:
        found = [e for e in known if e.wants(decision) and not _took_it(history, e.name)]
        expected = "every endpoint that wants this decision took it: name one to send it again"
    if not found:
        raise ConfigError("--endpoint", expected, value=name or None)
    for endpoint in found:
        check_action(endpoint, decision.action)
    return found


def _took_it(history: History, endpoint: str) -> bool:
    return any(
        record.endpoint == endpoint and record.outcome is DeliveryOutcome.DELIVERED
        for record in history.attempts
    )
