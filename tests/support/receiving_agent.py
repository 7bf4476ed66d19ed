"""An agent process with a receiver, in one life after another, and a sender that insists."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from contracts.records import Crash, RecordKind
from contracts.settings import KafkaSettings
from tests.integration.ingest.agent_process import AgentProcess, shipped, write_config
from tests.support.envelopes import envelope_of


@dataclass
class Receiving:
    """An agent with a receiver, in one life after another."""

    name: str
    folder: Path
    port: int
    environment: Mapping[str, str]
    settings: KafkaSettings

    def agent(self, *program: str, kafka: str = "") -> AgentProcess:
        """The next life; ``kafka`` is another address than the real one."""
        config = write_config(
            self.folder / "agent.yaml",
            {
                "agent": self.name,
                "state_dir": str(self.folder / "state"),
                "receiver": {"listen": f"127.0.0.1:{self.port}"},
            },
        )
        environment = {**self.environment, **({"COALMINE_KAFKA": kafka} if kafka else {})}
        return AgentProcess(config, environment, self.folder / "agent.log", program)

    def send(self, number: int) -> int:
        """Report crash ``number``; the status, or 0 where nobody answers."""
        exception = {"values": [{"type": "E", "value": str(number)}]}
        event = {"event_id": f"{number:032x}", "timestamp": time.time(), "exception": exception}
        url = f"http://127.0.0.1:{self.port}/api/1/envelope/"
        try:
            return httpx.post(url, content=envelope_of(("event", event)), timeout=20).status_code
        except httpx.TransportError:
            return 0

    @contextmanager
    def sending(self) -> Iterator[list[int]]:
        """Crash after crash, each again until it is answered with 200; those that were."""
        taken: list[int] = []
        ended = threading.Event()

        def send_all() -> None:
            while not ended.is_set():
                if self.send(len(taken)) == 200:
                    taken.append(len(taken))
                else:
                    ended.wait(0.05)

        thread = threading.Thread(target=send_all)
        thread.start()
        try:
            yield taken
        finally:
            ended.set()
            thread.join()

    def is_all_shipped(self) -> bool:
        """Whether nothing waits in the spool."""
        return not list((self.folder / "state" / "spool").glob("*.entry"))

    def arrived(self) -> Counter[str]:
        """How often each crash came through the fences, by its message."""
        crashes = shipped(self.settings, RecordKind.CRASHES, self.name)
        return Counter(c.exception_message for c in crashes if isinstance(c, Crash))
