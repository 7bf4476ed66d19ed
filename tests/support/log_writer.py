"""A service that logs numbered, hashed requests while its log is rotated under it.

A program of its own (``python -m tests.support.log_writer LOG --service S ...``): it writes until
it gets SIGTERM, then prints one JSON line with the number of lines. ``LogWriter`` starts one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Self

_TURN_S = 0.01
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


class Rotation(StrEnum):
    """What becomes of the log while it is written."""

    RENAME = "rename"
    COPYTRUNCATE = "copytruncate"
    NONE = "none"


def line_of(service: str, number: int, time_ms: int) -> bytes:
    """Line ``number`` of a service: a JSON event whose trace id is a hash of all the rest."""
    status = 500 if number % 97 == 0 else 200
    duration = number % 1000 / 10
    fields = {
        "time": time_ms,
        "service.name": service,
        "service.version": "1",
        "user.id": str(number),
        "status": status,
        "duration_ms": duration,
        "trace.id": hash_of(service, number, time_ms, status, duration),
    }
    return json.dumps(fields).encode() + b"\n"


def hash_of(service: str, number: int, time_ms: int, status: int | None, duration: float) -> str:
    """What the trace id of an unaltered line is."""
    text = f"{service}|{number}|{time_ms}|{status}|{duration:.1f}"
    digits = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    # in letters: one hash in 26,000 is a card number by its digits, and the agent redacts those
    return digits.translate(_LETTERS)


class LogWriter:
    """The writer as a process: writes from ``with`` on until ``stop``.

    Args:
        log: the file it writes; rotated ones become ``log.1``, ``log.2`` and so on.
        service: the name in its lines, unique for each writer.
        rotation: how the log is rotated.
        lines_per_s: about so many, in small groups.
        rotate_every_s: seconds from one rotation to the next.
    """

    def __init__(
        self,
        log: Path,
        service: str,
        rotation: Rotation,
        *,
        lines_per_s: int = 3_000,
        rotate_every_s: float = 4.0,
    ) -> None:
        options = f"--service={service} --rotation={rotation} --rate={lines_per_s}"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.support.log_writer", str(log)),
                *(*options.split(), f"--rotate-every={rotate_every_s}"),
            ],
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate(timeout=10)

    def stop(self) -> int:
        """End it after its present line; the number of lines that it wrote."""
        self._process.send_signal(signal.SIGTERM)
        output, _ = self._process.communicate(timeout=30)
        lines: int = json.loads(output)["lines"]
        return lines


def _rotate(log: Path, rotation: Rotation, turn: int) -> None:
    if rotation is Rotation.RENAME:
        log.rename(f"{log}.{turn}")
    elif rotation is Rotation.COPYTRUNCATE:
        shutil.copyfile(log, f"{log}.{turn}")
        os.truncate(log, 0)


def _is_still(log: Path, fd: int) -> bool:
    try:
        return os.path.samestat(log.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _write(log: Path, options: argparse.Namespace, stopping: threading.Event) -> int:
    """Write until told to stop, in groups; as logrotate asks, reopen the log after a rename."""
    number = 0
    began_s = time.monotonic()
    file = log.open("ab", buffering=0)
    while not stopping.is_set():
        until = round((time.monotonic() - began_s) * options.rate)
        # a machine that stood still for a while does not answer with one giant group
        for at in range(number, min(until, number + options.rate)):
            file.write(line_of(options.service, at, time.time_ns() // 1_000_000))
            number = at + 1
        if not _is_still(log, file.fileno()):
            file.close()
            file = log.open("ab", buffering=0)
        time.sleep(_TURN_S)
    file.close()
    return number


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--service", required=True)
    parser.add_argument("--rotation", type=Rotation, required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--rotate-every", type=float, required=True)
    options = parser.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def rotate() -> None:
        turn = 0
        while not stopping.wait(options.rotate_every):
            turn += 1
            _rotate(options.log, options.rotation, turn)

    # a thread of its own, as logrotate is a process of its own: it does not wait for the writer
    rotator = threading.Thread(target=rotate)
    rotator.start()
    lines = _write(options.log, options, stopping)
    rotator.join()
    sys.stdout.write(json.dumps({"lines": lines}) + "\n")


if __name__ == "__main__":
    main()
