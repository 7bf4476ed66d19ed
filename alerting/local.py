"""What a preset may do beyond HTTP: a line to an admin socket, a file, a command. All bounded.

Sockets and files are those of the endpoint's address, commands those of its options: a decision
chooses what is written, never where, and never what is run.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from alerting.addresses import checked_addresses
from alerting.integrations.conversation import Answer
from alerting.settings import Endpoint

_ANSWER_BYTES = 1024 * 1024
_FILE_BYTES = 16 * 1024 * 1024
_PRINTED_BYTES = 16 * 1024


def say(endpoint: Endpoint, line: bytes, timeout_s: float) -> Answer:
    """Send a line to the endpoint's socket and read until it is closed.

    Raises:
        OSError: it cannot be reached, or does not answer in time (``TimeoutError``).
        ForbiddenAddressError: of a TCP address that this endpoint may not reach.
    """
    end_s = time.monotonic() + timeout_s
    said = bytearray()
    with _connect(endpoint, timeout_s) as connection:
        connection.settimeout(_left_s(end_s))
        connection.sendall(line)
        while len(said) <= _ANSWER_BYTES:
            connection.settimeout(_left_s(end_s))
            if not (part := connection.recv(65_536)):
                break
            said += part
    return Answer(200, body=bytes(said[:_ANSWER_BYTES]), is_cut=len(said) > _ANSWER_BYTES)


def _connect(endpoint: Endpoint, timeout_s: float) -> socket.socket:
    parts = urlsplit(endpoint.url.reveal())
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout_s)
        connection.connect(unquote(parts.path))
        return connection
    assert parts.hostname is not None, "checked when the file was read"
    assert parts.port is not None, "checked when the file was read"
    failure = OSError(f"{parts.hostname} has no address")
    for address in checked_addresses(parts.hostname, parts.port, endpoint.private_networks):
        try:
            return socket.create_connection((str(address), parts.port), timeout_s)
        except OSError as error:
            failure = error
    raise failure


def read(path: Path) -> Answer:
    """What stands in a file: 200, or 404 if there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES + 1)
    except FileNotFoundError:
        return Answer(404)
    return Answer(200, body=content[:_FILE_BYTES], is_cut=len(content) > _FILE_BYTES)


def replace_file(path: Path, content: bytes) -> None:
    """Give a file new content at once, keeping its mode and owner; durable when this returns.

    Raises:
        OSError: it cannot be written; the old content stands.
    """
    meant = path.resolve()  # of a link the target: whoever follows the link goes on doing so
    handle, name = tempfile.mkstemp(prefix=f".{meant.name}.", dir=meant.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            _like(meant, file.fileno())
            os.fsync(file.fileno())
        os.replace(name, meant)  # noqa: PTH105 - the standard's word for it
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(meant.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _like(model: Path, file: int) -> None:
    try:
        known = model.stat()
    except FileNotFoundError:
        os.fchmod(file, 0o644)
        return
    os.fchmod(file, known.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.fchown(file, known.st_uid, known.st_gid)


def run(argv: Sequence[str], timeout_s: float) -> Answer:
    """Run a command to its end: 200, or 422 where its exit code is not 0; the body is its output.

    Raises:
        OSError: it cannot be started.
        TimeoutError: it did not end in time; it and what it started were killed.
    """
    with subprocess.Popen(  # noqa: S603 - argv stands in the endpoints file
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        close_fds=True,
    ) as process:
        try:
            printed = _drain(process, time.monotonic() + timeout_s)
        except BaseException:
            _kill(process)
            raise
    text = f"exit code {process.returncode}\n".encode() if process.returncode else b""
    return Answer(422 if process.returncode else 200, body=printed + text)


def _drain(process: subprocess.Popen[bytes], end_s: float) -> bytes:
    """The end of what it printed, once it has ended; children that live on are not waited for."""
    assert process.stdout is not None, "opened as a pipe"
    pipe, printed = process.stdout.fileno(), bytearray()
    os.set_blocking(pipe, False)
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while process.poll() is None:
            if ready.select(min(0.02, _left_s(end_s))):
                printed += _some(pipe)
                del printed[:-_PRINTED_BYTES]
        printed += _some(pipe)
    return bytes(printed[-_PRINTED_BYTES:])


def _some(pipe: int) -> bytes:
    try:
        return os.read(pipe, 65_536)
    except BlockingIOError:
        return b""


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended meanwhile
    process.wait()


def _left_s(end_s: float) -> float:
    left_s = end_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the attempt's time is over")
    return left_s
