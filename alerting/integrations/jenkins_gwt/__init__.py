"""Jenkins with the Generic Webhook Trigger plugin: the decision starts the jobs of a token."""

from __future__ import annotations

from alerting.auth import BEARER, header
from alerting.integrations import preset
from alerting.integrations.asking import RUNS, post, refused
from alerting.integrations.conversation import Answer, Conversation, Delivered, Ending, Refused, at
from alerting.integrations.words import words
from contracts.results import Decision


def deliver(decision: Decision, _: preset.Options) -> Conversation:
    """One request; the plugin answers which jobs it has triggered."""
    answer = yield post("/generic-webhook-trigger/invoke", {"coalmine": words(decision)})
    return _ending(answer)


def _ending(answer: Answer) -> Ending:
    if not answer.is_ok:
        return refused(answer, "message")
    if not answer.body:  # every job that was found has a silent response
        return Delivered()
    # releases of the plugin before 1.80 call them triggerResults
    jobs = answer.json("jobs") or answer.json("triggerResults")
    results = jobs.values() if isinstance(jobs, dict) else []
    if any(at(result, "triggered") is True for result in results):
        return Delivered()
    return Refused("no job was triggered: look at their tokens and filters")


PRESET = preset.Preset(deliver=deliver, auth=(BEARER, header("token", auth="header")), actions=RUNS)
