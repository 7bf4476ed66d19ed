"""Event-Driven Ansible: the decision as an event for the webhook source of a rulebook."""

from __future__ import annotations

from alerting.auth import BEARER, HUB_SIGNATURE, NONE
from alerting.integrations import preset
from alerting.integrations.asking import post
from alerting.integrations.conversation import Conversation, taken
from alerting.integrations.words import words
from contracts.results import Decision


def deliver(decision: Decision, _: preset.Options) -> Conversation:
    """One request; what the rules make of it is not answered."""
    answer = yield post("", {"coalmine": words(decision)})
    return taken(answer)


PRESET = preset.Preset(deliver=deliver, auth=(BEARER, HUB_SIGNATURE, NONE))
