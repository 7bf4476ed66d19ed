"""Argo Rollouts: aborts the rollout, so that the stable version gets all traffic at once."""

from __future__ import annotations

from alerting.auth import BEARER
from alerting.integrations import preset
from alerting.integrations.conversation import (
    Conversation,
    Delivered,
    HttpRequest,
    Retry,
    json_body,
    path,
    taken,
)
from alerting.integrations.kubernetes import Name
from alerting.integrations.preset import Preset
from contracts.results import Decision, DecisionAction

GROUP = "/apis/argoproj.io/v1alpha1"
PLURAL = "rollouts"


class Options(preset.Options, frozen=True, kw_only=True):
    """Which Rollout."""

    namespace: Name
    name: str = ""
    """By default the service's."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """``status.abort``; on old versions of the controller the status is no resource of its own."""
    where = _path(decision, options)
    for suffix in ("/status", ""):
        answer = yield HttpRequest(
            method="PATCH",
            path=where + suffix,
            headers={"content-type": "application/merge-patch+json"},
            body=json_body({"status": {"abort": True}}),
        )
        if answer.status != 404:
            break
    return taken(answer)


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the controller took it on: it says so by the phase ``Degraded``."""
    answer = yield HttpRequest(path=_path(decision, options))
    if not answer.is_ok:
        return taken(answer)
    status = answer.json("status") or {}
    if status.get("abort") and status.get("phase") == "Degraded":
        return Delivered()
    return Retry(f"the rollout is {status.get('phase')}")


def _path(decision: Decision, options: Options) -> str:
    name = options.name or decision.service
    return GROUP + path("namespaces", options.namespace, PLURAL, name)


PRESET = Preset(
    deliver=deliver,
    verify=verify,
    options=Options,
    auth=(BEARER,),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
