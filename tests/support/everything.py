"""All of Coalmine by ``coalmine up`` on servers of its own, and a shop that writes logs for it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import yaml
from elasticsearch import ApiError, Elasticsearch, TransportError

from coalmine.cli.state import Running, find_running
from coalmine.stack.ports import free_port
from contracts.indices import WINDOWS
from tests.support.alerting import new_secret
from tests.support.waiting import wait_until

BASELINE, CANARY = "1.4.2", "1.5.0"
_TURN_S = 0.05
_LARGEST_LOG = 2**30
"""Bytes."""


class Shop(threading.Thread):
    """Writes requests of two releases into a log each; the canary's fail four times as often.

    A line costs it 0.3 µs, so that it is not what is measured where the load is high.

    Args:
        directory: of its logs; one that is too large becomes ``.1``, in place of the former one.
        seed: of status and duration.
        per_s: lines a second of each release.
    """

    def __init__(self, directory: Path, seed: int, per_s: int = 400) -> None:
        super().__init__(daemon=True)
        self._per_turn = round(per_s * _TURN_S)
        self._directory = directory
        self._chosen = random.Random(seed)
        self._stopping = threading.Event()
        self._ends = {BASELINE: self._drawn(0.05), CANARY: self._drawn(0.2)}
        self.has_canary = False
        self.written: Counter[str] = Counter()

    def run(self) -> None:
        """Write until ``stop``."""
        due_s = time.monotonic()
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            due_s += _TURN_S
            self._write(self._directory / "a.log", BASELINE)
            if self.has_canary:
                self._write(self._directory / "b.log", CANARY)

    def stop(self) -> None:
        """Finish the last line."""
        self._stopping.set()
        self.join()

    def _drawn(self, error_rate: float) -> list[str]:
        """Ends of lines, drawn once: as many as two turns need, and at least some thousands."""
        return [
            f'"http.response.status_code": {500 if self._chosen.random() < error_rate else 200}, '
            f'"duration_ms": {self._chosen.lognormvariate(3, 0.5)}}}\n'
            for _ in range(max(5_000, 2 * self._per_turn))
        ]

    def _write(self, log: Path, release: str) -> None:
        ends = self._ends[release]
        first = self._chosen.randrange(len(ends) - self._per_turn)
        now_ms = time.time_ns() // 1_000_000
        start = f'{{"time": {now_ms}, "service.name": "shop", "service.version": "{release}", '
        with log.open("a", encoding="utf-8") as file:
            file.write(start + start.join(ends[first : first + self._per_turn]))
            size = file.tell()
        self.written[release] += self._per_turn
        if size > _LARGEST_LOG:
            log.rename(f"{log}.1")


class Everything:
    """``coalmine up`` on one state directory, with all it starts."""

    def __init__(self, state: Path, arguments: list[str]) -> None:
        self._state = state
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", "coalmine", "up", "--state", str(state), *arguments]

    def start(self) -> Running:
        """Start, and wait until it says where it is."""
        own = ("COALMINE_KAFKA", "COALMINE_ELASTICSEARCH", "COALMINE_STATE")
        with (self._state / "up.log").open("ab") as log:
            process = self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={k: v for k, v in os.environ.items() if k not in own},
                start_new_session=True,
            )

        def running() -> Running | None:
            assert process.poll() is None, self.log()
            found = find_running(self._state)
            return found if found and found.pid == process.pid else None

        found = wait_until(running, timeout_s=180)
        assert found is not None
        return found

    def kill(self) -> int:
        """SIGKILL to every process that works for this state directory; how many there were."""
        killed = 0
        for process in list(self.processes()):
            process.kill()
            killed += 1
        wait_until(lambda: not list(self.processes()), timeout_s=30)
        return killed

    def stop(self) -> None:
        """Ctrl-C."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(90)

    def log(self) -> str:
        """The end of what it said."""
        return (self._state / "up.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def processes(self) -> Iterator[psutil.Process]:
        """Everything that works for this state directory."""
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), *process.environ().values(), process.cwd()]
                is_ours = any(str(self._state) in word for word in words)
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


def arguments(state: Path, webhook: str, *parts: str) -> list[str]:
    """What ``coalmine up`` is told: a shop's logs, an empty policy, and whom to call.

    Args:
        state: its directory.
        webhook: whom to call.
        parts: of ``policies``, ``endpoints`` and ``agent`` those to run; all where none is named.
    """
    (state / "shop").mkdir()
    (state / "policies").mkdir()
    (state / "secret").write_text(new_secret(), encoding="utf-8")
    endpoint = {
        "name": "deploy-tool",
        "url": webhook,
        "secret": f"${{file:{state / 'secret'}}}",
        "allow_private": ["127.0.0.0/8"],
    }
    files = {
        "policies/shop.yaml": {"service": "shop", "autodetect": True},
        "endpoints.yaml": {"endpoints": [endpoint]},
        "agent.yaml": {
            "agent": "everything",
            "state_dir": str(state / "agent"),
            "files": [{"paths": [str(state / "shop/*.log")], "service": "shop", "release": "?"}],
        },
    }
    for name, content in files.items():
        (state / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    named = {"policies": "policies", "endpoints": "endpoints.yaml", "agent": "agent.yaml"}
    chosen = {name: state / path for name, path in named.items() if not parts or name in parts}
    paths = [word for name, path in chosen.items() for word in (f"--{name}", str(path))]
    return [*paths, "--port", str(free_port())]


def counted(running: Running, label: str = "service.version") -> Counter[str]:
    """Requests that are stored, by a label; nothing while Elasticsearch does not answer."""
    client = Elasticsearch(running.elasticsearch, request_timeout=10)
    try:
        client.indices.refresh(index=WINDOWS.pattern)
        found = client.search(index=WINDOWS.pattern, size=10_000)
    except (ApiError, TransportError):
        return Counter()
    counted: Counter[str] = Counter()
    for hit in found["hits"]["hits"]:
        counted[hit["_source"][label]] += hit["_source"]["counts"].get("request", 0)
    return counted
