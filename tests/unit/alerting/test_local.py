"""Beyond HTTP: a line to a socket, a file replaced at once, a command, each within its time."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alerting.carrier import Carrier
from alerting.integrations.conversation import (
    Answer,
    ReadFile,
    ReplaceFile,
    Request,
    RunCommand,
    SocketLine,
    UnusableError,
    text_body,
)
from alerting.transport import Limits
from contracts.config import Secret
from tests.unit.alerting.support import endpoint


def do(url: str, request: Request, timeout_s: float = 5.0, within_s: float = 60.0) -> Answer:
    """One request to where ``url`` points; private targets are not allowed."""
    return Carrier().send(endpoint(url=Secret(url)), request, Limits(within_s, timeout_s))


Server = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Server]:
    """A unix socket whose one visitor is treated as told; gives its address."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "admin.sock"))
    server.listen()

    def start(treat: Callable[[socket.socket], None]) -> str:
        def serve() -> None:
            visitor, _ = server.accept()
            with visitor:
                treat(visitor)

        threading.Thread(target=serve, daemon=True).start()
        return f"unix://{tmp_path}/admin.sock"

    yield start
    server.close()


def test_a_line_is_answered_until_the_socket_is_closed(admin: Server) -> None:
    """What comes in several parts is one answer."""

    def treat(visitor: socket.socket) -> None:
        line = visitor.recv(100)
        visitor.sendall(b"you said ")
        time.sleep(0.05)
        visitor.sendall(line)

    answer = do(admin(treat), SocketLine("show stat"))
    assert (answer.status, answer.text) == (200, "you said show stat\n")


def test_a_socket_that_says_nothing_does_not_hold_the_thread(admin: Server) -> None:
    """Neither silence nor a byte at a time outlives the timeout."""

    def trickle(visitor: socket.socket) -> None:
        try:
            for _ in range(100):
                visitor.sendall(b".")
                time.sleep(0.05)
        except OSError:
            return

    answer = do(admin(trickle), SocketLine("show stat"), timeout_s=0.2)
    assert answer.failure == "timeout"
    assert answer.duration_ms < 3_000


def test_a_socket_that_is_not_there_is_a_failed_connection(tmp_path: Path) -> None:
    """HAProxy may be restarting: it is tried again."""
    assert do(f"unix://{tmp_path}/none", SocketLine("show stat")).failure == "connection"


def test_a_tcp_socket_is_held_to_the_same_addresses_as_http() -> None:
    """Loopback is not allowed here; the metadata service never is."""
    for host in ("127.0.0.1", "169.254.169.254"):
        assert do(f"tcp://{host}:9", SocketLine("show stat")).failure == "forbidden address"


def test_a_command_to_a_socket_is_one_line() -> None:
    """What a decision brings along cannot smuggle in a second command."""
    with pytest.raises(UnusableError):
        SocketLine("set weight shop/canary 0\nshutdown sessions server shop/stable")


def test_a_file_behind_a_link_is_replaced_at_once(tmp_path: Path) -> None:
    """The link stays, mode and old readers too; nothing is left over."""
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with real.open() as reader:
        assert do(f"file://{link}", ReplaceFile(text_body("new"))).status == 200
        assert reader.read() == "old"
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [link, real]
    assert do(f"file://{link}", ReadFile()).text == "new"


def test_a_file_that_cannot_be_written_keeps_its_content(tmp_path: Path) -> None:
    """A missing directory is a named failure; a missing file is an answer."""
    answer = do(f"file://{tmp_path}/none/split.conf", ReplaceFile(text_body("new")))
    assert answer.failure == "file: FileNotFoundError"
    assert do(f"file://{tmp_path}/none/split.conf", ReadFile()).status == 404


def test_a_command_says_whether_it_worked_and_what_it_printed() -> None:
    """Its exit code decides; its output, errors too, is the answer."""
    argv = (sys.executable, "-c", "import sys; print('tested'); print('bad', file=sys.stderr)")
    good = do("file:///x", RunCommand(argv))
    assert good.status == 200
    assert set(good.text.split()) == {"tested", "bad"}
    failed = do("file:///x", RunCommand((sys.executable, "-c", "raise SystemExit('no')")))
    assert failed.status == 422
    assert failed.text.split() == ["no", "exit", "code", "1"]
    assert do("file:///x", RunCommand(("/no/such",))).failure == "command: FileNotFoundError"


def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """After the timeout neither it nor its children go on."""
    mark = tmp_path / "mark"
    script = f"(sleep 1; touch {mark}) & sleep 30"
    answer = do("file:///x", RunCommand(("/bin/sh", "-c", script)), timeout_s=0.3)
    assert answer.failure == "timeout"
    time.sleep(1.2)
    assert not mark.exists()


def test_a_child_that_keeps_the_pipe_is_not_waited_for() -> None:
    """A reload that leaves a daemon behind is over when the command is."""
    answer = do("file:///x", RunCommand(("/bin/sh", "-c", "echo done; sleep 3 &")), timeout_s=2.5)
    assert (answer.status, answer.text) == (200, "done\n")
    assert answer.duration_ms < 2_500


def test_nothing_is_done_after_the_decision_expired(tmp_path: Path) -> None:
    """As over HTTP."""
    file = tmp_path / "split.conf"
    answer = do(f"file://{file}", ReplaceFile(text_body("new")), within_s=0)
    assert answer.failure == "timeout"
    assert not file.exists()
