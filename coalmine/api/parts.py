"""What the routes stand on, and how they get at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from coalmine.api.board import Board
from coalmine.api.commands import Commander
from coalmine.api.flagger_memory import FlaggerMemory
from coalmine.api.replies import Refusal
from coalmine.api.tokens import Caller, Role

_AGAIN_S = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """Of one API; ``app.state.parts``."""

    board: Board
    commander: Commander
    is_current: Callable[[], bool]
    """Whether the board shows what Kafka has: no answer is better than one of yesterday."""
    flagger: FlaggerMemory


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def check_current(request: Request) -> None:
    """Refuse to answer out of a board that does not show what Kafka has."""
    if not _parts(request).is_current():
        raise Refusal(503, "the results of Kafka are not read yet: try again", wait_s=_AGAIN_S)


def _board(request: Request) -> Board:
    check_current(request)
    return _parts(request).board


def _commander(request: Request) -> Commander:
    _board(request)
    return _parts(request).commander


def _flagger(request: Request) -> FlaggerMemory:
    return _parts(request).flagger


def _operator(request: Request) -> Caller:
    caller: Caller = request.state.caller
    if caller.role is not Role.OPERATE:
        raise Refusal(403, f"the token {caller.name} may read only: this needs the role operate")
    return caller


TheBoard = Annotated[Board, Depends(_board)]
"""The board, once it is current."""
TheCommander = Annotated[Commander, Depends(_commander)]
TheFlagger = Annotated[FlaggerMemory, Depends(_flagger)]
Operator = Annotated[Caller, Depends(_operator)]
"""Who asks, allowed to steer."""
