"""One pipeline of Spinnaker, started through Gate with parameters."""

from __future__ import annotations

from alerting.auth import BASIC, BEARER
from alerting.integrations import preset, spinnaker
from alerting.integrations.asking import JOB_LIMIT_S, RUNS, post, refused
from alerting.integrations.conversation import Conversation, Delivered, path, taken
from alerting.integrations.words import Wording, filled, parameters
from contracts.results import Decision


class Options(preset.Options, frozen=True, kw_only=True):
    """Which pipeline is started, and with what."""

    application: Wording = "{service}"
    pipeline: Wording
    """Its name or id."""
    parameters: dict[str, Wording] | None = None


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look whether it was started before, then start it."""
    application = filled(options.application, decision)
    known = yield spinnaker.executions(application, "manual")
    if not known.is_ok:
        return taken(known)
    if spinnaker.execution(known, decision.id) is not None:
        return Delivered()
    chosen = parameters(decision, options.parameters)
    answer = yield post(
        path("pipelines", "v2", application, filled(options.pipeline, decision)),
        {"type": "manual", "parameters": chosen},
    )
    return Delivered() if answer.is_ok else refused(answer, "message")


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the execution succeeded."""
    answer = yield spinnaker.executions(filled(options.application, decision), "manual")
    if not answer.is_ok:
        return taken(answer)
    return spinnaker.state(spinnaker.execution(answer, decision.id))


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(BASIC, BEARER),
    actions=RUNS,
)
