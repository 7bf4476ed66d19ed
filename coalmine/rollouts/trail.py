"""The audit trail of a service: what people asked, what was decided, who was told, in order."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from contracts.results import Answer, Decision, Delivery


class StepKind(StrEnum):
    """What a step is a record of."""

    ANSWER = "answer"
    """A command, and what became of it."""
    DECISION = "decision"
    DELIVERY = "delivery"
    """One attempt to tell one endpoint."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the trail."""

    time: int
    """Epoch milliseconds of processed time."""
    kind: StepKind
    rollout: str
    phase: str = ""
    what: str
    """The action."""
    outcome: str
    """Of an answer its code, of a decision what was found, of a delivery how it ended."""
    who: str
    """Who asked or decided, or which endpoint was told."""
    reason: str
    """One sentence."""
    record: Answer | Decision | Delivery
    """The record itself, in full."""


_ORDER = list(StepKind)


def trail(
    answers: Iterable[Answer], decisions: Iterable[Decision], deliveries: Iterable[Delivery]
) -> list[Step]:
    """All three in order of time; of the same moment, what was asked comes first."""
    steps = [
        *(_of_answer(answer) for answer in answers),
        *(_of_decision(decision) for decision in decisions),
        *(_of_delivery(delivery) for delivery in deliveries),
    ]
    return sorted(steps, key=lambda step: (step.time, _ORDER.index(step.kind)))


def _of_answer(answer: Answer) -> Step:
    why = f" ({answer.reason})" if answer.reason else ""
    return Step(
        time=answer.time,
        kind=StepKind.ANSWER,
        rollout=answer.rollout,
        phase=answer.phase,
        what=answer.action.value,
        outcome=answer.code.value,
        who=answer.requested_by,
        reason=f"{answer.message}{why}",
        record=answer,
    )


def _of_decision(decision: Decision) -> Step:
    return Step(
        time=decision.processed_time,
        kind=StepKind.DECISION,
        rollout=decision.rollout,
        phase=decision.phase,
        what=decision.action.value,
        outcome=decision.outcome.value,
        who=decision.requested_by or "coalmine",
        reason=decision.reason,
        record=decision,
    )


def _of_delivery(delivery: Delivery) -> Step:
    status = f"http {delivery.status}" if delivery.status else ""
    said = delivery.reason or status
    return Step(
        time=delivery.time,
        kind=StepKind.DELIVERY,
        rollout=delivery.rollout,
        what=delivery.action.value,
        outcome=delivery.outcome.value,
        who=delivery.endpoint,
        reason=f"attempt {delivery.attempt}" + (f": {said}" if said else ""),
        record=delivery,
    )
