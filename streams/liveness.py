"""Whether a Faust process moves and can do its work: pulses, and the needs of readiness.

Two ways to be stuck: the event loop is blocked, or a stream agent waits for ever for something that
is there. Waiting for a Kafka that is away is neither: then nothing could move, and a restart would
only delay the return.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from aiokafka.errors import KafkaError

from contracts import topics
from streams.durable import DurableApp
from streams.lag import Lag

log = structlog.get_logger()

_TOPICS = frozenset(topic.name for topic in topics.ALL)
LOOP_LIMIT_S = 30.0
HANDLING_LIMIT_S = 30.0
"""Far beyond any message's work; Kafka's own waits are excused while it does not answer."""
_BEAT_S = 1.0
_PROBE_EVERY_S = 2.0
_ANSWER_WITHIN_S = 3.0


class Liveness:
    """Beats for the event loop, asks Kafka for a sign of life, and knows whether work can be done.

    Args:
        app: not started yet; its ``vitals`` are what is kept up to date.
        loop: the event loop that the app will run on.
        lag: measured every second.
    """

    def __init__(self, app: DurableApp, loop: asyncio.AbstractEventLoop, lag: Lag) -> None:
        self._app = app
        self._loop = loop
        self._moves = app.vitals.pulse("event loop", LOOP_LIMIT_S)
        self._lag = lag
        self._answers = False
        self._probing: asyncio.Task[None] | None = None
        app.vitals.need("kafka answers", lambda: self._answers)
        recovery = app.tables.recovery
        app.vitals.need(
            "partitions are assigned", lambda: recovery.completed.is_set() and not app.rebalancing
        )

    def start(self) -> None:
        """Begin, on the event loop."""
        self._beat()
        self._probing = self._loop.create_task(self._probe())

    def _beat(self) -> None:
        self._moves.beat()
        self._measure()
        self._loop.call_later(_BEAT_S, self._beat)

    def _measure(self) -> None:
        consumer = getattr(self._app, "_consumer", None)  # the property would make one
        if consumer is None or not self._app.vitals.is_ready:
            return
        ours = [place for place in consumer.assignment() if place.topic in _TOPICS]
        ends = {tuple(place): consumer.highwater(place) for place in ours}
        starts = {tuple(p): consumer._committed_offset[p] or 0 for p in ours}  # noqa: SLF001 - no public way
        known = {place: end for place, end in ends.items() if end is not None}
        self._lag.measure(known, starts, time.time_ns() // 1_000_000)

    async def _probe(self) -> None:
        while True:
            answers = await self._ask_kafka()
            if answers != self._answers and not self._app.should_stop:
                log.info("kafka_answers" if answers else "kafka_silent")
            self._answers = answers
            if not answers:
                self._app.vitals.excuse()
            await asyncio.sleep(_PROBE_EVERY_S)

    async def _ask_kafka(self) -> bool:
        """Whether any broker answers the producer's client: it is what results go out by."""
        # neither has another name; both are made when the app starts
        producer = getattr(getattr(self._app, "_producer", None), "_producer", None)
        if producer is None or not producer.client.cluster.brokers():
            return False
        try:
            await asyncio.wait_for(producer.client.fetch_all_metadata(), _ANSWER_WITHIN_S)
        except (TimeoutError, KafkaError, OSError):
            return False
        return True
