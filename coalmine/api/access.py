"""Who may ask: the door before every route."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from coalmine.api import metrics
from coalmine.api.replies import Refusal, refuse
from coalmine.api.tokens import Caller, Role, Tokens
from contracts.clock import Clock
from contracts.errors import ConfigError
from dashboard.access.attempts import MOST_OF_AN_ADDRESS, WITHIN_S, Attempts
from dashboard.access.settings import Place

log = structlog.get_logger()

_SOURCE = "coalmine api"
_EVERYBODY = Caller("anybody", Role.OPERATE)
_LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
_PUBLIC_PATHS = ("/openapi.json",)
"""What everybody can read in our source code, too."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask: those with a token of the file, or where it is open, everybody on loopback."""

    tokens: Path | None = None
    is_open: bool = False


def check_access(place: Place, access: Access) -> None:
    """Refuse what would let strangers steer rollouts.

    Raises:
        ConfigError: neither tokens nor ``--open``, both, or ``--open`` beyond loopback.
    """
    if access.tokens is not None and access.is_open:
        raise ConfigError(_SOURCE, "--tokens and --open exclude each other")
    if access.tokens is None and not access.is_open:
        expected = "give --tokens FILE (coalmine api tokens add), or say --open on this machine"
        raise ConfigError(_SOURCE, expected)
    if access.is_open and not place.is_loopback:
        expected = f"whoever reaches {place.host} could roll back: --open is for loopback only"
        raise ConfigError(_SOURCE, expected)


class Door:
    """ASGI middleware: lets callers in by their token, and tells the routes who asks.

    A token comes as ``Authorization: Bearer``, or as the password of ``Basic``: some tools can
    only be given an address, ``https://any:TOKEN@host/``. A wrong one is counted by address, and
    beyond ten in five minutes answered with 429; a right one is let in all the same, because an
    address may stand for a whole network, and tokens are too long to be found by trying.

    Args:
        app: what is behind it.
        access: see there.
        clock: only its monotonic reading is used.
    """

    def __init__(self, app: ASGIApp, access: Access, clock: Clock) -> None:
        self._app = app
        self._tokens = Tokens(access.tokens) if access.tokens else None
        self._attempts = Attempts(clock, MOST_OF_AN_ADDRESS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "http" and scope["path"] not in _PUBLIC_PATHS:
            request = Request(scope)
            try:
                request.state.caller = self._caller(request)
            except Refusal as refusal:
                response = refuse(refusal)
                if refusal.status == 401:
                    response.headers["www-authenticate"] = 'Bearer realm="coalmine"'
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _caller(self, request: Request) -> Caller:
        if self._tokens is None:
            _check_local(request)
            return _EVERYBODY
        token = _token(request.headers.get("authorization", ""))
        caller = self._tokens.caller(token) if token else None
        if caller is not None:
            return caller
        address = request.client.host if request.client else ""
        metrics.REFUSED_TOKENS.inc()
        if self._attempts.is_blocked(address):
            raise Refusal(429, "too many wrong tokens: wait five minutes", wait_s=round(WITHIN_S))
        self._attempts.failed(address)
        log.warning("token_refused", client=address)
        expected = "expected Authorization: Bearer and a token of coalmine api tokens add"
        raise Refusal(401, expected)


def _check_local(request: Request) -> None:
    """Without tokens nothing but the browser's own rules keeps other sites out: hold it to them."""
    if _host_name(request.headers.get("host", "")) not in _LOCAL_NAMES:
        raise Refusal(403, "without tokens only this machine may ask, by the name localhost")
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Refusal(403, "another site's page may not ask")
    if "origin" in request.headers:
        raise Refusal(403, "another site's page may not ask")


def _token(authorization: str) -> str:
    """The token of a header; empty where there is none.

    >>> _token("Bearer abc"), _token("Basic YW55OmFiYw=="), _token("Digest x")
    ('abc', 'abc', '')
    """
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
