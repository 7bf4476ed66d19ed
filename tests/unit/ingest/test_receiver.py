"""The receiver over real HTTP: what is taken, what is refused, and what is safe when it answers."""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cramjam
import pytest
import zstandard

from contracts.errors import ConfigError
from contracts.records import Event, RecordKind
from ingest.receiver.settings import ReceiverSettings
from ingest.settings import load_agent_config
from tests.support.agent_rig import NOW, Rig, append
from tests.support.envelopes import envelope_of
from tests.support.receiver_rig import ReceiverRig, running
from tests.support.waiting import wait_until

ID = "fc6d8c0c43fc4630ad850ee518f1b9d0"


def event_of(event_id: str = ID, **fields: Any) -> dict[str, Any]:
    """An error as the Python SDK reports it."""
    frame = {"module": "shop.cart", "function": "pay", "filename": "shop/cart.py", "lineno": 7}
    exception = {"type": "ValueError", "value": "no", "stacktrace": {"frames": [frame]}}
    return {
        "event_id": event_id,
        "timestamp": NOW / 1000,
        "platform": "python",
        "release": "checkout@1.2.3",
        "server_name": "web-7",
        "exception": {"values": [exception]},
        **fields,
    }


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[ReceiverRig]:
    """One that takes from everybody."""
    with running(tmp_path) as found:
        yield found


def test_an_event_is_a_crash_and_safe_when_answered(receiver: ReceiverRig) -> None:
    """200 with the event's id; the crash is in the spool by then, with release and service."""
    answer = receiver.envelope(("event", event_of()))
    assert (answer.status_code, answer.json()) == (200, {"id": ID})
    assert len(list((receiver.rig.state / "spool").glob("*.entry"))) == 1
    [crash] = receiver.crashes()
    assert (crash.service, crash.release, crash.host) == ("checkout", "1.2.3", "web-7")
    assert (crash.exception_type, crash.exception_message, crash.time) == ("ValueError", "no", NOW)
    assert [frame.function for frame in crash.frames] == ["pay"]


def test_the_store_address_takes_one_event(receiver: ReceiverRig) -> None:
    """As old SDKs send it."""
    answer = receiver.post("/api/1/store/", json.dumps(event_of()).encode())
    assert (answer.status_code, answer.json()) == (200, {"id": ID})
    assert len(receiver.crashes()) == 1


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", lambda data: bytes(cramjam.brotli.compress(data))),
        ("zstd", zstandard.compress),
        ("identity", bytes),
    ],
)
def test_every_compression_of_sdks_is_read(
    receiver: ReceiverRig, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    """What they send compressed arrives; the same cut in half is refused and not kept."""
    body = compress(envelope_of(("event", event_of())))
    assert receiver.post("/api/1/envelope/", body, content_encoding=encoding).status_code == 200
    assert len(receiver.crashes()) == 1
    cut = receiver.post("/api/1/envelope/", body[: len(body) // 2], content_encoding=encoding)
    assert cut.status_code == 400
    assert cut.headers["x-sentry-error"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "identity"])
def test_a_bomb_is_refused(tmp_path: Path, encoding: str) -> None:
    """A small body that would become a large one: 413, and the receiver lives on."""
    big = b'{"a":"' + b"x" * 300_000 + b'"}'
    compress: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "br": lambda data: bytes(cramjam.brotli.compress(data)),
        "zstd": zstandard.compress,
        "deflate": zlib.compress,
        "identity": bytes,
    }
    with running(tmp_path, max_body_bytes=200_000) as receiver:
        body = compress[encoding](big)
        answer = receiver.post("/api/1/store/", body, content_encoding=encoding)
        assert answer.status_code == 413
        assert receiver.envelope(("event", event_of())).status_code == 200


def test_a_second_try_counts_once(receiver: ReceiverRig) -> None:
    """The same event again is answered as before and dropped, also after a SIGKILL."""
    for _ in range(2):
        assert receiver.envelope(("event", event_of())).json() == {"id": ID}
    assert len(receiver.crashes()) == 1


@pytest.mark.parametrize("is_shipped", [True, False])
def test_a_second_try_counts_once_after_a_kill(tmp_path: Path, *, is_shipped: bool) -> None:
    """Whether the first one was shipped by then (the checkpoint knows it) or only spooled."""
    with running(tmp_path) as receiver:
        receiver.envelope(("event", event_of()))
        if is_shipped:
            receiver.rig.acknowledge()
    rig = receiver.rig
    rig.crash()
    with running(tmp_path, rig=rig) as receiver:
        assert receiver.envelope(("event", event_of())).status_code == 200
        assert receiver.envelope(("event", event_of("ab" * 16))).status_code == 200
        assert len(receiver.crashes()) == 2


def test_requests_at_once_share_entries(receiver: ReceiverRig) -> None:
    """Sixty senders at once: each crash arrives once, in fewer entries than requests."""
    ids = [f"{number:032x}" for number in range(60)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda i: receiver.envelope(("event", event_of(i))), ids))
    assert {answer.status_code for answer in answers} == {200}
    assert len(receiver.crashes()) == 60
    assert len(receiver.rig.entries) < 60


