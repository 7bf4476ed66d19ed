"""Kubernetes: a Deployment gets the baseline's template again, as ``kubectl rollout undo`` does."""

from __future__ import annotations

from alerting.auth import BEARER
from alerting.integrations import kubernetes
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

_PREFIX = "deployment.kubernetes.io/"
_DEPLOYMENT = kubernetes.Kind(
    group="/apis/apps/v1",
    plural="deployments",
    hash_label="pod-template-hash",
    revision=f"{_PREFIX}revision",
    kept=frozenset(
        {
            "kubectl.kubernetes.io/last-applied-configuration",
            f"{_PREFIX}revision",
            f"{_PREFIX}revision-history",
            f"{_PREFIX}desired-replicas",
            f"{_PREFIX}max-replicas",
            "deprecated.deployment.rollback.to",
        }
    ),
)


def deliver(decision: Decision, options: Options) -> Conversation:
    """See ``kubernetes.undo``."""
    return (yield from kubernetes.undo(_DEPLOYMENT, decision, options))


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether all pods are of the baseline: what ``kubectl rollout status`` waits for."""
    read = yield HttpRequest(path=kubernetes.object_path(_DEPLOYMENT, options, decision))
    if not read.is_ok:
        return taken(read)
    found, status = read.json(), read.json("status") or {}
    if not kubernetes.runs(at(found, "spec", "template"), decision.baseline, options):
        return Refused("somebody changed the template")
    wanted = at(found, "spec", "replicas")
    is_seen = status.get("observedGeneration", 0) >= (at(found, "metadata", "generation") or 0)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    is_done = updated == wanted == status.get("replicas", 0) and available == wanted
    if is_seen and is_done:
        return Delivered()
    return Retry(f"{updated} of {wanted} pods are replaced, {available} are available")


PRESET = Preset(
    deliver=deliver,
    verify=verify,
    options=Options,
    auth=(BEARER,),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
