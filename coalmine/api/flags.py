"""``/v1/flags/{service}``: what holds for a service's flags, and word of the next change."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from coalmine.api.parts import TheBoard, check_current
from coalmine.api.replies import PROBLEMS, Refusal, described
from contracts.flags import FlagStates

LONGEST_WAIT_S = 60.0

TYPES: list[type] = [FlagStates]

router = APIRouter(prefix="/v1", tags=["flags"], responses=PROBLEMS)


@router.get(
    "/flags/{service:path}",
    responses={
        200: described(FlagStates, "Every flag of the service, with the tag of this answer."),
        304: {"description": "Nothing changed since the answer with the tag of `If-None-Match`."},
    },
)
async def show_flags(
    service: str,
    request: Request,
    board: TheBoard,
    wait: Annotated[
        float,
        Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for a change."),
    ] = 0,
    if_none_match: Annotated[str, Header(description="The tag of what is known.")] = "",
) -> Response:
    """The flags of a service; one without any has an empty list.

    With `If-None-Match` and `wait` the answer comes with the next change, at once.
    """
    flags = board.flags
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    until = loop.time() + wait

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    with flags.waiting(service, wake):
        while (told := flags.told(service)).etag == if_none_match and until > loop.time():
            changed.clear()
            try:
                await asyncio.wait_for(changed.wait(), until - loop.time())
            except TimeoutError:
                break
            except asyncio.CancelledError as error:  # of a server that ends
                raise Refusal(503, "this API is being stopped: ask again", wait_s=1) from error
    check_current(request)
    headers = {"etag": told.etag, "cache-control": "no-store"}
    if told.etag == if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(told.body, headers=headers, media_type="application/json")
