"""What a change of a policy changes: its fields, and what it decides on recorded rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from contracts.config import Seconds
from contracts.policy import Policy
from contracts.results import Action, Decision, DecisionAction, Outcome
from streams.replay import Replayed, replay

_DECIDES = (DecisionAction.ROLLBACK, DecisionAction.PROMOTE)
_ABSENT = object()


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs; ``None`` where one side does not have it."""

    field: str
    """Metrics and phases by their names: ``metrics.error_rate.tolerance``."""
    old: Any
    new: Any


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy makes of a recorded rollout."""

    outcome: Outcome
    action: Action
    decisions: list[str]
    """``<phase>/<action>``, in order."""
    decided: str
    """The first promotion or rollback; empty without one."""
    after_s: float | None
    """Seconds of event time from the start of the rollout to it."""
    guilty_metric: str | None
    reason: str


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded rollout under both policies."""

    name: str
    service: str
    canary: str
    baseline: str
    old: Found
    new: Found

    @property
    def differs(self) -> bool:
        """Whether another thing is decided, or at another time."""
        return self._decided(self.old) != self._decided(self.new)

    @staticmethod
    def _decided(found: Found) -> tuple[Outcome, list[str], float | None]:
        return found.outcome, found.decisions, found.after_s


def changes(old: Policy, new: Policy) -> list[FieldChange]:
    """The fields that differ, in the order of the policy; an order of phases is one as well.

    >>> [found] = changes(Policy(), Policy(tolerance=0.2))
    >>> found.field, found.old, found.new
    ('tolerance', 0.1, 0.2)
    """
    before, after = (dict(_flat("", msgspec.to_builtins(p, enc_hook=_plain))) for p in (old, new))
    return [
        FieldChange(field=field, old=before.get(field), new=after.get(field))
        for field in dict.fromkeys([*before, *after])
        if before.get(field, _ABSENT) != after.get(field, _ABSENT)
    ]


def compare(
    path: Path,
    old: Policy,
    new: Policy,
    *,
    service: str = "",
    canary: str = "",
    baseline: str = "",
) -> Recording:
    """What both policies make of one recorded rollout.

    Args:
        path: a file of events, or a directory whose files are one recording.
        old: policy.
        new: policy.
        service: which service, where the files hold several.
        canary: release under test; by default the one that appears last.
        baseline: release beside it; by default the busiest.

    Raises:
        ConfigError: a file cannot be read, or the service cannot be told.
    """
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    was, will_be = (
        replay(files, policy, service=service, canary=canary, baseline=baseline)
        for policy in (old, new)
    )
    return Recording(
        name=str(path),
        service=was.service,
        canary=was.canary,
        baseline=was.baseline,
        old=_found(was),
        new=_found(will_be),
    )


def _found(replayed: Replayed) -> Found:
    verdict = replayed.verdict
    first = next((d for d in replayed.decisions if d.action in _DECIDES), None)
    opened_at = verdict.opened_at if verdict else 0
    return Found(
        outcome=replayed.outcome,
        action=replayed.action,
        decisions=[_name(decision) for decision in replayed.decisions],
        decided=_name(first) if first else "",
        after_s=(first.time - opened_at) / 1000 if first else None,
        guilty_metric=verdict.guilty_metric if verdict else None,
        reason=verdict.reason if verdict else "",
    )


def _name(decision: Decision) -> str:
    return f"{decision.phase}/{decision.action.value}"


def _flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    """Dotted field to value; entries with a name by it, and in which order they stand."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), below)
        return
    entries = value if isinstance(value, list) else []
    named = [entry for entry in entries if isinstance(entry, Mapping) and "name" in entry]
    if not named:
        yield prefix, value
        return
    yield f"{prefix} (order)", [entry["name"] for entry in named]
    for entry in named:
        below = {name: part for name, part in entry.items() if name != "name"}
        yield from _flat(f"{prefix}.{entry['name']}", below)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Seconds) else str(value)
