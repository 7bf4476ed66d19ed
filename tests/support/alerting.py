"""Real receivers, real alerters and the real deploy tool, each test with endpoints of its own.

The fixtures are for the ``conftest.py`` of the folders that use them. kafka-python is imported
late: it warns while it is imported, and this file is read before the run's warning filters are set.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from contracts.results import Decision, DecisionAction, Delivery, Outcome, RelativeRisk, decision_id
from contracts.settings import KafkaSettings
from contracts.topics import DECISIONS, DELIVERIES
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Hit:
    """One request as a receiver saw it."""

    at_ms: int
    path: str
    headers: dict[str, str]
    body: bytes
    port: int = 0
    """The sender's."""


@dataclass
class Receiver:
    """An HTTP server that answers as its test says; ``hits`` is what came."""

    answer: Callable[[Receiver], tuple[int, dict[str, str]]]
    hits: list[Hit] = field(default_factory=list)
    port: int = 0

    def reply(self, hit: Hit) -> tuple[int, dict[str, str]]:
        """Status and headers for one request; called by a thread of that request."""
        assert hit.headers
        return self.answer(self)

    def sent(self, hit: Hit) -> None:
        """Called once the answer has left."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
def listen() -> Iterator[Callable[[Receiver], None]]:
    """Lets receivers listen until the test is over."""
    servers: list[ThreadingHTTPServer] = []

    def start(made: Receiver) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
        server.daemon_threads = True
        made.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def receiver(
    listen: Callable[[Receiver], None],
) -> Callable[[Callable[[Receiver], tuple[int, dict[str, str]]]], Receiver]:
    """Makes receivers that answer as told."""

    def make(answer: Callable[[Receiver], tuple[int, dict[str, str]]]) -> Receiver:
        made = Receiver(answer)
        listen(made)
        return made

    return make


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            at_ms = time.time_ns() // 1_000_000
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {k.lower(): v for k, v in self.headers.items()}
            hit = Hit(at_ms, self.path, headers, body, self.client_address[1])
            receiver.hits.append(hit)
            status, more = receiver.reply(hit)
            try:
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()
                self.wfile.flush()
            except OSError:
                return  # the sender was killed, or gave up
            receiver.sent(hit)

        do_PUT = do_POST  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def new_secret() -> str:
    """A secret as an operator would make it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A process of ours, its output in a file, ended with the test."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._command, self._environment, self.log = command, dict(environment), log
        self._running = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """Everything it printed, over all its lives."""
        return self.log.read_text()

    def stacks(self) -> str:
        """What each of its threads does now, after everything it printed: for a failed test."""
        self._running.send_signal(signal.SIGUSR1)
        time.sleep(1)
        return self.output[-6000:]

    @property
    def pid(self) -> int:
        """Of its present life."""
        return self._running.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._running.poll() is None

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        present = self._running  # another thread may start it anew as soon as it is dead
        present.kill()
        present.wait(10)

    def restart(self) -> None:
        """Start it anew, once the kill that another thread may still be about has ended it."""
        self._running.wait(10)
        self._running = self._start()

    def stop(self) -> float:
        """SIGTERM, then seconds until it ended."""
        began = time.monotonic()
        if self._running.poll() is None:
            self._running.send_signal(signal.SIGTERM)
            try:
                self._running.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.monotonic() - began


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts processes; each is ended with the test."""
    started: list[Process] = []

    def make(command: list[str], environment: Mapping[str, str]) -> Process:
        made = Process(command, environment, tmp_path / f"process-{len(started)}.log")
        started.append(made)
        return made

    yield make
    for one in started:
        one.stop()


class Wire:
    """One producer and one reader of deliveries for all tests: clients are slow to make."""

    def __init__(self, kafka: KafkaSettings) -> None:
        from kafka import (  # noqa: PLC0415 - see the top
            KafkaConsumer,
            KafkaProducer,
            TopicPartition,
        )

        self._producer = KafkaProducer(**kafka.client_options())
        self._consumer = KafkaConsumer(**kafka.client_options(), fetch_max_wait_ms=100)
        numbers = self._consumer.partitions_for_topic(DELIVERIES.name)
        partitions = [TopicPartition(DELIVERIES.name, number) for number in numbers]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)
        self._records: list[Delivery] = []

    def send(self, topic: str, key: str, value: bytes) -> None:
        """Returns when the broker has it."""
        self._producer.send(topic, value, key=key.encode()).get(timeout=30)

    def deliveries(self) -> list[Delivery]:
        """All records so far."""
        for batch in self._consumer.poll(timeout_ms=100).values():
            self._records += [msgspec.json.decode(r.value, type=Delivery) for r in batch]
        return self._records

    def close(self) -> None:
        """End both clients."""
        self._producer.close(timeout=5)
        self._consumer.close()


@pytest.fixture(scope="session")
def wire(kafka_settings: KafkaSettings) -> Iterator[Wire]:
    """The clients of the whole run."""
    made = Wire(kafka_settings)
    yield made
    made.close()


class Alerting:
    """Alerters with endpoints of this test, for services that only this test has."""

    def __init__(self, wire: Wire, alerters: Sequence[Process], service: str) -> None:
        self.wire = wire
        self.alerters = alerters
        self.service = service

    @property
    def alerter(self) -> Process:
        """The first of them, mostly the only one."""
        return self.alerters[0]

    def decide(self, **changes: Any) -> Decision:
        """Put a decision on the topic, as the judge does."""
        decision = decision_of(self.service, **changes)
        self.wire.send(DECISIONS.name, decision.service, msgspec.json.encode(decision))
        return decision

    def deliveries(self, decision: Decision) -> list[Delivery]:
        """What was recorded of it so far, in the order of attempts."""
        mine = [record for record in self.wire.deliveries() if record.decision == decision.id]
        return sorted(mine, key=lambda record: (record.endpoint, record.attempt))

    def settled(self, decision: Decision, timeout_s: float = 30.0) -> list[Delivery]:
        """Its records once the last one is final."""

        def ended() -> list[Delivery]:
            records = self.deliveries(decision)
            return records if records and records[-1].outcome != "retrying" else []

        try:
            return wait_until(ended, timeout_s, f"{decision.id} settled")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.alerter.stacks()}") from error


def decision_of(service: str, **changes: Any) -> Decision:
    """A rollback of this moment, of a rollout that only it has."""
    now_ms = time.time_ns() // 1_000_000
    rollout = f"rollout-{uuid.uuid4().hex[:8]}"
    fields: dict[str, Any] = {
        "id": decision_id(rollout, "canary", DecisionAction.ROLLBACK),
        "time": now_ms,
        "processed_time": now_ms,
        "expires_at": now_ms + 60_000,
        "service": service,
        "rollout": rollout,
        "canary": "1.5.0",
        "baseline": "1.4.2",
        "phase": "canary",
        "action": DecisionAction.ROLLBACK,
        "outcome": Outcome.REGRESSED,
        "reason": "errors are 3.1 times as frequent",
        "guilty_metric": "error_rate",
        "relative_risk": RelativeRisk(estimate=3.1, lower=1.4, upper=6.8),
        "evidence_log10": 2.31,
    }
    return Decision(**{**fields, **changes})


@pytest.fixture
def alerting(
    tmp_path: Path,
    wire: Wire,
    stack_environment: Mapping[str, str],
    process: Callable[..., Process],
) -> Callable[..., Alerting]:
    """Starts alerters for the endpoints given; each gets what it leaves out filled in."""

    def start(*endpoints: dict[str, Any], secret: str | None = None, alerters: int = 1) -> Alerting:
        service = f"service-{uuid.uuid4().hex[:8]}"
        config = tmp_path / "endpoints.yaml"
        config.write_text(yaml.safe_dump({"endpoints": [
            {
                "name": f"endpoint-{number}-{service}",
                "secret": "${env:TEST_SECRET}",
                "services": [service],
                "allow_private": True,
                "timeout": "2s",
                "retry": {"delays": ["100ms", "200ms"]},
                **endpoint,
            }
            for number, endpoint in enumerate(endpoints)
        ]}))  # fmt: skip
        code = (
            "import faulthandler as f, signal; f.register(signal.SIGUSR1, all_threads=True);"
            f"from pathlib import Path; import alerting.app as a; a.run(Path({str(config)!r}))"
        )
        environment = {**os.environ, **stack_environment, "TEST_SECRET": secret or new_secret()}
        started = [process([sys.executable, "-c", code], environment) for _ in range(alerters)]
        for one in started:
            wait_until(partial(_is_ready, one), 60, "the alerter")
        return Alerting(wire, started, service)

    return start


@pytest.fixture
def deploy_tool(
    process: Callable[..., Process], tmp_path: Path, receiver: Callable[..., Receiver]
) -> Callable[[str], tuple[str, Receiver, Callable[[], list[dict[str, Any]]]]]:
    """Starts the example deploy tool before a router: its URL, the router and its audit log."""

    def start(secret: str) -> tuple[str, Receiver, Callable[[], list[dict[str, Any]]]]:
        router = receiver(lambda _: (200, {}))
        port, log = free_port(), tmp_path / "audit.jsonl"
        command = [
            *(sys.executable, "examples/deploy_tool.py", "--port", str(port)),
            *("--router", f"http://127.0.0.1:{router.port}", "--secret-env", "TOOL_SECRET"),
            *("--audit-log", str(log)),
        ]
        process(command, {**os.environ, "TOOL_SECRET": secret})
        wait_until(lambda: _is_open(port), 15, "the deploy tool")

        def audit() -> list[dict[str, Any]]:
            if not log.exists():
                return []
            return [json.loads(line) for line in log.read_text().splitlines()]

        return f"http://127.0.0.1:{port}/webhooks", router, audit

    return start


def _is_ready(alerter: Process) -> bool:
    return "alerter_ready" in alerter.output


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