def test_a_full_spool_says_so_and_takes_nothing(tmp_path: Path) -> None:
    """429 with Retry-After; once there is room the second try is taken once."""
    with running(tmp_path) as receiver:
        receiver.rig.spool._max_bytes = 1
        assert receiver.envelope(("event", event_of())).status_code == 200  # an empty spool takes
        full = receiver.envelope(("event", event_of("ab" * 16)))
        assert full.status_code == 429
        assert int(full.headers["retry-after"]) > 0
        receiver.rig.spool._max_bytes = 1 << 30
        assert receiver.envelope(("event", event_of("ab" * 16))).status_code == 200
        assert len(receiver.crashes()) == 2


def test_bad_input_is_told_and_kept(receiver: ReceiverRig) -> None:
    """400 with the reason; a dead letter with reason and origin, and without the secret."""
    answer = receiver.post("/api/9/envelope/", b'{"a": "password=hunter2 x"')
    assert answer.status_code == 400
    assert answer.headers["x-sentry-error"].startswith("not an envelope")
    receiver.rig.acknowledge()
    [letter] = receiver.rig.letters()
    assert (letter.reason, letter.origin) == (
        "not an envelope",
        "receiver:127.0.0.1/api/9/envelope/",
    )
    assert "hunter2" not in msg_of(letter.payload)
    assert "redacted" in msg_of(letter.payload)


def msg_of(payload: str) -> str:
    """What a dead letter holds."""
    return base64.b64decode(payload).decode()


def test_a_bad_item_does_not_take_the_others_with_it(receiver: ReceiverRig) -> None:
    """The event counts, the broken one is a dead letter, the attachment is passed over."""
    answer = receiver.envelope(("event", b"{"), ("event", event_of()), ("attachment", b"\n\0\n"))
    assert answer.status_code == 200
    assert len(receiver.crashes()) == 1
    assert [letter.reason for letter in receiver.rig.letters()] == ["not json"]


def test_garbage_without_end_is_refused_but_not_kept(tmp_path: Path) -> None:
    """After so many dead letters in a row there are no more; something good begins anew."""
    rig = Rig(tmp_path, {}, receiver={"listen": "127.0.0.1:0"}, dead_letters={"consecutive": 3})
    with running(tmp_path, rig=rig) as receiver:
        for number in range(6):
            assert receiver.post("/api/1/store/", b"x%d" % number).status_code == 400
        assert receiver.envelope(("event", event_of())).status_code == 200
        assert receiver.post("/api/1/store/", b"y").status_code == 400
        receiver.rig.acknowledge()
        assert len(receiver.rig.letters()) == 3


