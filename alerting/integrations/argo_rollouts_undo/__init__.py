"""Argo Rollouts: a Rollout gets the baseline's template again (``kubectl argo rollouts undo``)."""

from __future__ import annotations

from alerting.auth import BEARER
from alerting.integrations import kubernetes
from alerting.integrations.argo_rollouts_abort import GROUP, PLURAL
from alerting.integrations.conversation import (
    Conversation,
    Delivered,
    HttpRequest,
    Refused,
    Retry,
    at,
    taken,
)
from alerting.integrations.kubernetes import Options
from alerting.integrations.preset import Preset
from contracts.results import Decision, DecisionAction

_ROLLOUT = kubernetes.Kind(
    group=GROUP,
    plural=PLURAL,
    hash_label="rollouts-pod-template-hash",
    revision="rollout.argoproj.io/revision",
)


def deliver(decision: Decision, options: Options) -> Conversation:
    """See ``kubernetes.undo``; a rollout whose template stands elsewhere is refused by it."""
    return (yield from kubernetes.undo(_ROLLOUT, decision, options))


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the rollout is healthy with the baseline's template."""
    read = yield HttpRequest(path=kubernetes.object_path(_ROLLOUT, options, decision))
    if not read.is_ok:
        return taken(read)
    found = read.json()
    if not kubernetes.runs(at(found, "spec", "template"), decision.baseline, options):
        return Refused("somebody changed the template")
    phase = at(found, "status", "phase")
    is_seen = str(at(found, "status", "observedGeneration")) == str(
        at(found, "metadata", "generation")
    )
    return Delivered() if is_seen and phase == "Healthy" else Retry(f"the rollout is {phase}")


PRESET = Preset(
    deliver=deliver,
    verify=verify,
    options=Options,
    auth=(BEARER,),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
