"""Slack: a message to the channel of an incoming webhook."""

from __future__ import annotations

from alerting.auth import NONE
from alerting.integrations import preset
from alerting.integrations.asking import post
from alerting.integrations.conversation import Conversation, Delivered, Refused
from contracts.results import Decision, DecisionAction

_HEADER_AT_MOST = 150
_TEXT_AT_MOST = 2900
_TITLES = {
    DecisionAction.ROLLBACK: "Rollback of {canary}",
    DecisionAction.PROMOTE: "Promotion of {canary}",
    DecisionAction.HOLD: "{canary} is held",
    DecisionAction.ROLLBACK_VERIFIED: "{canary} is gone",
    DecisionAction.ABORTED: "The rollout of {canary} was ended",
    DecisionAction.ESCALATE: "{canary} needs people",
    DecisionAction.RETURNED: "{canary} is back",
}


class Options(preset.Options, frozen=True, kw_only=True):
    """Who is called by it."""

    mention: str = ""
    """Put before the reason as it is: ``<!here>``, ``<!subteam^S012>``, ``<@U012>``."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """One message; a lost answer makes a second one, which does no harm."""
    answer = yield post("", message(decision, options))
    if answer.is_ok:
        return Delivered()
    said = answer.text if answer.text.replace("_", "").isalpha() else ""  # for example no_service
    return Refused(f"http {answer.status}" + (f": {said[:60]}" if said else ""))


def message(decision: Decision, options: Options) -> dict[str, object]:
    """What people see, and the text of its notification."""
    title = _TITLES[decision.action].format(canary=decision.canary)
    title = f"{decision.service}: {title}"
    reason = f"{options.mention} {_escaped(decision.reason)}".strip()[:_TEXT_AT_MOST]
    facts = {
        "phase": decision.phase,
        "baseline": decision.baseline,
        "metric": decision.guilty_metric or "",
        "rollout": decision.rollout,
    }
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{_escaped(value)[:_TEXT_AT_MOST]}"}
        for name, value in facts.items()
        if value
    ]
    pages = " · ".join(f"<{url}|{name}>" for name, url in preset.links(decision, options).items())
    more = [{"type": "context", "elements": [{"type": "mrkdwn", "text": pages}]}] if pages else []
    head = {"type": "plain_text", "text": title[:_HEADER_AT_MOST]}
    return {
        "text": _escaped(f"{title}: {decision.reason}")[:_TEXT_AT_MOST],
        "blocks": [
            {"type": "header", "text": head},
            {"type": "section", "text": {"type": "mrkdwn", "text": reason}, "fields": fields},
            *more,
        ],
    }


def _escaped(text: str) -> str:
    """Text in which Slack sees no link and no mention.

    >>> _escaped("a <!channel> & b")
    'a &lt;!channel&gt; &amp; b'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


PRESET = preset.Preset(deliver=deliver, options=Options, auth=(NONE,), acts=False)