def test_keys(tmp_path: Path) -> None:
    """With keys configured, 401 without one, 403 with another, in any of the three places."""
    path, body = "/api/1/envelope/", envelope_of(("event", event_of()))
    with running(tmp_path, keys=["k1", "k2"]) as receiver:
        assert receiver.post(path, body).status_code == 401
        header = "Sentry sentry_version=7, sentry_key={}, sentry_client=x/1"
        assert receiver.post(path, body, x_sentry_auth=header.format("no")).status_code == 403
        assert receiver.post(path, body, x_sentry_auth=header.format("k2")).status_code == 200
        assert receiver.post(f"{path}?sentry_key=k1", body).status_code == 200
        logs = functools.partial(receiver.post, "/v1/logs", b"{}", content_type="application/json")
        assert logs().status_code == 401
        assert logs(authorization="Bearer k1").status_code == 200


def test_pages_of_allowed_sites_may_send(tmp_path: Path) -> None:
    """Browsers ask first; they read the answer of their own site only."""
    ours, others = "https://shop.example", "https://other.example"
    with running(tmp_path, origins=[ours]) as receiver:
        asked = receiver.client.options("/api/1/envelope/", headers={"origin": ours})
        assert (asked.status_code, asked.content) == (204, b"")
        assert asked.headers["access-control-allow-origin"] == ours
        assert "X-Sentry-Auth" in asked.headers["access-control-allow-headers"]
        assert receiver.envelope(("event", event_of()), origin=others).status_code == 403
        assert receiver.envelope(("event", event_of()), origin=ours).status_code == 200
    with running(tmp_path / "any") as receiver:
        answer = receiver.envelope(("event", event_of()), origin=others)
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/1/envelope/", 405), ("POST", "/", 404), ("POST", "/api/a b/store/", 404)],
)
def test_what_is_not_there(receiver: ReceiverRig, method: str, path: str, status: int) -> None:
    """One clear answer each."""
    assert receiver.client.request(method, path).status_code == status


def test_protobuf_is_told_what_to_do(receiver: ReceiverRig) -> None:
    """415, and the variable that makes an SDK send JSON."""
    answer = receiver.post("/v1/logs", b"\n\0", content_type="application/x-protobuf")
    assert answer.status_code == 415
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/json" in answer.json()["message"]


def test_slow_clients_are_cut_off_and_files_are_read(tmp_path: Path) -> None:
    """Headers or bodies that come byte by byte end after the timeout; nothing else waits."""
    rig = Rig(
        tmp_path,
        {},
        receiver={"listen": "127.0.0.1:0", "timeout": 0.5, "max_connections": 20},
    )
    with running(tmp_path, rig=rig) as receiver, contextlib.ExitStack() as clients:
        head = b"POST /api/1/store/ HTTP/1.1\r\nhost: a\r\n"
        starts = [b"", head, head + b"content-length: 900\r\n\r\n"]
        slow = [
            clients.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))
            for _ in range(15)
        ]
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % 3])
        append(tmp_path / "a.log", "ann")
        assert receiver.envelope(("event", event_of())).status_code == 200
        rig.clock.advance(10)
        wait_until(lambda: rig.agent.counters.lines == 1, 20)
        for connection in slow:
            wait_until(lambda c=connection: is_closed(c), 20)  # type: ignore[misc]
        assert receiver.envelope(("event", event_of("ab" * 16))).status_code == 200


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side ended it, although a byte more is sent."""
    try:
        connection.settimeout(0.05)
        connection.sendall(b"x")
        while data := connection.recv(4096):
            assert b" 40" in data.splitlines()[0]
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_a_body_that_is_no_http_is_refused(receiver: ReceiverRig) -> None:
    """A chunk without a length: an answer or an end, and the receiver lives on."""
    head = b"POST /api/1/store/ HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    for rest in (b"zz\r\nx\r\n", b"5\r\nab"):
        with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
            connection.sendall(head + rest)
            connection.shutdown(socket.SHUT_WR)
            wait_until(lambda c=connection: is_closed(c), 20)  # type: ignore[misc]
    assert receiver.envelope(("event", event_of())).status_code == 200


def test_chunks_without_a_length_are_read(receiver: ReceiverRig) -> None:
    """As SDKs send that compress while they write."""
    body = gzip.compress(envelope_of(("event", event_of())))
    parts = (body[i : i + 100] for i in range(0, len(body), 100))
    headers = {"content-encoding": "gzip"}
    answer = receiver.client.post("/api/1/envelope/", content=parts, headers=headers)
    assert answer.status_code == 200
    assert len(receiver.crashes()) == 1


def test_too_many_connections_are_closed(tmp_path: Path) -> None:
    """They share the process's open files with the logs; there is room again when some end."""
    with running(tmp_path, max_connections=5, timeout=60) as receiver:
        with contextlib.ExitStack() as clients:
            for _ in range(5):
                clients.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))
            wait_until(lambda: is_refused(receiver), 20)
        wait_until(lambda: not is_refused(receiver), 20)


