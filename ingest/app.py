"""The agent's process: settings, clients, signals; everything else is in the other modules."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from contracts import journal
from contracts.clock import SystemClock
from contracts.config import Secret, resolve_secret
from contracts.errors import ConfigError, Fatal
from contracts.settings import kafka_settings
from health.address import Address
from health.server import serve
from health.vitals import Vitals
from ingest import metrics
from ingest.agent import Agent
from ingest.checkpoint import Checkpoint
from ingest.files import write_durably
from ingest.hosts import HostSampler
from ingest.receiver.inbox import Inbox
from ingest.redact import redactor_of
from ingest.settings import AgentConfig, load_agent_config
from ingest.ship import Shipper
from ingest.sink import KafkaSink
from ingest.spool import Spool

if TYPE_CHECKING:
    from ingest.receiver.server import Receiver

_STOP_S = 3.0
_REPORT_EVERY_S = 30.0
_READING_LIMIT_S = 60.0
"""A first look over very many files takes its time."""

log = structlog.get_logger()


def run(config: Path, health: Address | None = None) -> None:
    """Ship what the files named in ``config`` hold, until SIGTERM or SIGINT.

    Args:
        config: the agent's file.
        health: where it tells of its health.

    Raises:
        ConfigError: the file, the environment or the state folder is not usable.
        Fatal: the agent cannot go on and wants to be started anew.
    """
    sys.meta_path.insert(0, _WithoutPandas())
    journal.configure()
    settings = load_agent_config(config)
    kafka = kafka_settings()
    keys = _receiver_keys(settings, config)
    stopping = _Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopping.begin)
    clock = SystemClock()
    vitals = Vitals(clock)
    with _only_agent_in(settings.state_dir), serve(health, vitals, metrics.REGISTRY):
        host = socket.gethostname()
        spool = Spool(settings.state_dir / "spool", settings.spool.max_bytes)
        checkpoint = Checkpoint(settings.state_dir / "checkpoint.json", clock)
        sampler = None
        if settings.hosts is not None:
            sampler = HostSampler(settings.hosts, host, clock, settings.state_dir)
        inbox = None if settings.receiver is None else Inbox(stopping.wake)
        agent = Agent(
            settings,
            host=host,
            spool=spool,
            checkpoint=checkpoint,
            sampler=sampler,
            clock=clock,
            redactor=redactor_of(settings.redaction, _redaction_key(settings, config)),
            inbox=inbox,
        )
        sink = KafkaSink(kafka, f"coalmine-agent-{settings.agent_id}")
        shipper = Shipper(spool, checkpoint, sink, clock, vitals)
        metrics.watch(vitals, agent, spool, shipper, settings.spool.max_bytes)
        shipper.start()
        log.info("agent_started", agent=settings.agent_id, kafka=kafka.bootstrap)
        with _receiving(settings, keys, inbox, host) as receiver:
            _loop(settings, agent, shipper, receiver, spool, stopping, vitals)
            agent.finish()  # whoever sent something last gets an answer before the receiver ends
        shipper.stop(_STOP_S)
        _report("agent_stopped", agent, shipper, spool)


class _Stopping:
    """Whether the process is to end; ``wake`` ends the wait between two rounds."""

    def __init__(self) -> None:
        self.is_asked = False
        self.wake = threading.Event()

    def begin(self, *_: object) -> None:
        """Handle a signal."""
        self.is_asked = True
        self.wake.set()


@contextmanager
def _receiving(
    settings: AgentConfig, keys: Sequence[Secret], inbox: Inbox | None, host: str
) -> Iterator[Receiver | None]:
    if settings.receiver is None or inbox is None:
        yield None
        return
    # most of a second of CPU that no agent without a receiver shall spend
    from ingest.receiver.server import receiving  # noqa: PLC0415

    with receiving(settings.receiver, keys, inbox, host, SystemClock()) as receiver:
        yield receiver


class _WithoutPandas(MetaPathFinder):
    """Arrow imports pandas when it makes its first array, where it is installed.

    No agent needs it; it would be a quarter of its memory, and a second that lines wait.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """There is no pandas; any other module is left to the finders after this one."""
        del path, target
        if fullname == "pandas":
            raise ModuleNotFoundError("the agent runs without pandas", name=fullname)


def _loop(
    settings: AgentConfig,
    agent: Agent,
    shipper: Shipper,
    receiver: Receiver | None,
    spool: Spool,
    stopping: _Stopping,
    vitals: Vitals,
) -> None:
    clock = SystemClock()
    pulse = vitals.pulse("reading", _READING_LIMIT_S)
    report_s = clock.monotonic_s() + _REPORT_EVERY_S
    while not stopping.is_asked:
        pulse.beat()
        if not shipper.is_alive():
            raise Fatal(f"the shipping thread ended: {shipper.failure!r}")
        if receiver is not None and not receiver.is_alive():
            raise Fatal(f"the receiver's thread ended: {receiver.failure!r}")
        if not agent.step():
            stopping.wake.wait(float(settings.poll_interval))
            stopping.wake.clear()
        if clock.monotonic_s() >= report_s:
            _report("agent_progress", agent, shipper, spool)
            report_s = clock.monotonic_s() + _REPORT_EVERY_S
    pulse.rest()


def _report(event: str, agent: Agent, shipper: Shipper, spool: Spool) -> None:
    counters = agent.counters
    log.info(
        event,
        lines=counters.lines,
        records=counters.records,
        dead_letters=counters.dead_letters,
        shipped_entries=shipper.shipped_entries,
        spool_bytes=spool.size_bytes,
        quarantined=spool.quarantined,
        redacted=dict(counters.redacted),
    )


def _receiver_keys(settings: AgentConfig, source: Path) -> list[Secret]:
    references = () if settings.receiver is None else settings.receiver.keys
    return [
        resolve_secret(reference, source=str(source), field=f"receiver.keys[{index}]")
        for index, reference in enumerate(references)
    ]


def _redaction_key(settings: AgentConfig, source: Path) -> bytes:
    if settings.redaction.key:
        reference = settings.redaction.key
        secret = resolve_secret(reference, source=str(source), field="redaction.key")
        return secret.reveal().encode()
    path = settings.state_dir / "redaction.key"
    if path.exists():
        return path.read_bytes()
    key = secrets.token_hex(32).encode()
    try:
        path.with_name(f"{path.name}.tmp").touch(mode=0o600)
        write_durably(path, key)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be written: {error.strerror}") from error
    return key


@contextmanager
def _only_agent_in(state_dir: Path) -> Iterator[None]:
    """Hold the state folder's lock, so that two agents never share one."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        # for reading only: a handle for writing would keep the disk from becoming read-only
        lock = os.open(state_dir / "lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(str(state_dir), f"state_dir cannot be used: {error.strerror}") from error
    with os.fdopen(lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(str(state_dir), "another agent uses this state_dir") from error
        yield
