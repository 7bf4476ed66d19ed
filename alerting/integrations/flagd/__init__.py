"""flagd: its flags file, replaced at once. A rollback is a kill switch, a promotion a new share."""

from __future__ import annotations

from enum import StrEnum
from math import gcd
from typing import Any

import msgspec

from alerting.auth import NONE
from alerting.integrations import preset
from alerting.integrations.conversation import (
    Body,
    Conversation,
    ReadFile,
    Refused,
    ReplaceFile,
    UnusableError,
    at,
    taken,
)
from alerting.integrations.preset import Preset
from alerting.integrations.weights import ACTIONS, share_of
from contracts.results import Decision, DecisionAction

_PARTS = 10_000


class Stop(StrEnum):
    """What a rollback does to the flag."""

    DISABLE = "disable"
    """State ``DISABLED``: services get the default in their own code."""
    VARIANT = "variant"
    """Everybody gets the baseline's variant, and targeting rules go."""


class Options(preset.Options, frozen=True, kw_only=True):
    """Which flag; the decision knows it where the rollout is that of a flag."""

    flag: str = ""
    canary: str = ""
    """The variants; by default the decision's canary and baseline."""
    baseline: str = ""
    stop: Stop = Stop.DISABLE


def deliver(decision: Decision, options: Options) -> Conversation:
    """Read, change one flag, replace; what stands there already is written again, to no harm."""
    key = options.flag or decision.flag
    if not key:
        raise UnusableError("neither the decision nor the options name a flag")
    read = yield ReadFile()
    if not read.is_ok:
        return Refused("the file is not there")
    document = read.json()
    flag = at(document, "flags", key)
    if not isinstance(flag, dict):
        return Refused(f"the file has no flag {key}")
    changed = {**document, "flags": {**document["flags"], key: _changed(flag, decision, options)}}
    content = msgspec.json.format(msgspec.json.encode(changed), indent=2) + b"\n"
    return taken((yield ReplaceFile(Body(content, content.decode()))))


def _changed(flag: dict[str, Any], decision: Decision, options: Options) -> dict[str, Any]:
    canary, baseline = options.canary or decision.canary, options.baseline or decision.baseline
    if decision.action is DecisionAction.ROLLBACK and options.stop is Stop.DISABLE:
        return {**flag, "state": "DISABLED"}
    for variant in (canary, baseline):
        if variant not in flag.get("variants", {}):
            raise UnusableError(f"the flag has no variant {variant}")
    bare = {name: value for name, value in flag.items() if name != "targeting"}
    if decision.action is DecisionAction.ROLLBACK:
        return {**bare, "state": "ENABLED", "defaultVariant": baseline}
    rules = flag.get("targeting") or {}
    if rules and set(rules) != {"fractional"}:
        raise UnusableError("the flag has targeting rules of its own: a share would replace them")
    parts = round(share_of(decision) * _PARTS)
    if parts in {0, _PARTS}:
        return {**bare, "state": "ENABLED", "defaultVariant": canary if parts else baseline}
    scale = gcd(parts, _PARTS)
    shares = [[canary, parts // scale], [baseline, (_PARTS - parts) // scale]]
    return {**bare, "state": "ENABLED", "targeting": {"fractional": shares}}


PRESET = Preset(deliver=deliver, options=Options, auth=(NONE,), actions=ACTIONS, schemes=("file",))
