"""A receiver on this machine: verifies each webhook as any receiver should, and tells of it."""

from __future__ import annotations

import base64
import re
import secrets
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from standardwebhooks.webhooks import (
    EmptyWebhookSecretError,
    Webhook,
    WebhookVerificationError,
)

from coalmine.stack.ports import LOOPBACK
from contracts.clock import SystemClock
from contracts.config import Secret
from contracts.errors import UNREADABLE, ConfigError

_MOST_BYTES = 1 << 20
_SIGNATURE = re.compile(r"v1,(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_WAIT_S = 10


class Received(msgspec.Struct, kw_only=True, frozen=True):
    """One webhook as it came, and what was answered."""

    time: int
    """Epoch milliseconds."""
    webhook_id: str
    is_verified: bool
    problem: str
    """Why it is not verified; empty where it is."""
    times_seen: int
    """How often this ``webhook-id`` came and was verified: a receiver acts on the first time."""
    answered: int
    headers: dict[str, str]
    document: Any
    """The body, decoded where it is JSON."""


def new_secret() -> str:
    """A secret as Standard Webhooks wants them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def problem_of(secret: Secret, headers: dict[str, str], body: bytes) -> str:
    """Why a webhook must not be trusted, or an empty text.

    Args:
        secret: the shared one.
        headers: by lower-case name.
        body: the very bytes.
    """
    missing = [
        name
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        if not headers.get(name)
    ]
    if missing:
        return f"the header {missing[0]} is missing"
    # the library fails on a signature that is none, even beside one that is right
    usable = [s for s in headers["webhook-signature"].split(" ") if _SIGNATURE.fullmatch(s)]
    if not usable:
        return "webhook-signature holds no signature of version v1"
    cleaned = headers | {"webhook-signature": " ".join(usable)}
    try:
        Webhook(secret.reveal()).verify(body, cleaned, json_parse=False)
    except WebhookVerificationError as error:
        return _plain(str(error))
    except UnicodeDecodeError:
        return "the body is not UTF-8"
    return ""


def _plain(words: str) -> str:
    if "too old" in words or "too new" in words:
        return "webhook-timestamp is more than five minutes off: compare the clocks"
    if "No matching signature" in words:
        return "no signature fits: the secrets differ, or the body was changed on its way"
    return "webhook-timestamp is no number of seconds"


class Listener:
    """A listening receiver; ``serve`` blocks until so many webhooks came, or it is stopped.

    Args:
        port: on the loopback interface; 0 for any.
        secret: the endpoint's.
        answer: status of every answer; None answers 204 to what verifies, 401 to what does not.
        tell: called for each webhook, one at a time.

    Raises:
        ConfigError: the port is taken, or the secret is none.
    """

    def __init__(
        self, port: int, secret: Secret, answer: int | None, tell: Callable[[Received], None]
    ) -> None:
        try:
            Webhook(secret.reveal())
        except (ValueError, EmptyWebhookSecretError) as error:
            expected = "expected whsec_ and the base64 of 24 to 64 random bytes"
            raise ConfigError("the secret", expected) from error
        self._secret = secret
        self._answer = answer
        self._tell = tell
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()
        self._left: int | None = None
        self._enough = threading.Event()
        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(self))
        except (OSError, OverflowError) as error:
            raise ConfigError("--port", f"cannot be listened on: {error}", value=port) from error
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def serve(self, count: int | None = None) -> None:
        """Answer webhooks.

        Args:
            count: how many; without end if None.
        """
        self._left = count
        thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            self._enough.wait()
        finally:
            self._server.shutdown()
            self._server.server_close()

    def take(self, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        """One webhook; returns the status to answer."""
        known = {name.lower(): value for name, value in headers}
        problem = problem_of(self._secret, known, body)
        status = self._answer or (401 if problem else 204)
        webhook_id = known.get("webhook-id", "")
        with self._lock:
            self._seen[webhook_id] = self._seen.get(webhook_id, 0) + (not problem)
            received = Received(
                time=SystemClock().now_ms(),
                webhook_id=webhook_id,
                is_verified=not problem,
                problem=problem,
                times_seen=self._seen[webhook_id],
                answered=status,
                headers=known,
                document=_decoded(body),
            )
            self._tell(received)
        return status

    def answered(self) -> None:
        """The answer to one webhook has left."""
        with self._lock:
            if self._left is not None:
                self._left -= 1
                if self._left <= 0:
                    self._enough.set()


def _decoded(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return body.decode("utf-8", "replace")


def _handler(listener: Listener) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _WAIT_S

        def do_POST(self) -> None:
            text = self.headers.get("content-length", "")
            length = int(text) if text.isascii() and text.isdigit() else -1
            if not 0 <= length <= _MOST_BYTES:
                self._finish(411 if length < 0 else 413)
                return
            status = listener.take(self.headers.items(), self.rfile.read(length))
            self._finish(status)
            listener.answered()

        do_PUT = do_PATCH = do_POST  # noqa: N815 - http.server's names

        def _finish(self, status: int) -> None:
            self.close_connection = True
            self.send_response(status)
            if status != 204:
                self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet: the listener tells."""

    return Handler
