"""The real agent as a process of its own, and a reader of what it shipped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from contracts import arrow
from contracts.records import Record, RecordKind
from contracts.results import DeadLetter
from contracts.settings import KafkaSettings
from contracts.topics import DEADLETTERS, TELEMETRY
from tests.support.stack import consume
from tests.support.waiting import wait_until

_RUN = "-m", "coalmine", "agent", "--config"


class AgentProcess:
    """``coalmine agent`` in another process; its log goes to ``log``.

    Args:
        config: the agent's file.
        environment: what it sees besides this process's own.
        log: what it prints is added there.
        program: run instead of ``-m coalmine agent --config``, with the file as last argument.
    """

    def __init__(
        self,
        config: Path,
        environment: Mapping[str, str],
        log: Path,
        program: Sequence[str] = (),
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *(program or _RUN), str(config)],
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self._process.kill()
        self._process.wait(timeout=10)

    def wait_for_end(self) -> int:
        """The exit code, once it ended by itself; -9 after SIGKILL."""
        return self._process.wait(timeout=60)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=10)

    def wait_for(self, event: str, count: int = 1) -> None:
        """Until the agent's log has ``event`` so many times."""
        wait_until(lambda: len(self.logged(event)) >= count, 30, f"{event} in {self._log}")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The agent's log lines with this event name."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["event"] == event]


def is_all_acknowledged(state: Path, logs: Iterable[Path]) -> bool:
    """Whether the checkpoint covers every byte of every file, and the spool is empty."""
    try:
        files = json.loads((state / "checkpoint.json").read_bytes())["files"]
        sizes = {p.stat().st_ino: p.stat().st_size for p in logs}
    except FileNotFoundError:
        return False
    offsets = {f["inode"]: f["offset"] for f in files}
    is_read = all(offsets.get(inode, 0) == size for inode, size in sizes.items())
    return is_read and not list((state / "spool").glob("*.entry"))


def write_config(path: Path, config: Mapping[str, object]) -> Path:
    """An agent's file; JSON is YAML."""
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def batches(
    settings: KafkaSettings, kind: RecordKind, agent: str
) -> Iterator[tuple[int, list[Record]]]:
    """Every batch of this agent in Kafka, repetitions included: sequence number and records."""
    for message in consume(settings, TELEMETRY[kind].name, at_least=0):
        headers = dict(message.headers)
        if headers.get(arrow.AGENT_HEADER) == agent.encode():
            records = arrow.records_from_batch(kind, arrow.decode(kind, message.value))
            yield int(headers[arrow.SEQ_HEADER]), records


def fenced(found: Iterable[tuple[int, list[Record]]]) -> list[Record]:
    """Records of batches as the fences let them through.

    A sequence number at or below the last one is a repetition, as for the stream worker's fence.
    """
    last_seq = 0
    passed: list[Record] = []
    for seq, records in found:
        if seq > last_seq:
            passed += records
            last_seq = seq
    return passed


def shipped(settings: KafkaSettings, kind: RecordKind, agent: str) -> list[Record]:
    """What this agent shipped, each (agent, topic, seq) once, as the fences read it."""
    return fenced(batches(settings, kind, agent))


def dead_letters(settings: KafkaSettings, origin_prefix: str) -> list[DeadLetter]:
    """Dead letters from files below a folder, each id once."""
    found: dict[str, DeadLetter] = {}
    for message in consume(settings, DEADLETTERS.name, at_least=0):
        letter = msgspec.json.decode(message.value, type=DeadLetter)
        if letter.origin.startswith(origin_prefix):
            found[letter.id] = letter
    return list(found.values())
