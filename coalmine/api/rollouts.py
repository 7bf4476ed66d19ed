"""``/v1/rollouts``: open, look at and steer rollouts."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from coalmine.api.bodies import GoTo, Override, Sent, Start, Steer
from coalmine.api.commands import command_id, status_of
from coalmine.api.parts import Operator, TheBoard, TheCommander
from coalmine.api.replies import PROBLEMS, Problem, Refusal, body_of, described, reply, takes
from coalmine.api.states import State, state_at
from contracts.results import (
    Answer,
    Decision,
    RolloutCommand,
    RolloutCommandAction,
    Verdict,
)


class Rollouts(msgspec.Struct, frozen=True):
    """A list of rollouts, the latest first."""

    rollouts: list[State]


class Rollout(msgspec.Struct, frozen=True):
    """Everything that is known of one rollout."""

    state: State
    verdict: Verdict
    decisions: list[Decision]
    answers: list[Answer]


TYPES: list[type] = [Answer, Start, Steer, GoTo, Override, Sent, Rollouts, Rollout]

router = APIRouter(prefix="/v1", tags=["rollouts"], responses=PROBLEMS)

_MISSING: dict[int | str, dict[str, Any]] = {
    404: described(Problem, "Not known, or forgotten: what is oldest goes first.")
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: described(Answer, "Done, or it was so already."),
    202: described(Sent, "Sent, with `Prefer: respond-async`; the answer comes later."),
    404: described(Answer, "The service has no open rollout."),
    409: described(Answer, "It cannot be asked for now; the code says why."),
    422: described(
        Answer, "The policy has no such phase, or the request is not what it should be."
    ),
    504: described(Problem, "The judge did not answer in time; the command stands."),
}


class _Asking:
    """Who asks, how often it may come, and whether the answer is waited for."""

    def __init__(
        self,
        caller: Operator,
        commander: TheCommander,
        idempotency_key: Annotated[str, Header(description="The same key is one request.")] = "",
        prefer: Annotated[str, Header(description="`respond-async`: do not wait.")] = "",
    ) -> None:
        self._caller = caller
        self._commander = commander
        self._key = idempotency_key
        self._waits = "respond-async" not in prefer.lower()

    async def __call__(
        self, action: RolloutCommandAction, service: str, body: Start | Steer | GoTo | Override
    ) -> Response:
        """Send a command, and reply with its answer."""
        command = RolloutCommand(
            id=command_id(self._key, caller=self._caller.name, service=service),
            time=self._commander.now_ms(),
            service=service,
            action=action,
            canary=body.canary,
            baseline=getattr(body, "baseline", ""),
            flag=body.flag,
            phase=getattr(body, "phase", ""),
            reason=body.reason,
            requested_by=self._caller.name,
        )
        if not self._waits:
            await self._commander.tell(command)
            return reply(Sent(command.id), 202)
        answer = await self._commander.ask(command)
        if answer is None:
            error = "the judge has not answered yet: is a worker running? The command stands"
            raise Refusal(504, error, command=command.id)
        return reply(answer, status_of(answer))


Asking = Annotated[_Asking, Depends()]


@router.post(
    "/rollouts",
    openapi_extra=takes(Start),
    status_code=201,
    responses={**_ANSWERS, 201: described(Answer, "Opened.")},
)
async def start_rollout(
    body: Annotated[Start, Depends(body_of(Start))],
    asking: Asking,
) -> Response:
    """Open a rollout."""
    return await asking(RolloutCommandAction.START, body.service, body)


@router.get("/rollouts", responses={200: described(Rollouts, "The rollouts that fit.")})
async def list_rollouts(
    board: TheBoard,
    service: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    *,
    open: bool = False,  # noqa: A002 - the parameter's name
) -> Response:
    """List rollouts, the latest first."""
    found = (h for h in board.rollouts(service=service) if h.status.is_open or not open)
    states = (state_at(board, heading) for _, heading in zip(range(limit), found, strict=False))
    return reply(Rollouts([state for state in states if state is not None]))


@router.get(
    "/rollouts/{rollout:path}",
    responses={200: described(Rollout, "What is known of it."), **_MISSING},
)
async def show_rollout(rollout: str, board: TheBoard) -> Response:
    """Show one rollout: where it stands, its evidence, its decisions, and what people asked."""
    heading = next((h for h in board.rollouts() if h.rollout == rollout), None)
    state, verdict = state_at(board, heading), board.verdict(rollout)
    if state is None or verdict is None:
        raise Refusal(404, f"no rollout {rollout} is known")
    return reply(Rollout(state, verdict, board.decisions(rollout), board.answers(rollout)))


@router.get(
    "/answers/{command:path}", responses={200: described(Answer, "The answer."), **_MISSING}
)
async def show_answer(command: str, board: TheBoard) -> Response:
    """What the judge made of a command."""
    answer = board.answer(command)
    if answer is None:
        raise Refusal(404, f"no answer to the command {command} is known")
    return reply(answer)


@router.post("/rollouts/{service:path}/phase", openapi_extra=takes(GoTo), responses=_ANSWERS)
async def go_to_phase(
    service: str,
    body: Annotated[GoTo, Depends(body_of(GoTo))],
    asking: Asking,
) -> Response:
    """Take the open rollout of a service to a phase, forward or back."""
    return await asking(RolloutCommandAction.PHASE, service, body)


@router.post("/rollouts/{service:path}/override", openapi_extra=takes(Override), responses=_ANSWERS)
async def override(
    service: str,
    body: Annotated[Override, Depends(body_of(Override))],
    asking: Asking,
) -> Response:
    """Promote or roll back the open rollout of a service, whatever the evidence says."""
    return await asking(RolloutCommandAction(body.action), service, body)


def _steering(action: RolloutCommandAction, sentence: str) -> None:
    """A route that asks for an action which needs no more than a reason."""

    async def steer(
        service: str,
        body: Annotated[Steer, Depends(body_of(Steer))],
        asking: Asking,
    ) -> Response:
        return await asking(action, service, body)

    router.post(
        f"/rollouts/{{service:path}}/{action}",
        openapi_extra=takes(Steer),
        responses=_ANSWERS,
        name=f"{action}_rollout",
        description=sentence,
    )(steer)


_steering(RolloutCommandAction.HOLD, "Stay in this phase until resume; a rollback still fires.")
_steering(RolloutCommandAction.RESUME, "End a hold.")
_steering(RolloutCommandAction.ABORT, "End the open rollout without a decision.")
