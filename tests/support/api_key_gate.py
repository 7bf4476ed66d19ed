"""An Elasticsearch behind TLS that lets API keys in and nobody else: what a proxy of it would be.

The distribution that the local stack fetches cannot make keys, so this gate checks them, as
Elasticsearch would, and passes on to the real one.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
import threading
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

_PASSED_BACK = ("content-type", "content-encoding", "x-elastic-product", "warning")
_REFUSAL = {
    "error": {"type": "security_exception", "reason": "unable to authenticate with this API key"},
    "status": 401,
}


class Asked(NamedTuple):
    """One request, and whose key it had; nobody's where it was refused."""

    owner: str
    method: str
    path: str


class ApiKeyGate:
    """Listens on loopback from ``with`` on until its end.

    Args:
        target: URL of the Elasticsearch behind it.
        certificate: file with its key and certificate.
        owners: who gets a key.

    Attributes:
        keys: each owner's key, as Elasticsearch hands it out (``encoded``).
        asked: every request so far.
    """

    def __init__(self, target: str, certificate: Path, owners: Iterable[str]) -> None:
        self.keys = {owner: _new_key() for owner in owners}
        self.asked: list[Asked] = []
        self._target = str(urlsplit(target).netloc)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        # the handshake belongs to the thread of its connection: a client that hangs stops no other
        self._server.socket = tls.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Base URL, for clients."""
        return f"https://127.0.0.1:{self._server.server_port}"

    def of(self, owner: str) -> set[str]:
        """What this owner asked for: method and first part of the path that is no index."""
        return {f"{a.method} {_verb(a.path)}" for a in self.asked if a.owner == owner}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _owner_of(self, authorization: str) -> str:
        known = (o for o, key in self.keys.items() if authorization == f"ApiKey {key}")
        return next(known, "")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                owner = gate._owner_of(self.headers.get("authorization", ""))
                gate.asked.append(Asked(owner, self.command, self.path))
                if owner:
                    self._pass_on(body)
                else:
                    headers = {"content-type": "application/json", "www-authenticate": "ApiKey"}
                    refusal = json.dumps(_REFUSAL).encode()
                    self._answer(HTTPStatus.UNAUTHORIZED, headers, refusal)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815 - the library's names

            def _pass_on(self, body: bytes) -> None:
                ours = {"authorization", "host", "connection"}
                headers = {n: v for n, v in self.headers.items() if n.lower() not in ours}
                connection = http.client.HTTPConnection(gate._target, timeout=60)
                try:
                    connection.request(self.command, self.path, body, headers)
                    found = connection.getresponse()
                    passed = {n: v for n, v in found.getheaders() if n.lower() in _PASSED_BACK}
                    self._answer(found.status, passed, found.read())
                finally:
                    connection.close()

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        return Handler


def _new_key() -> str:
    words = f"{secrets.token_urlsafe(15)}:{secrets.token_urlsafe(16)}"
    return base64.b64encode(words.encode()).decode()


def _verb(path: str) -> str:
    r"""What a path asks for.

    >>> _verb("/coalmine-windows-*/_search?size=1"), _verb("/_cluster/health"), _verb("/")
    ('_search', '_cluster', '/')
    """
    parts = path.partition("?")[0].split("/")
    return next((part for part in parts if part.startswith("_")), "/")
