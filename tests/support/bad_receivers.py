"""Receivers that break HTTP or TLS in every way that was seen in the field."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Behaviour = Callable[[socket.socket], None]
"""What a receiver does with a connection whose request it has read."""

_CHUNK = b"x" * 65_536


@dataclass
class BadReceiver:
    """A listening receiver; ``requests`` counts what it read to the end."""

    port: int = 0
    scheme: str = "http"
    requests: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"


@contextlib.contextmanager
def bad_receiver(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[BadReceiver]:
    """Listens until the block ends; each connection has a thread."""
    made = BadReceiver(scheme="https" if tls else "http")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                connection = self.request
                connection.settimeout(20)
                if tls:
                    connection = tls.wrap_socket(connection, server_side=True)
                _read_request(connection)
                made.requests.append(time.monotonic())
                behaviour(connection)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    made.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def _read_request(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65_536)):
            raise ValueError("the sender went away")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)


def says(answer: bytes) -> Behaviour:
    """These bytes, then the connection is closed."""
    return lambda connection: connection.sendall(answer)


def hang(connection: socket.socket) -> None:
    """Nothing, ever."""
    while connection.recv(1):
        pass


def reset(connection: socket.socket) -> None:
    """A reset after the whole request was read."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def drip(connection: socket.socket) -> None:
    """One byte of a valid answer every tenth of a second."""
    for byte in b"HTTP/1.1 200 OK\r\nx-slow: " + b"z" * 500:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def endless_body(connection: socket.socket) -> None:
    """200 with a terabyte."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
    while True:
        connection.sendall(_CHUNK)


def endless_header(connection: socket.socket) -> None:
    """A header field without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nx-huge: ")
    while True:
        connection.sendall(_CHUNK)


def endless_informational(connection: socket.socket) -> None:
    """One ``102 Processing`` after the other."""
    while True:
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000)


def certificate(folder: Path, *, name: str = "IP:127.0.0.1", days: int = 1) -> Path:
    """A file with a key and its own self-signed certificate; ``days`` below 0: expired."""
    key, request, made = (folder / f"{name}{days}.{end}" for end in ("key", "csr", "pem"))
    extension = folder / f"{name}{days}.ext"
    extension.write_text(f"subjectAltName={name}\n")
    _openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=receiver", "-keyout", str(key), "-out", str(request),
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-in", str(request), "-signkey", str(key), "-days", str(days),
        "-extfile", str(extension), "-out", str(made),
    )  # fmt: skip
    made.write_bytes(made.read_bytes() + key.read_bytes())
    return made


def tls_with(pem: Path) -> ssl.SSLContext:
    """A server's side with this key and certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
