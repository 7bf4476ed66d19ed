"""Where a worker goes on reading after its partitions changed hands, in a real Faust app."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coalmine.stack.topics import ensure_topics
from contracts import topics
from contracts.settings import KafkaSettings
from streams.durable import new_app
from streams.outlet import raw_topic
from tests.support.stack import produce, unique

pytestmark = pytest.mark.integration


async def test_what_was_read_comes_again_where_nothing_was_committed_yet(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """A partition's first message may be in a queue, which is emptied, when it changes hands."""
    name = unique("seek")
    app = new_app(name, kafka_settings)
    app.conf.datadir = tmp_path
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def read_and_acknowledge_nothing(stream: Any) -> None:
        async for events in stream.noack_take(1, within=0.01):
            for event in events:
                for message in event.message.value.messages:
                    seen.put_nowait(message.value)

    app.agent(raw_topic(app, name))(read_and_acknowledge_nothing)
    ensure_topics(kafka_settings, [replace(topics.PARTIALS, name=name)])
    produce(kafka_settings, name, [b"first"])
    await app.start()
    try:
        assert await asyncio.wait_for(seen.get(), 60) == b"first"
        await app.consumer.perform_seek()
        app.consumer.resume_flow()
        assert await asyncio.wait_for(seen.get(), 15) == b"first"
    finally:
        await app.stop()
