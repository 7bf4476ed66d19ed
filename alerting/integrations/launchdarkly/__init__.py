"""LaunchDarkly: the kill switch of a feature flag in one environment, by semantic patch."""

from __future__ import annotations

from alerting.auth import header
from alerting.integrations import preset
from alerting.integrations.asking import get, post, refused
from alerting.integrations.conversation import Conversation, Delivered, Retry, path, taken
from alerting.integrations.words import Wording, filled, named
from contracts.results import Decision, DecisionAction

_SEMANTIC = {"content-type": "application/json; domain-model=launchdarkly.semanticpatch"}
"""A plain JSON type would make it a patch of another kind."""


class Options(preset.Options, frozen=True, kw_only=True):
    """Which flag is switched off, where."""

    project: Wording
    flag: Wording = "{flag}"
    environment: Wording = "production"


def deliver(decision: Decision, options: Options) -> Conversation:
    """Switch it off; off stays off when it is asked again."""
    patch = {
        "environmentKey": filled(options.environment, decision),
        "comment": f"Coalmine: {decision.reason} ({decision.id})",
        "instructions": [{"kind": "turnFlagOff"}],
    }
    answer = yield post(_flag(decision, options), patch, _SEMANTIC, method="PATCH")
    return Delivered() if answer.is_ok else refused(answer, "message")


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether it is off."""
    environment = filled(options.environment, decision)
    answer = yield get(_flag(decision, options), {"env": environment})
    if not answer.is_ok:
        return taken(answer)
    is_off = answer.json("environments", environment, "on") is False
    return Delivered() if is_off else Retry(f"the flag is on in {environment}")


def _flag(decision: Decision, options: Options) -> str:
    project, flag = filled(options.project, decision), named(options.flag, decision)
    return path("api", "v2", "flags", project, flag)


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    options=Options,
    auth=(header("authorization"),),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
