"""``/v1/flagger``: the hooks that Flagger calls. It reads the status alone, 200 to 202 is yes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response

from coalmine.api.conclusion import Result
from coalmine.api.flagger_memory import FlaggerMemory
from coalmine.api.parts import TheBoard, TheFlagger
from coalmine.api.replies import PROBLEMS, body_of, described, reply, takes
from coalmine.api.states import State, state_at, unknown_state


class Hook(msgspec.Struct, kw_only=True):
    """What Flagger sends; ``metadata`` is what the canary's specification says there."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    namespace: str = ""
    phase: str = ""
    checksum: str = ""
    """Changes with each revision."""
    metadata: dict[str, str] = {}
    """``service`` where it has another name, ``release`` where it is known."""


TYPES: list[type] = [Hook]

router = APIRouter(prefix="/v1/flagger", tags=["flagger"], responses=PROBLEMS)


def _hook(name: str, is_yes: Callable[[State], bool], sentence: str) -> None:
    async def answer(
        hook: Annotated[Hook, Depends(body_of(Hook))], board: TheBoard, memory: TheFlagger
    ) -> Response:
        state = _state(board, memory, hook)
        return reply(state, 200 if is_yes(state) else 403)

    router.post(
        f"/{name}",
        openapi_extra=takes(Hook),
        responses={200: described(State, "Yes."), 403: described(State, "No.")},
        name=f"flagger_{name}",
        description=sentence,
    )(answer)


_hook(
    "rollback",
    lambda state: state.result is Result.REGRESSED,
    "Yes means roll back: the release has regressed.",
)
_hook(
    "confirm-promotion",
    lambda state: state.result is Result.HEALTHY,
    "Yes means promote: the release has been promoted here.",
)
_hook(
    "rollout",
    lambda state: state.result is not Result.REGRESSED,
    "Yes means go on: the release has not regressed.",
)


def _state(board: TheBoard, memory: FlaggerMemory, hook: Hook) -> State:
    service = hook.metadata.get("service") or hook.name
    release = hook.metadata.get("release", "")
    if release:
        heading = next(iter(board.rollouts(service=service, canary=release, flag="")), None)
    else:
        heading = memory.rollout(board, service, f"{hook.namespace}/{hook.name}/{hook.checksum}")
    return state_at(board, heading) or unknown_state(service, release)
