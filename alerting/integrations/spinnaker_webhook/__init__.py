"""Spinnaker's webhook trigger: starts every pipeline that listens to a source."""

from __future__ import annotations

from alerting.auth import BASIC, BEARER, NONE
from alerting.integrations import preset, spinnaker
from alerting.integrations.asking import JOB_LIMIT_S, RUNS, post
from alerting.integrations.conversation import (
    Conversation,
    Delivered,
    Refused,
    Retry,
    Text,
    path,
    taken,
)
from alerting.integrations.words import Wording, filled, parameters
from contracts.config import Secret
from contracts.results import Decision


class Options(preset.Options, frozen=True, kw_only=True):
    """Which pipelines are started."""

    source: Wording
    """As the trigger says it."""
    payload_secret: Secret | None = None
    """What the trigger's payload constraint on ``secret`` expects."""
    application: Wording = ""
    """Where to look for the execution, before it is started twice and afterwards."""
    parameters: dict[str, Wording] | None = None


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look whether it was started before, then start it."""
    if options.application:
        known = yield spinnaker.executions(filled(options.application, decision), "webhook")
        if not known.is_ok:
            return taken(known)
        if spinnaker.execution(known, decision.id) is not None:
            return Delivered()
    chosen = parameters(decision, options.parameters)
    document: dict[str, dict[str, str] | Text] = {"parameters": dict(chosen)}
    if options.payload_secret is not None:
        document["secret"] = options.payload_secret
    answer = yield post(path("webhooks", "webhook", filled(options.source, decision)), document)
    if answer.is_ok and answer.json("eventProcessed") is False:
        return Refused("Spinnaker did not process the event")
    return taken(answer)


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the execution succeeded: the webhook is taken even if no pipeline listens."""
    if not options.application:
        return Retry("without application there is nothing to look at")
    answer = yield spinnaker.executions(filled(options.application, decision), "webhook")
    if not answer.is_ok:
        return taken(answer)
    return spinnaker.state(spinnaker.execution(answer, decision.id))


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(NONE, BASIC, BEARER),
    actions=RUNS,
)
