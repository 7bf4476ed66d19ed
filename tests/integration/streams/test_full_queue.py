"""A stream agent that is slower than its partition is not made to wait as well."""

from __future__ import annotations

import asyncio
import time
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

STRETCHES = 48
WORK_S = 0.01


async def seconds_for_all(kafka: KafkaSettings, state: Path, topic: str, waiting: int) -> float:
    """From the first stretch to the last, with room for so many in the agent's queue."""
    app = new_app(unique("queue"), kafka)
    app.conf.datadir = state
    app.conf.broker_max_poll_records = 1  # each message is a stretch
    app.conf.stream_buffer_maxsize = waiting
    done_at_s: list[float] = []
    is_done = asyncio.Event()

    async def work(stream: Any) -> None:
        async for _ in stream.noack_take(1, within=0.01):
            done_at_s.append(time.monotonic())
            await asyncio.sleep(WORK_S)
            if len(done_at_s) == STRETCHES:
                is_done.set()

    app.agent(raw_topic(app, topic))(work)
    await app.start()
    try:
        await asyncio.wait_for(is_done.wait(), 120)
    finally:
        await app.stop()
    return done_at_s[-1] - done_at_s[0]


async def test_a_full_queue_goes_on_when_it_has_room(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Faust leaves its partition out, and polls the idle ones for a second each time."""
    name = unique("queue")
    ensure_topics(kafka_settings, [replace(topics.PARTIALS, name=name)])
    produce(kafka_settings, name, [b"some"] * STRETCHES)
    never_full_s = await seconds_for_all(kafka_settings, tmp_path, name, 10 * STRETCHES)
    often_full_s = await seconds_for_all(kafka_settings, tmp_path, name, 8)
    assert often_full_s < 3 * never_full_s
