"""How commands ask the API."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec

from coalmine.api.bodies import Explanation, Start, Steer
from coalmine.api.states import State
from contracts.errors import UNREADABLE, ConfigError, Fatal, Recoverable
from contracts.results import Answer
from contracts.settings import ApiSettings

T = TypeVar("T")

_TIMEOUT_S = 20.0
"""More than the API waits for the judge."""
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


class ApiClient:
    """One API; close it, or use it as a context.

    Args:
        settings: where it is, and the token to show.

    Raises:
        ConfigError: a file of certificates that is none.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        verify = ssl.create_default_context(cafile=settings.ca_file)
        direct = {f"all://{name}": None for name in ("127.0.0.1", "localhost")}
        self._http = httpx.Client(
            base_url=settings.url, timeout=_TIMEOUT_S, verify=verify, mounts=direct
        )
        if token := settings.token.reveal():
            self._http.headers["authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give its connections back."""
        self._http.close()

    def verdict(
        self, service: str, release: str, *, phase: str = "", flag: str = "", rollout: str = ""
    ) -> State:
        """Where the latest rollout of a release stands, see ``GET /v1/verdict``.

        Raises:
            Recoverable: it is away, or not ready yet.
            ConfigError: it does not know the token.
        """
        query = {
            "service": service,
            "release": release,
            "phase": phase,
            "flag": flag,
            "rollout": rollout,
        }
        return self._decoded(self._ask("GET", "/v1/verdict", query=query), State)

    def start(self, request: Start, key: str) -> Answer:
        """Open a rollout; the judge's answer, whatever it is.

        Args:
            request: what to open.
            key: the same one makes several tries one request.

        Raises:
            Recoverable: it is away, or no worker has answered: try again.
            ConfigError: it does not know the token, or the token may not.
        """
        found = self._ask("POST", "/v1/rollouts", body=request, key=key)
        return self._decoded(found, Answer)

    def hold(self, service: str, request: Steer, key: str) -> Answer:
        """Hold the open rollout of a service, see ``start``."""
        found = self._ask("POST", f"/v1/rollouts/{service}/hold", body=request, key=key)
        return self._decoded(found, Answer)

    def decision(self, decision_id: str) -> Explanation | None:
        """A decision with what led to it; None where it is not known.

        Raises:
            Recoverable: it is away, or not ready yet.
            ConfigError: it does not know the token.
        """
        found = self._ask("GET", f"/v1/decisions/{decision_id}")
        return None if found.status_code == 404 else self._decoded(found, Explanation)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: msgspec.Struct | None = None,
        key: str = "",
    ) -> httpx.Response:
        headers = {"idempotency-key": key} if key else {}
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = msgspec.json.encode(body)
        try:
            found = self._http.request(method, path, params=query, content=content, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            raise Recoverable(f"the API at {self._settings.url} does not answer: {why}") from error
        if found.status_code in _PASSING:
            raise Recoverable(f"the API at {self._settings.url} cannot answer: {_why(found)}")
        if found.status_code in (401, 403):
            raise ConfigError("COALMINE_API_TOKEN", f"{self._settings.url} refuses: {_why(found)}")
        return found

    def _decoded(self, found: httpx.Response, as_type: type[T]) -> T:
        try:
            return msgspec.json.decode(found.content, type=as_type)
        except UNREADABLE as error:
            said = f"{found.status_code}: {_why(found)}"
            raise Fatal(f"the API at {self._settings.url} says {said}") from error


def _why(found: httpx.Response) -> str:
    """The sentence of a ``Problem``, or what else came."""
    try:
        return str(msgspec.json.decode(found.content)["error"])
    except (*UNREADABLE, TypeError, KeyError):
        return f"{found.status_code} {found.text[:200]}".strip()
