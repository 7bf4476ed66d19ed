"""One request from its headers to its answer; the server only carries bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from contracts.clock import Clock
from contracts.config import Secret
from contracts.errors import Backpressure, InvalidRecord
from ingest import metrics
from ingest.parsers.base import Labels
from ingest.receiver import answers
from ingest.receiver.answers import Answer
from ingest.receiver.bodies import (
    ENCODINGS,
    TooLargeError,
    UnknownEncodingError,
    decompressed,
)
from ingest.receiver.inbox import Inbox, Submission
from ingest.receiver.keys import is_known, named_key
from ingest.receiver.origin import Origin
from ingest.receiver.received import Received, Refused
from ingest.receiver.routes import PATHS, Protocol, Route, route_of
from ingest.receiver.settings import Project, ReceiverSettings

_SAFE_WITHIN_S = 10.0
"""Longer than a busy disk takes; exporters of OpenTelemetry give up after so long themselves."""

_IN_HAND = 8
"""So many bodies of the largest size may be in memory at once."""


class _RefusedError(Exception):
    """Ends a request: the answer, and what to keep of it."""

    def __init__(self, status: int, reason: str, letter: Refused | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.letter = letter


class Handler:
    """Answers requests; 200 only once what they brought is safe on disk.

    Args:
        settings: limits and labels.
        keys: of those who may send; empty for all.
        inbox: where records go.
        host: label of records that name no host.
        clock: gives the time of requests.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        keys: Sequence[Secret],
        inbox: Inbox,
        host: str,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._inbox = inbox
        self._host = host
        self._clock = clock
        self._room = _IN_HAND * settings.max_body_bytes

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Never raises for what a request holds."""
        route = route_of(request.path)
        protocol = Protocol.SENTRY if route is None else route.protocol
        try:
            answer = await self._answer(request, route)
        except _RefusedError as error:
            answer = answers.refused(protocol, error.status, error.reason)
            self._keep(error.letter, request)
        named = "other" if route is None else protocol.value
        metrics.REQUESTS.labels(named, str(answer.status)).inc()
        origins = answers.shared(request.headers.get("origin"), self._settings.origins)
        response = web.Response(
            status=answer.status,
            body=answer.content,
            headers={**answer.headers, **origins},
            content_type="application/json",
        )
        if answer.status in (408, 413):
            response.force_close()  # what remains of the body is not worth reading
        return response

    async def _answer(self, request: web.BaseRequest, route: Route | None) -> Answer:
        if route is None:
            raise _RefusedError(404, f"nothing is taken here; try {PATHS}")
        if not answers.may_send(request.headers.get("origin"), self._settings.origins):
            raise _RefusedError(403, "pages of this site may not send (receiver.origins)")
        if request.method == "OPTIONS":
            return answers.preflight()
        self._check(request, route)
        held = _Held(self)
        try:
            body = await self._read(request, held)
            began = time.perf_counter()
            answer = await self._submit(request, route, body)
            metrics.REQUEST_SECONDS.observe(time.perf_counter() - began)
            return answer
        finally:
            self._room += held.size

    def _check(self, request: web.BaseRequest, route: Route) -> None:
        """Refuse what the headers tell already."""
        if request.method != "POST":
            raise _RefusedError(405, "POST it")
        key = named_key(request.headers, request.query)
        if self._keys and not is_known(key, self._keys):
            raise _RefusedError(403 if key else 401, "name one of the keys (receiver.keys)")
        if route.protocol is Protocol.OTLP and request.content_type != "application/json":
            expected = (
                f"{request.content_type} is not taken, only application/json: set "
                "OTEL_EXPORTER_OTLP_PROTOCOL=http/json, or use an exporter that sends JSON"
            )
            raise _RefusedError(415, expected)
        if (request.content_length or 0) > self._settings.max_body_bytes:
            raise self._too_large()

    async def _read(self, request: web.BaseRequest, held: _Held) -> bytes:
        limit = self._settings.max_body_bytes
        chunks = []
        try:
            async with asyncio.timeout(float(self._settings.timeout)):
                async for chunk in request.content.iter_any():
                    chunks.append(chunk)
                    held.take(len(chunk))
                    if held.size > limit:
                        raise self._too_large()
        except TimeoutError as error:
            raise _RefusedError(408, "the request took too long to arrive") from error
        except (ConnectionError, HttpProcessingError) as error:
            raise _RefusedError(400, "the request broke off") from error
        encoding = request.headers.get("content-encoding", "")
        try:
            body = decompressed(b"".join(chunks), encoding, limit)
        except TooLargeError as error:
            raise self._too_large() from error
        except UnknownEncodingError as error:
            raise _RefusedError(415, f"compressed with none of {ENCODINGS}") from error
        except InvalidRecord as error:
            # a secret in it could not be seen: its bytes are not kept
            raise _RefusedError(400, str(error), Refused(error, b"")) from error
        held.take(len(body))
        return body

    def _too_large(self) -> _RefusedError:
        limit = f"more than {self._settings.max_body_bytes} bytes"
        error = InvalidRecord("request too large", f"{limit} (receiver.max_body_bytes)")
        return _RefusedError(413, str(error), Refused(error, b""))

    async def _submit(self, request: web.BaseRequest, route: Route, body: bytes) -> Answer:
        origin = self._origin(route)
        try:
            received = route.read(body, origin)
        except (InvalidRecord, RecursionError) as error:
            found = (
                error if isinstance(error, InvalidRecord) else InvalidRecord("nested too deeply")
            )
            received = Received(refused=[Refused(found, body, origin.labels.service)])
        for item, count in received.ignored.items():
            metrics.PASSED_OVER.labels(metrics.item_label(item)).inc(count)
        if received.groups or received.refused:
            await self._make_safe(Submission(received, _source(request)))
        if received.is_useless:
            reasons = "; ".join(str(part.error) for part in received.refused[:3])
            return answers.refused(route.protocol, 400, reasons)
        return answers.taken(route.protocol, received.event_id)

    async def _make_safe(self, submission: Submission) -> None:
        """Until the records are on disk.

        Raises:
            _RefusedError: they are not, and the sender is to try again.
        """
        try:
            self._inbox.put(submission)
            async with asyncio.timeout(_SAFE_WITHIN_S):
                await asyncio.wrap_future(submission.done)
        except Backpressure as full:
            raise _RefusedError(429, str(full)) from full
        except TimeoutError as error:
            raise _RefusedError(503, "the disk takes too long; send it again") from error

    def _keep(self, letter: Refused | None, request: web.BaseRequest) -> None:
        """A dead letter of what was refused before it could be read; nobody waits for it."""
        if letter is None:
            return
        with suppress(Backpressure):
            self._inbox.put(Submission(Received(refused=[letter]), _source(request)))

    def _origin(self, route: Route) -> Origin:
        settings = self._settings
        project = settings.projects.get(route.project, Project())
        labels = Labels(
            service=project.service or settings.service,
            release=project.release or settings.release,
            host=self._host,
            arm=project.arm,
        )
        return Origin(labels, self._clock.now_ms(), route.project)

    def hold(self, size_bytes: int) -> None:
        """Count bytes that are in memory.

        Raises:
            _RefusedError: there are too many already.
        """
        self._room -= size_bytes
        if self._room < 0:
            raise _RefusedError(429, "too much is being received at once")


class _Held:
    """The bytes of one request in memory."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.size = 0

    def take(self, size_bytes: int) -> None:
        """Count more of them."""
        self.size += size_bytes
        self._handler.hold(size_bytes)


def _source(request: web.BaseRequest) -> str:
    """Who sent it, for people: without the query, which may hold a key."""
    return f"receiver:{request.remote or ''}{request.path}"
