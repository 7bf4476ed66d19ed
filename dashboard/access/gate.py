"""The gate before every request: no stranger, no other site's page, no forged host gets through."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from urllib.parse import parse_qs, quote, urlsplit

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from contracts.clock import Clock
from contracts.config import Secret
from dashboard.access.attempts import MOST_OF_A_USER, MOST_OF_AN_ADDRESS, Attempts
from dashboard.access.login_page import login_page, safe_target
from dashboard.access.sessions import LIFETIME_S, Session, Sessions
from dashboard.access.settings import Access, Place, session_key
from dashboard.access.users import Role, Users
from dashboard.assets_gzip import App, Message, Receive, Send

log = structlog.get_logger()

COOKIE = "coalmine_session"
SECURE_COOKIE = "__Host-coalmine_session"
HEALTH = "/healthz"
USER_HEADER = "x-coalmine-user"
ROLE_HEADER = "x-coalmine-role"
"""How the gate tells the app who asks; what a browser sends under these names is dropped."""
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_OWN_NAMES = ("127.0.0.1", "localhost", "::1")
_MOST_FORM_BYTES = 8 * 1024
_AT_ONCE = 2


class Gate:
    """ASGI middleware: who asks, from where, and whether that may be.

    Args:
        app: what is behind it.
        place: address and access.
        clock: time.
    """

    def __init__(self, app: App, place: Place, clock: Clock) -> None:
        self._app = app
        self._access: Access = place.access
        is_guarded = place.access.has_login or place.access.is_open
        self._needs_own_name = place.is_loopback and not is_guarded
        self._users = Users(place.access.users) if place.access.users else None
        self._sessions = Sessions(session_key(place.access), clock)
        self._by_address = Attempts(clock, MOST_OF_AN_ADDRESS)
        self._by_user = Attempts(clock, MOST_OF_A_USER)
        # a hash takes 32 MB and a tenth of a second: a flood of logins must not take all
        self._hashing = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except ClientDisconnect:
            return
        await (answer or self._app)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """The gate's own answer; None lets the request through."""
        if request.url.path == HEALTH:
            return None
        if (refusal := self._refusal(request)) is not None:
            log.warning("request_refused", reason=refusal, client=_client(request))
            return JSONResponse({"error": refusal}, status_code=403)
        if self._users is not None and request.url.path == "/login":
            return await self._login(request)
        return self._guarded(request)

    def _guarded(self, request: Request) -> Response | None:
        session = self._session(request)
        user = session.user if session else self._user_of_proxy(request)
        if request.url.path == "/logout" and request.method == "POST":
            return self._logout(request, session)
        if self._access.has_login and not user:
            return self._stranger(request)
        role = self._role(user)
        if request.url.path == "/whoami":
            can_sign_out = session is not None
            return JSONResponse({"user": user, "role": role, "can_sign_out": can_sign_out})
        _tell(request, user, role)
        return None

    def _role(self, user: str) -> Role:
        if self._users is not None:
            return self._users.role(user)
        return Role.OPERATE if user and user in self._access.operators else Role.READ

    def _refusal(self, request: Request) -> str | None:
        """Why this request is answered to nobody."""
        if self._access.user_header and not self._is_from_proxy(request):
            return "only the proxy may ask"
        if self._needs_own_name and _name_of(request.headers.get("host", "")) not in _OWN_NAMES:
            # a name of someone else's that leads here: DNS rebinding
            return "without a login the dashboard answers to 127.0.0.1 and localhost only"
        if request.method not in _SAFE_METHODS and not self._is_same_origin(request):
            return "asked by a page of another site"
        return None

    def _is_same_origin(self, request: Request) -> bool:
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = request.headers.get("origin")
        if origin is None:
            return True  # no browser: nobody's cookies are sent unasked
        host = request.headers.get("host", "")
        if self._is_from_proxy(request):
            host = request.headers.get("x-forwarded-host", host)
        return origin in (f"http://{host}", f"https://{host}")

    def _is_from_proxy(self, request: Request) -> bool:
        return self._is_proxy(_client(request))

    def _is_proxy(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._access.proxies)

    def _address(self, request: Request) -> str:
        """Whom the nearest stranger to us is: behind proxies, the last that is none of them."""
        if not self._is_from_proxy(request):
            return _client(request)
        told = [a.strip() for a in request.headers.get("x-forwarded-for", "").split(",")]
        return next((a for a in reversed(told) if a and not self._is_proxy(a)), _client(request))

    def _is_secure(self, request: Request) -> bool:
        if self._is_from_proxy(request):
            return request.headers.get("x-forwarded-proto", "") == "https"
        return request.url.scheme == "https"

    def _user_of_proxy(self, request: Request) -> str:
        header = self._access.user_header
        return request.headers.get(header, "") if header and self._is_from_proxy(request) else ""

    def _session(self, request: Request) -> Session | None:
        if self._users is None:
            return None
        name = SECURE_COOKIE if self._is_secure(request) else COOKIE
        session = self._sessions.read(request.cookies.get(name, ""))
        if session is None or not session.mark:
            return None
        return session if session.mark == self._users.mark(session.user) else None

    @staticmethod
    def _stranger(request: Request) -> Response:
        is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if not is_page:
            return JSONResponse({"error": "sign in first"}, status_code=401)
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(safe_target(target), safe='')}", 303)

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            page = login_page(safe_target(request.query_params.get("next", "/")))
            return _page(page, 200)
        form = await _form(request)
        user, target = form.get("user", ""), safe_target(form.get("next", "/"))
        address, named = self._address(request), user[:64]
        if self._by_address.is_blocked(address) or self._by_user.is_blocked(named):
            log.warning("login_blocked", client=address)
            return _page(login_page(target, error="Too many attempts: wait five minutes."), 429)
        if not await self._is_right(user, Secret(form.get("password", ""))):
            self._by_address.failed(address)
            self._by_user.failed(named)
            log.warning("login_failed", client=address)
            error = "This user and password do not fit."
            return _page(login_page(target, user=named, error=error), 401)
        log.info("login", user=user, client=address)
        assert self._users is not None
        cookie = self._sessions.begin(user, self._users.mark(user))
        answer = RedirectResponse(target, 303)
        self._set_cookie(answer, request, cookie, LIFETIME_S)
        return answer

    async def _is_right(self, user: str, password: Secret) -> bool:
        assert self._users is not None
        async with self._hashing:
            return await asyncio.to_thread(self._users.check, user, password)

    def _logout(self, request: Request, session: Session | None) -> Response:
        if session is not None:
            self._sessions.end(session)
            log.info("logout", user=session.user)
        answer = RedirectResponse("/", 303)
        self._set_cookie(answer, request, "", 0)
        return answer

    def _set_cookie(self, answer: Response, request: Request, value: str, max_age: int) -> None:
        is_secure = self._is_secure(request)
        answer.set_cookie(
            SECURE_COOKIE if is_secure else COOKIE,
            value,
            max_age=max_age,
            path="/",
            secure=is_secure,
            httponly=True,
            samesite="lax",
        )


def _tell(request: Request, user: str, role: Role) -> None:
    """Let the app know who asks, whatever the browser says of itself."""
    ours = {USER_HEADER.encode(): user, ROLE_HEADER.encode(): role.value}
    headers = [pair for pair in request.scope["headers"] if pair[0].lower() not in ours]
    told = [(name, value.encode("utf-8", "replace")) for name, value in ours.items()]
    request.scope["headers"] = [*headers, *told]


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def _name_of(host: str) -> str:
    """The name in a Host header, without its port.

    >>> _name_of("localhost:8050"), _name_of("[::1]:8050")
    ('localhost', '::1')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _page(text: str, status: int) -> Response:
    return HTMLResponse(text, status, headers={"cache-control": "no-store"})


async def _form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_FORM_BYTES:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
    return {name: values[0] for name, values in fields.items()}
