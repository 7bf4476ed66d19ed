"""Keeps a service's rules fresh: a thread that asks the API and waits there for the next change.

Nothing that happens to the network or the API reaches the service: the rules stay what they were,
and tell that they are stale.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import random
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from contracts.errors import UNREADABLE
from contracts.flags import FlagStates
from flags.rules import Rules

log = logging.getLogger("coalmine.flags")

_MOST_BODY_BYTES = 8_000_000
_CONNECT_S = 5.0
_GRACE_S = 5.0
"""How much longer than it was asked to wait the API may take to answer."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
"""Between attempts while the API is away: also how late a rollback may come through after that."""
_TOKEN_PAUSE_S = 30.0
"""After a token was refused: the next attempt hardly goes better."""
_FAILURES = (OSError, http.client.HTTPException, ValueError, *UNREADABLE)

Change = Callable[[Rules, Rules], None]
"""Told the rules before and after, from the thread that follows."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rules come from: the API at ``url``, asked for the flags of ``service``."""

    url: str
    service: str
    token: str = ""
    wait_s: int = 20


class Refused(OSError):
    """The API answered, but not with rules."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the API answers {status} {reason}")
        self.is_of_token = status in (401, 403, 429)


class Follower:
    """Asks the API from a thread of its own, from ``start`` to ``stop``.

    Args:
        source: whom to ask for what.
        on_change: called when flags changed, or the rules became stale or fresh; its failures are
            logged.

    Raises:
        ValueError: the URL of the source is none of HTTP.
    """

    def __init__(self, source: Source, on_change: Change) -> None:
        self._source = source
        self._on_change = on_change
        self._place = urllib.parse.urlsplit(source.url)
        if self._place.scheme not in ("http", "https") or not self._place.hostname:
            raise ValueError(f"url: expected http://HOST or https://HOST, found {source.url!r}")
        self.rules = Rules()
        self._etag = ""
        self._stop = threading.Event()
        self._heard = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; also in the child after a fork, where threads are gone."""
        self._stop, self._heard = threading.Event(), threading.Event()
        self._connection = None
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name="coalmine-flags", daemon=True
        )
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the first answer, or failure; whether there was an answer."""
        self._heard.wait(timeout_s)
        return self.rules.is_heard

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread, also while it waits for the API."""
        self._stop.set()
        _hang_up(self._connection)
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    @property
    def is_started(self) -> bool:
        """Whether it was started and not stopped."""
        return self._thread is not None

    def _run(self, stop: threading.Event) -> None:
        pause_s = _FIRST_PAUSE_S
        while not stop.is_set():
            try:
                self._adopt(self._ask())
                pause_s = _FIRST_PAUSE_S
            except _FAILURES as error:
                if stop.is_set():
                    break
                self._lose(error)
                self._heard.set()
                is_of_token = isinstance(error, Refused) and error.is_of_token
                wait_s = _TOKEN_PAUSE_S if is_of_token else pause_s
                stop.wait(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the load
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._heard.set()
        _close(self._connection)

    def _ask(self) -> FlagStates | None:
        """One question; ``None`` where what is known still holds."""
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        service = urllib.parse.quote(self._source.service, safe="")
        headers = {"accept": "application/json"}
        if self._source.token:
            headers["authorization"] = f"Bearer {self._source.token}"
        if self._etag:
            headers["if-none-match"] = self._etag
        path = f"{self._place.path.rstrip('/')}/v1/flags/{service}?wait={self._source.wait_s}"
        connection.request("GET", path, headers=headers)
        if connection.sock is not None:
            connection.sock.settimeout(self._source.wait_s + _GRACE_S)
        answer = connection.getresponse()
        body = answer.read(_MOST_BODY_BYTES)
        if answer.status == http.client.NOT_MODIFIED:
            return None
        if answer.status != http.client.OK:
            raise Refused(answer.status, answer.reason)
        states = msgspec.json.decode(body, type=FlagStates)
        self._etag = answer.headers.get("etag", "")
        return states

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._place.hostname or "", self._place.port
        if self._place.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=_CONNECT_S)
        return http.client.HTTPConnection(host, port, timeout=_CONNECT_S)

    def _adopt(self, states: FlagStates | None) -> None:
        before = self.rules
        self.rules = before.fresh() if states is None else Rules.of(states)
        if before.stale_since_s is not None and before.is_heard:
            log.info("flags of %s are up to date again", self._source.service)
        self._tell(before)

    def _lose(self, error: Exception) -> None:
        _close(self._connection)
        self._connection = None
        before = self.rules
        self.rules = before.stale(time.monotonic())
        if self.rules is not before:
            log.warning(
                "flags of %s may be out of date, the last known ones stay: %s",
                self._source.service,
                error or type(error).__name__,
            )
            self._tell(before)

    def _tell(self, before: Rules) -> None:
        try:
            self._on_change(before, self.rules)
        except Exception:
            log.exception("a listener to flags failed")


def _hang_up(connection: http.client.HTTPConnection | None) -> None:
    """Wake the thread that reads from it; closing alone would not."""
    sock = connection.sock if connection is not None else None
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _close(connection: http.client.HTTPConnection | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.close()
