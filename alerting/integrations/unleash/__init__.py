"""Unleash: the kill switch of a feature flag in one environment."""

from __future__ import annotations

from alerting.auth import header
from alerting.integrations import preset
from alerting.integrations.asking import get, listed, post, refused
from alerting.integrations.conversation import Conversation, Delivered, Retry, at, path, taken
from alerting.integrations.words import Wording, filled, named
from contracts.results import Decision, DecisionAction


class Options(preset.Options, frozen=True, kw_only=True):
    """Which flag is switched off, where."""

    project: Wording = "default"
    feature: Wording = "{flag}"
    environment: Wording = "production"


def deliver(decision: Decision, options: Options) -> Conversation:
    """Switch it off; off stays off when it is asked again."""
    answer = yield post(
        f"{_feature(decision, options)}"
        + path("environments", filled(options.environment, decision), "off"),
        {},
    )
    return Delivered() if answer.is_ok else refused(answer, "message")


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether it is off."""
    answer = yield get(_feature(decision, options))
    if not answer.is_ok:
        return taken(answer)
    name = filled(options.environment, decision)
    named_so = (one for one in listed(answer, "environments") if at(one, "name") == name)
    is_off = at(next(named_so, None), "enabled") is False
    return Delivered() if is_off else Retry(f"the flag is on in {name}")


def _feature(decision: Decision, options: Options) -> str:
    project, feature = filled(options.project, decision), named(options.feature, decision)
    return path("api", "admin", "projects", project, "features", feature)


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    options=Options,
    auth=(header("authorization"),),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
