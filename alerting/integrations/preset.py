"""What a preset offers; ``docs/webhooks.md`` tells how to write one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec

from alerting.auth import SIGNATURE, Auth
from alerting.integrations.conversation import Conversation
from contracts.results import Decision, DecisionAction

Say: TypeAlias = Callable[[Decision, Any], Conversation]
"""Begins a conversation about a decision, with the preset's own options."""


class Options(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a user says under ``options``; a preset with any has a subclass.

    A field of type ``contracts.config.Secret`` is written as ``${env:…}`` or ``${file:…}``. A check
    beyond types goes into ``__post_init__``, as a ``ValueError`` whose text says what is expected.
    """

    dashboard_url: str = ""
    """The file's own ``dashboard_url``, unless the endpoint has another; see ``links``."""


def links(decision: Decision, options: Options) -> dict[str, str]:
    """Pages of the dashboard about a decision: ``rollout`` and, if there is one, ``crash``.

    Empty where nobody said where the dashboard is.
    """
    if not options.dashboard_url:
        return {}
    service = f"{options.dashboard_url}/s/{quote(decision.service, safe='')}"
    found = {"rollout": f"{service}/r/{quote(decision.canary, safe='')}"}
    kind, _, group = (
        decision.guilty_group.group.partition("/") if decision.guilty_group else ("",) * 3
    )
    if kind == "crash" and group:
        found["crash"] = f"{service}/crashes/{quote(group, safe='')}"
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one tool is told.

    Args:
        deliver: the conversation that brings the decision about; equal decisions and options give
            equal requests, and asked twice it does no harm.
        verify: the conversation that looks whether it came about.
        options: what ``deliver`` needs to know from the endpoints file.
        auth: the ways to authenticate that the tool knows; the first is the default.
        actions: what the tool can do; an endpoint may ask for these only.
        schemes: of the endpoint's ``url``.
        acts: whether the tool changes something by it; not so where people are told, or a receiver
            that judges for itself. ``coalmine webhook test`` sends a sample only to these.
        verify_within_s: how long ``verify`` is tried unless the endpoint says otherwise.
    """

    deliver: Say
    verify: Say | None = None
    options: type[Options] = Options
    auth: tuple[Auth, ...] = (SIGNATURE,)
    actions: frozenset[DecisionAction] = frozenset(DecisionAction)
    schemes: tuple[str, ...] = ("http", "https")
    acts: bool = True
    verify_within_s: float = 60.0

    @property
    def default_actions(self) -> frozenset[DecisionAction]:
        """What an endpoint hears of that names none: rollbacks and calls for people."""
        wanted = {DecisionAction.ROLLBACK, DecisionAction.ESCALATE}
        return self.actions & wanted or self.actions