def is_refused(receiver: ReceiverRig) -> bool:
    """Whether a new connection is closed at once."""
    with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            return not connection.recv(100)
        except OSError:
            return True


def test_an_agent_that_stops_answers_who_waits(receiver: ReceiverRig) -> None:
    """What is in the inbox at the end is spooled; what comes later is to be sent again."""
    assert receiver.rig.inbox is not None
    receiver.rig.agent.finish()
    answer = receiver.envelope(("event", event_of()))
    assert (answer.status_code, answer.json()["detail"]) == (429, "the agent stops")


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ("listen: ':4318'", "receiver.listen", "host:port"),
        ("listen: '0.0.0.0:4318'", "receiver.listen", "only with keys"),
        ("max_body_bytes: 10", "receiver.max_body_bytes", "expected 1024"),
        ("timeout: 0s", "receiver.timeout", "expected 0.1"),
        ("origins: [shop]", "receiver.origins[0]", "https://shop.example.com"),
        ("prots: 1", "receiver.prots", "unknown field"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, wrong: str, field: str, words: str) -> None:
    """File, field and what was expected, in one sentence."""
    path = tmp_path / "agent.yaml"
    path.write_text(f"receiver: {{{wrong}}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as error:
        load_agent_config(path)
    assert error.value.field == field


def test_a_receiver_is_a_source(tmp_path: Path) -> None:
    """An agent may have nothing else; the defaults listen on this machine only."""
    path = tmp_path / "agent.yaml"
    path.write_text("receiver: {}\n", encoding="utf-8")
    found = load_agent_config(path).receiver
    assert found == ReceiverSettings()
    assert found is not None
    assert found.address == ("127.0.0.1", 4318)


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    """One sentence, no traceback."""
    with running(tmp_path) as receiver:
        listen = f"127.0.0.1:{receiver.port}"
        with (
            pytest.raises(ConfigError, match="cannot listen there"),
            running(tmp_path / "second", listen=listen),
        ):
            pass


def test_sessions_are_events(receiver: ReceiverRig) -> None:
    """Begun well, gone wrong, and the counts of a server."""
    attributes = {"release": "checkout@2", "environment": "x"}
    begun = {"sid": "s1", "did": "ann", "init": True, "status": "ok", "attrs": attributes}
    wrong = {"sid": "s1", "did": "ann", "status": "crashed", "errors": 1, "attrs": attributes}
    ended = {"sid": "s2", "status": "exited", "attrs": attributes}
    counts = {"aggregates": [{"exited": 3, "crashed": 1}], "attrs": attributes}
    receiver.envelope(("session", begun))
    for _ in range(2):
        receiver.envelope(("session", wrong), ("session", ended))
    receiver.envelope(("sessions", counts))
    receiver.rig.acknowledge()
    events = [e for e in receiver.rig.records(RecordKind.EVENTS) if isinstance(e, Event)]
    assert {(e.name, e.service, e.release) for e in events} == {("session", "checkout", "2")}
    assert [(e.user, e.session, e.ok) for e in events] == [
        ("ann", "s1", True),
        ("ann", "s1", False),
        *[(None, None, True)] * 3,
        (None, None, False),
    ]
