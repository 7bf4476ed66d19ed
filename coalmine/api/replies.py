"""What the API says and reads: JSON of msgspec types, described in its OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from contracts.errors import UNREADABLE

T = TypeVar("T")

_JSON = "application/json"
_REFERENCE = "#/components/schemas/{name}"
_MOST_BODY_BYTES = 65_536


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not done."""

    error: str
    """One sentence for people."""
    command: str = ""
    """Id of the command that was sent and not answered yet."""


class Refusal(Exception):
    """Ends a request with a status and a ``Problem``."""

    def __init__(self, status: int, error: str, *, command: str = "", wait_s: int = 0) -> None:
        super().__init__(error)
        self.status = status
        self.problem = Problem(error, command)
        self.wait_s = wait_s


def reply(body: object, status: int = 200, *, wait_s: int = 0) -> Response:
    """A JSON response; ``wait_s`` tells when to ask again."""
    headers = {"cache-control": "no-store"}
    if wait_s:
        headers["retry-after"] = str(wait_s)
    return Response(msgspec.json.encode(body), status, headers, _JSON)


def refuse(refusal: Refusal) -> Response:
    """The response of a refusal."""
    return reply(refusal.problem, refusal.status, wait_s=refusal.wait_s)


def body_of(as_type: type[T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency that reads a JSON body into ``as_type``, or refuses it with one sentence."""
    decoder = msgspec.json.Decoder(as_type)

    async def read(request: Request) -> T:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != _JSON:
            # a form that another site sends from a browser is none
            raise Refusal(415, f"content-type: expected {_JSON}, found {media_type!r}")
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BODY_BYTES:
                raise Refusal(413, f"the body is longer than {_MOST_BODY_BYTES} bytes")
        try:
            return decoder.decode(body)
        except UNREADABLE as error:
            raise Refusal(422, f"body: {error}") from error

    return read


def _reference(as_type: type) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=as_type.__name__)}


def described(as_type: type, text: str) -> dict[str, Any]:
    """One entry of a route's ``responses``."""
    return {"description": text, "content": {_JSON: {"schema": _reference(as_type)}}}


def takes(as_type: type) -> dict[str, Any]:
    """A route's ``openapi_extra``: the body that it reads."""
    content = {_JSON: {"schema": _reference(as_type)}}
    return {"requestBody": {"required": True, "content": content}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: described(Problem, "No token, or one that is not known."),
    403: described(Problem, "The token's role does not allow it."),
    422: described(Problem, "The request is not what it should be."),
    429: described(Problem, "Too many wrong tokens from this address."),
    503: described(Problem, "The results of Kafka are not read, or Kafka does not answer."),
}
"""What every route may answer."""


def describe(app: FastAPI, types: list[type]) -> None:
    """Let the app's OpenAPI document hold these types, and how one shows a token."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            _, schemas = msgspec.json.schema_components([Problem, *types], ref_template=_REFERENCE)
            components = made.setdefault("components", {})
            components["schemas"] = schemas
            components["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            }
            made["security"] = [{"bearer": []}, {"basic": []}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to change it
