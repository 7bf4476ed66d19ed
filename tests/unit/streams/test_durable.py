"""The places where Faust was changed, each by itself; whole workers are killed in tests/faults."""

from __future__ import annotations

import asyncio
import time

import pytest

from contracts.errors import Fatal
from contracts.settings import KafkaSettings
from streams import durable
from streams.durable import DurableApp, new_app
from streams.tables import DurableTable


@pytest.fixture
def app() -> DurableApp:
    """An app that is never started."""
    return new_app("test", KafkaSettings())


async def test_a_process_that_stood_still_ends_and_writes_nothing(
    app: DurableApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first after it wakes, the write or the pulse."""
    ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def note(error: BaseException) -> None:
        ended.set_result(error)
        await asyncio.Event().wait()

    monkeypatch.setattr(app, "stop_for_good", note)
    monkeypatch.setattr(durable, "PULSE_S", 0.01)
    monkeypatch.setattr(durable, "LEASE_S", 5.0)
    keeping = asyncio.create_task(app.keep_lease())
    await asyncio.sleep(0.05)
    time.sleep(0.1)  # noqa: ASYNC251 - an event loop that is busy has not lost anything
    app.check_lease()
    assert not ended.done()
    monkeypatch.setattr(durable, "LEASE_S", -1.0)  # it stood still for longer than that
    with pytest.raises(Fatal, match="stood still"):
        await DurableTable(app, "states").put(b"s", b"x", version=1, partition=0)
    assert "another worker" in str(await asyncio.wait_for(ended, 5))
    keeping.cancel()
