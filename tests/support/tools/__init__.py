"""Small servers that check what real deploy tools check, and remember what was done to them.

Each knows one tool's paths, credentials, content types and required fields, and answers with its
statuses and shapes, as its documentation or source has them. They are no mocks of Coalmine's
requests: what a tool would refuse, they refuse.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "t0ken&%/"  # with what some encodings change
LOGIN = f"coalmine:{TOKEN}"


class Problem(Exception):
    """What the tool answers instead."""

    def __init__(self, status: int, body: object = "") -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body = status, body


@dataclass(frozen=True)
class Call:
    """One request as the tool sees it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self, content_type: str = "application/json") -> Any:
        """The body, if it says what it is."""
        if self.headers.get("content-type", "") != content_type:
            raise Problem(415, {"message": f"content type {self.headers.get('content-type')}"})
        try:
            return json.loads(self.body)
        except ValueError:
            raise Problem(400, {"message": "not JSON"}) from None

    def form(self) -> dict[str, str]:
        """The body's fields."""
        if self.headers.get("content-type", "") != "application/x-www-form-urlencoded":
            raise Problem(415)
        fields = parse_qs(self.body.decode(), keep_blank_values=True, strict_parsing=True)
        return {name: values[0] for name, values in fields.items()}

    def needs(self, name: str, value: str, problem: Problem) -> None:
        """Refuse unless a header has this value."""
        if self.headers.get(name) != value:
            raise problem

    def needs_login(self, problem: Problem) -> None:
        """Refuse without basic credentials."""
        pair = base64.b64encode(LOGIN.encode()).decode()
        self.needs("authorization", f"Basic {pair}", problem)


Reply: TypeAlias = tuple[int, object, dict[str, str]]
Handler: TypeAlias = Callable[..., Reply]


@dataclass
class Tool:
    """A tool: its routes, and the calls that changed something."""

    routes: list[tuple[str, str, Handler]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    port: int = 0

    def route(self, method: str, pattern: str) -> Callable[[Handler], Handler]:
        """Register what answers a path; its groups become arguments."""

        def register(handler: Handler) -> Handler:
            self.routes.append((method, pattern, handler))
            return handler

        return register

    def answer(self, call: Call) -> Reply:
        """What the tool says to one request."""
        self.calls.append(call)
        for method, pattern, handler in self.routes:
            match = re.fullmatch(pattern, call.path)
            if match and method == call.method:
                try:
                    return handler(call, *map(unquote, match.groups()))
                except Problem as problem:
                    return problem.status, problem.body, {}
        return 404, {"message": f"nothing at {call.method} {call.path}"}, {}

    def asked(self, method: str) -> list[Call]:
        """Requests of this method so far."""
        return [call for call in self.calls if call.method == method]


@contextmanager
def listening(tool: Tool) -> Iterator[str]:
    """Its address, on loopback, while it listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(tool))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        tool.port = server.server_address[1]
        yield f"http://127.0.0.1:{tool.port}"
    finally:
        server.shutdown()
        server.server_close()


def _handler(tool: Tool) -> type[BaseHTTPRequestHandler]:
    class Visitor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            status, said, more = tool.answer(Call(self.command, parts.path, query, headers, body))
            text = said if isinstance(said, str) else json.dumps(said)
            self.send_response(status)
            for name, value in {"content-length": str(len(text.encode())), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            if status != 204:
                self.wfile.write(text.encode())

        do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Visitor
