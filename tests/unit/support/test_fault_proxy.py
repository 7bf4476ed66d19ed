"""The proxy that tests break networks with."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import wait_until


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served = 0

    def do_GET(self) -> None:
        _Handler.served += 1
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Connections break here on purpose."""


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy before a small HTTP server."""
    _Handler.served = 0
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with FaultProxy(f"127.0.0.1:{server.server_address[1]}") as proxy:
        yield proxy
    server.shutdown()
    server.server_close()


def get(proxy: FaultProxy, timeout_s: float = 5.0) -> int:
    """Status of one request through the proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout_s)
    try:
        connection.request("GET", "/a")
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_it_forwards_and_notes_requests(proxy: FaultProxy) -> None:
    """Without a fault it is not there, except for its list of requests."""
    assert get(proxy) == 200
    assert [request.line for request in proxy.requests] == ["GET /a HTTP/1.1"]


def test_a_refusing_proxy_comes_back_on_its_port(proxy: FaultProxy) -> None:
    """As a server that was killed and started again."""
    proxy.refuse()
    with pytest.raises(ConnectionError):
        get(proxy)
    proxy.accept()
    assert get(proxy) == 200


def test_a_cut_resets_what_is_open(proxy: FaultProxy) -> None:
    """An open connection ends; a new one works."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as open_one:
        wait_until(lambda: proxy._writers)
        proxy.cut()
        open_one.settimeout(5)
        with pytest.raises(ConnectionResetError):
            open_one.recv(1)
    assert get(proxy) == 200


def test_a_pause_swallows_and_a_resume_delivers(proxy: FaultProxy) -> None:
    """Nothing is lost by a pause, whatever the client thinks of it."""
    proxy.pause()
    with pytest.raises(TimeoutError):
        get(proxy, timeout_s=0.3)
    proxy.resume()
    assert get(proxy) == 200


def test_delay_and_throttle_slow_it_down(proxy: FaultProxy) -> None:
    """A thousand bytes at four thousand a second, each way delayed: no quicker than that."""
    proxy.delay_s, proxy.bytes_per_s = 0.1, 4_000
    before = time.monotonic()
    assert get(proxy) == 200
    assert time.monotonic() - before >= 0.4


def test_an_answer_can_be_lost_after_it_was_given_or_made_up(proxy: FaultProxy) -> None:
    """The server did what was asked and the client never hears; or the server is never asked."""
    proxy.lost_answers = 1
    with pytest.raises(ConnectionError):
        get(proxy)
    assert _Handler.served == 1
    proxy.answer = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
    assert get(proxy) == 429
    assert _Handler.served == 1


def test_a_flapping_proxy_ends_open(proxy: FaultProxy) -> None:
    """Whatever the moment at which the flapping ends."""
    with proxy.flapping(0.05):
        wait_until(lambda: proxy._server is None)
    assert get(proxy) == 200
