"""``/v1/verdict`` and ``/v1/decisions``: what was found, for machines and for people."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from coalmine.api.bodies import Explanation
from coalmine.api.parts import TheBoard
from coalmine.api.replies import PROBLEMS, Problem, Refusal, described, reply
from coalmine.api.states import State, state_at, unknown_state

TYPES: list[type] = [State, Explanation]

router = APIRouter(prefix="/v1", tags=["verdicts"], responses=PROBLEMS)


@router.get("/verdict", responses={200: described(State, "Where its latest rollout stands.")})
async def show_verdict(
    board: TheBoard,
    service: Annotated[str, Query(min_length=1)],
    release: Annotated[str, Query(min_length=1, description="With a flag, its variant.")],
    phase: Annotated[str, Query(description="Healthy once this phase has been left.")] = "",
    flag: str = "",
    rollout: Annotated[str, Query(description="Only this one, where the id is known.")] = "",
) -> Response:
    """Where the latest rollout of a release stands, as Argo Rollouts' web metric reads it.

    A release without a rollout is no error: its result is `no_data`, never a regression and never
    health.
    """
    found = board.rollouts(service=service, canary=release, flag=flag)
    heading = next((h for h in found if not rollout or h.rollout == rollout), None)
    return reply(state_at(board, heading, phase) or unknown_state(service, release, flag))


@router.get(
    "/decisions/{decision:path}",
    responses={
        200: described(Explanation, "The decision, with what led to it and what became of it."),
        404: described(Problem, "Not known, or forgotten: what is oldest goes first."),
    },
)
async def show_decision(decision: str, board: TheBoard) -> Response:
    """One decision with the rollout's last verdict and the attempts to deliver it."""
    found = board.decision(decision)
    if found is None:
        raise Refusal(404, f"no decision {decision} is known")
    return reply(Explanation(found, board.verdict(found.rollout), board.deliveries(decision)))
