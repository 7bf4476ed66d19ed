"""The app: one board, the modules of routes, and the door before them. No Kafka in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from coalmine.api import flagger, flags, metrics, rollouts, verdicts
from coalmine.api.access import Access, Door
from coalmine.api.board import Board
from coalmine.api.commands import PATIENCE_S, Commander, Send
from coalmine.api.flagger_memory import FlaggerMemory
from coalmine.api.parts import Parts
from coalmine.api.replies import Refusal, describe, refuse
from contracts.clock import Clock
from contracts.errors import Recoverable

_AGAIN_S = 2
_ABOUT = (
    "What Coalmine knows of rollouts, and the way to open and steer them. "
    "Names of errors and fields: docs/api.md."
)
_ROUTES = (rollouts, verdicts, flagger, flags)
"""Modules of routes: each has a ``router``, and ``TYPES`` for the OpenAPI document."""


@dataclass(frozen=True, slots=True)
class Options:
    """Of one API beyond where it listens."""

    access: Access = field(default_factory=Access)
    patience_s: float = PATIENCE_S
    """How long the judge's answer to a command is waited for."""


def build(
    board: Board,
    send: Send,
    is_current: Callable[[], bool],
    clock: Clock,
    options: Options | None = None,
) -> FastAPI:
    """The app over one board; the door that asks for tokens stands before it, see ``guarded``.

    Args:
        board: what it knows.
        send: puts a command on Kafka.
        is_current: whether the board shows what Kafka has.
        clock: stamps commands.
        options: see there.
    """
    chosen = options or Options()
    app = FastAPI(
        title="Coalmine",
        version=version("coalmine"),
        description=_ABOUT,
        docs_url=None,  # its pages load scripts from another host
        redoc_url=None,
    )
    commander = Commander(board, send, clock, chosen.patience_s)
    app.state.parts = Parts(board, commander, is_current, FlaggerMemory())
    for module in _ROUTES:
        app.include_router(module.router)
    describe(app, [as_type for module in _ROUTES for as_type in module.TYPES])
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(Recoverable, _away)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _failed)
    return app


def guarded(app: ASGIApp, access: Access, clock: Clock) -> ASGIApp:
    """The app behind its door, measured."""
    return metrics.measured(Door(app, access, clock))


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refuse(error)


async def _away(_: Request, error: Exception) -> Response:
    return refuse(Refusal(503, str(error), wait_s=_AGAIN_S))


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field_name = ".".join(str(step) for step in first["loc"][1:])
    return refuse(Refusal(422, f"{field_name}: {first['msg']}"))


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refuse(Refusal(error.status_code, f"{error.detail}; /openapi.json lists what there is"))
