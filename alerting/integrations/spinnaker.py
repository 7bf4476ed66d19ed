"""What the presets of Spinnaker share: finding the execution that a decision has started."""

from __future__ import annotations

from typing import Any

from alerting.integrations.asking import became, get, listed
from alerting.integrations.conversation import Answer, Ending, HttpRequest, Retry, at, path

_BAD = ("TERMINAL", "CANCELED", "STOPPED", "SKIPPED", "FAILED_CONTINUE")


def executions(application: str, trigger: str) -> HttpRequest:
    """The latest pipeline executions of an application that a kind of trigger has started."""
    query = {"triggerTypes": trigger, "size": "50", "expand": "false"}
    return get(path("applications", application, "executions", "search"), query)


def execution(answer: Answer, decision_id: str) -> Any:  # noqa: ANN401 - any JSON
    """The one that carries the decision's id among its parameters; ``None`` if there is none."""
    for one in listed(answer):
        if at(one, "trigger", "parameters", "coalmine_decision") == decision_id:
            return one
    return None


def state(found: object) -> Ending:
    """What an execution's status means."""
    if found is None:
        return Retry("no execution carries this decision yet")
    return became("execution", at(found, "status"), good=("SUCCEEDED",), bad=_BAD)
