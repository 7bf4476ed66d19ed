"""The agent in this process with its receiver on a real port; a thread does its rounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from contracts.config import Secret
from contracts.records import Crash, RecordKind
from ingest.receiver.server import receiving
from tests.support.agent_rig import Rig
from tests.support.envelopes import envelope_of


class ReceiverRig:
    """What a test sends, and what the agent made of it."""

    def __init__(self, tmp_path: Path, rig: Rig, port: int) -> None:
        self.tmp_path = tmp_path
        self.rig = rig
        self.port = port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)

    def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """POST bytes; ``_`` in a header's name is a dash."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, content=body, headers=named)

    def envelope(self, *items: tuple[str, object], **headers: str) -> httpx.Response:
        """POST an envelope to project 1."""
        return self.post("/api/1/envelope/", envelope_of(*items), **headers)

    def crashes(self) -> list[Crash]:
        """All crashes in the spool, acknowledged by the test."""
        self.rig.acknowledge()
        return [c for c in self.rig.records(RecordKind.CRASHES) if isinstance(c, Crash)]


@contextmanager
def running(
    tmp_path: Path, *, keys: Sequence[str] = (), rig: Rig | None = None, **receiver: Any
) -> Iterator[ReceiverRig]:
    """A receiver that listens, until the end of the context."""
    rig = rig or Rig(
        tmp_path,
        {},
        receiver={"listen": "127.0.0.1:0", "timeout": 5, **receiver},
    )
    settings, inbox = rig.config.receiver, rig.inbox
    assert settings is not None
    assert inbox is not None
    ended = threading.Event()

    def rounds() -> None:
        while not ended.is_set():
            if not rig.agent.step():
                rig.wake.wait(0.02)
                rig.wake.clear()

    thread = threading.Thread(target=rounds)
    secrets = [Secret(key) for key in keys]
    with receiving(settings, secrets, inbox, "h", rig.clock) as server:
        thread.start()
        try:
            found = ReceiverRig(tmp_path, rig, server.port)
            with found.client:
                yield found
        finally:
            ended.set()
            thread.join()
