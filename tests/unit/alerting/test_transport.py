"""One request over a real socket: pinned to the address that was checked, held to its times."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from alerting.addresses import Address
from alerting.integrations.conversation import Answer, HttpRequest, text_body
from alerting.transport import HttpTransport, Limits
from contracts.config import Secret
from tests.support import bad_receivers as bad
from tests.unit.alerting.support import endpoint

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
LOOPBACK = (ip_network("127.0.0.0/8"),)


def send(
    url: str,
    resolve: Callable[[str, int], Sequence[Address]] | None = None,
    *,
    within_s: float = 60.0,
    **changes: Any,
) -> Answer:
    """One attempt; private targets on loopback are allowed."""
    to = endpoint(url=Secret(url), private_networks=LOOPBACK, **changes)
    headers = {"content-type": "text/plain"}
    request = HttpRequest(method="POST", headers=headers, body=text_body("body"))
    return HttpTransport(resolve).send(to, request, Limits(within_s, to.timeout_s))


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """A resolver that would give another address a moment later is not asked again."""
    answers = [[ip_address("127.0.0.1")], [ip_address("169.254.169.254")]]
    asked = []

    def rebinding(host: str, port: int) -> list[Address]:
        asked.append((host, port))
        return answers[len(asked) - 1]

    with bad.bad_receiver(bad.says(OK)) as receiver:
        answer = send(f"http://rebind.example:{receiver.port}/", rebinding)
    assert answer.status == 200
    assert asked == [("rebind.example", receiver.port)]


def test_a_name_that_moves_inside_is_refused() -> None:
    """What an earlier attempt was allowed says nothing of the next: each asks and checks anew."""
    with bad.bad_receiver(bad.says(OK)) as receiver:
        url = f"http://moving.example:{receiver.port}/"
        assert send(url, lambda _h, _p: [ip_address("127.0.0.1")]).status == 200
        assert send(url, lambda _h, _p: [ip_address("10.0.0.1")]).failure == "forbidden address"
        mixed = [ip_address("127.0.0.1"), ip_address("169.254.169.254")]
        assert send(url, lambda _h, _p: mixed).failure == "forbidden address"
    assert len(receiver.requests) == 1


def test_a_redirect_is_an_answer_and_not_a_way() -> None:
    """The place that a redirect names is never contacted."""
    with bad.bad_receiver(bad.says(OK)) as secret_place:
        found = f"HTTP/1.1 302 Found\r\nlocation: {secret_place.url}\r\n\r\n".encode()
        with bad.bad_receiver(bad.says(found)) as receiver:
            assert send(receiver.url).status == 302
        assert secret_place.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_is_sent_after_the_decision_expired(scheme: str) -> None:
    """A connection that takes until then, here in its TLS handshake, sends no request any more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
        answer = send(url, within_s=0.2 if scheme == "https" else -1.0, timeout_s=5.0)
        assert answer.failure == "timeout"
        assert answer.duration_ms < 3_000
        silent.settimeout(0.2)
        try:
            connection, _ = silent.accept()
        except TimeoutError:
            return
        with connection:
            assert b"POST" not in connection.recv(65_536)


def test_an_answer_may_come_after_the_decision_expired() -> None:
    """What was sent in time has its effect: the answer is waited for."""

    def answer_late(connection: socket.socket) -> None:
        time.sleep(0.6)
        connection.sendall(OK)

    with bad.bad_receiver(answer_late) as receiver:
        assert send(receiver.url, within_s=0.3, timeout_s=5.0).status == 200


@pytest.mark.parametrize("behaviour", [bad.endless_body, bad.endless_header])
def test_an_answer_without_an_end_is_not_read_to_it(behaviour: bad.Behaviour) -> None:
    """A receiver can neither fill the memory nor hold the thread."""
    with bad.bad_receiver(behaviour) as receiver:
        answer = send(receiver.url, timeout_s=5.0)
    assert (answer.status, answer.failure) in {(200, ""), (None, "protocol")}
    assert answer.duration_ms < 4_000
