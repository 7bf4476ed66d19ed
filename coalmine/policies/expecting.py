"""What came of a test beside what it expects: every difference, by the field that it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from coalmine.policies.cases import Expected
from coalmine.policies.trial import Trial
from coalmine.policies.webhooks import Told
from coalmine.policies.words import spoken
from contracts.results import Decision, DecisionAction, Verdict

_NOTHING = "nothing"
_DECIDES = (DecisionAction.ROLLBACK, DecisionAction.PROMOTE)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that came otherwise."""

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, found {self.found}"


def differences(
    expected: Expected, found: Trial, webhooks: Mapping[str, Sequence[Told]]
) -> list[Difference]:
    """Every difference; none where the test holds.

    Args:
        expected: what is not said is not looked at.
        found: what came of it.
        webhooks: by endpoint, in order.
    """
    return [
        *_of_verdict(expected, found.verdict),
        *_of_decisions(expected, found),
        *_of_lists(expected, found),
        *(
            difference
            for endpoint, body in expected.webhooks.items()
            for difference in _of_webhook(endpoint, body, webhooks.get(endpoint, []))
        ),
    ]


def _of_verdict(expected: Expected, verdict: Verdict | None) -> Iterator[Difference]:
    for name in ("outcome", "action", "status", "phase", "guilty_metric"):
        wanted = getattr(expected, name)
        found = getattr(verdict, name, None)
        if wanted is not None and wanted != found:
            yield Difference(field=name, expected=str(wanted), found=str(found or _NOTHING))
    for name in ("held_because", "reason"):
        part = getattr(expected, name)
        sentence = getattr(verdict, name, "")
        if part is not None and (part not in sentence or (not part and sentence)):
            yield Difference(field=name, expected=repr(part), found=repr(sentence))
    group = verdict.guilty_group if verdict else None
    if expected.guilty_group is not None and (
        group is None or expected.guilty_group not in (group.name, group.group)
    ):
        named = group.name if group else _NOTHING
        yield Difference(field="guilty_group", expected=expected.guilty_group, found=named)


def _of_decisions(expected: Expected, found: Trial) -> Iterator[Difference]:
    first = next((d for d in found.decisions if d.action in _DECIDES), None)
    after_s = (first.time - found.started_at) / 1000 if first else None
    named = f"{_name(first)} after {spoken(after_s)}" if first and after_s else "no decision"
    limit = expected.within
    if limit is not None and (after_s is None or after_s > limit):
        yield Difference(field="within", expected=spoken(limit), found=named)
    limit = expected.not_before
    if limit is not None and after_s is not None and after_s < limit:
        yield Difference(field="not_before", expected=spoken(limit), found=named)


def _of_lists(expected: Expected, found: Trial) -> Iterator[Difference]:
    if expected.decisions is not None:
        pairs = zip(expected.decisions, found.decisions, strict=False)
        is_same = len(expected.decisions) == len(found.decisions) and all(
            wanted in _names(decision) for wanted, decision in pairs
        )
        if not is_same:
            names = [_name(decision) for decision in found.decisions]
            yield Difference(
                field="decisions", expected=_list(expected.decisions), found=_list(names)
            )
    for unwanted in expected.never:
        made = next((_name(d) for d in found.decisions if unwanted in _names(d)), None)
        if made:
            yield Difference(field="never", expected=f"no {unwanted}", found=made)
    if expected.answers is not None:
        codes = [answer.code.value for answer in found.answers]
        if codes != expected.answers:
            yield Difference(field="answers", expected=_list(expected.answers), found=_list(codes))


def _of_webhook(
    endpoint: str, body: Mapping[str, Any], sent: Sequence[Told]
) -> Iterator[Difference]:
    field = f"webhooks.{endpoint}"
    if not sent:
        yield Difference(field=field, expected="a request", found=_NOTHING)
        return
    last = sent[-1]
    is_json = isinstance(last.body, Mapping)
    found = last.body if is_json else {"body": last.body, "requests": last.requests}
    yield from _missing(field, body, found)


def _missing(field: str, wanted: object, found: object) -> Iterator[Difference]:
    """Where ``found`` lacks what is wanted: mappings may hold more, all else must be equal."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for name, value in wanted.items():
            if name in found:
                yield from _missing(f"{field}.{name}", value, found[name])
            else:
                yield Difference(field=f"{field}.{name}", expected=_json(value), found=_NOTHING)
    elif wanted != found:
        yield Difference(field=field, expected=_json(wanted), found=_json(found))


def _name(decision: Decision) -> str:
    return f"{decision.phase}/{decision.action.value}"


def _names(decision: Decision) -> tuple[str, str]:
    return _name(decision), decision.action.value


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _json(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
