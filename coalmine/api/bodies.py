"""What is sent to the API and comes from it; the command knows these without loading a server."""

from __future__ import annotations

from typing import Annotated

import msgspec

from contracts.results import Decision, Delivery, Verdict

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=2_000)]


class Start(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Open a rollout: from now on the canary is judged beside the baseline."""

    service: Name
    canary: Name
    """Release under test (``service.version``); with a ``flag``, its variant."""
    baseline: Text = ""
    """Release beside it; the busiest one where none is named."""
    flag: Text = ""
    phase: Text = ""
    """Where to begin; at the first one where none is named."""
    reason: Text = ""


class Steer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Hold, resume or abort the open rollout of a service."""

    reason: Text = ""
    canary: Text = ""
    flag: Text = ""


class GoTo(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Go to a phase, forward or back."""

    phase: Name
    reason: Text = ""
    canary: Text = ""
    flag: Text = ""


class Override(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Promote or roll back, whatever the evidence says; the reason is kept."""

    action: Annotated[str, msgspec.Meta(pattern="^(promote|rollback)$")]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000, pattern=r"\S")]
    canary: Text = ""
    flag: Text = ""


class Sent(msgspec.Struct, frozen=True):
    """A command that was sent and whose answer nobody waits for: ``GET /v1/answers/{command}``."""

    command: str


class Explanation(msgspec.Struct, frozen=True):
    """A decision, the rollout's last verdict, and every attempt to tell somebody."""

    decision: Decision
    verdict: Verdict | None
    deliveries: list[Delivery]
