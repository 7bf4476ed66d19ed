"""Faust, made to keep its word: the few places where its defaults can lose or delay a message.

- its producer acknowledges with ``acks=1`` and without idempotence: both are set here;
- a table's changelog is sent in the background, and read through what stops and clears when
  partitions change hands: ``streams.tables`` has tables of its own;
- its consumer can lose, repeat and delay messages: ``streams.consuming``;
- an exception in a stream agent acknowledges the event it was about: ``stop_for_good`` ends the
  process instead, so that the event comes again. Where Faust's own stop hangs after a crash, which
  it does now and then, the process ends all the same;
- its stop waits for Kafka for ever: ``PromptWorker`` does not;
- aiokafka does not know how uvloop says that a connection was closed, and stops its producer for
  good where a message meets one; and it copies what it receives: ``streams.connection``;
- it decompresses block by block: ``streams.decompression``;
- nothing keeps a worker that was wedged from writing when it wakes, while another one has its
  partitions: ``check_lease`` ends it, and the versions of ``DurableTable`` and of the documents
  make what it had already sent harmless.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import faust
import structlog
from faust.transport.drivers import aiokafka as driver

from contracts.errors import CoalmineError, Fatal
from contracts.settings import KafkaSettings
from health.vitals import Vitals
from streams import connection, decompression
from streams.clients import ssl_context
from streams.consuming import FETCH_BYTES, FIRST_POLL_MESSAGES, PromptConsumer

log = structlog.get_logger()

MAX_MESSAGE_BYTES = 8_000_000
CRASH_WITHIN_S = 5.0
STOP_WITHIN_S = 8.0
WAITING_STRETCHES = 2
"""How many stretches may wait for a stream agent: each has up to ``POLL_BYTES``."""
SESSION_S = 10.0
"""After so long without a heartbeat, Kafka gives a worker's partitions to another."""
LEASE_S = 8.0
PULSE_S = 0.5


connection.install()
decompression.install()


class DurableProducer(driver.Producer):  # type: ignore[misc]  # Faust has no types
    """Waits for all in-sync replicas, and retries without duplicates within its session."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class DurableTransport(driver.Transport):  # type: ignore[misc]  # Faust has no types
    """Faust's Kafka transport with a consumer and a producer that keep their word."""

    Consumer = PromptConsumer
    Producer = DurableProducer


class DurableApp(faust.App):  # type: ignore[misc]  # Faust has no types
    """A Faust app on ``DurableTransport``; ``vitals`` tell whether it moves."""

    vitals: Vitals

    _alive_s = math.inf
    """Monotonic time of the last pulse; before the first one nothing is judged by it."""

    def _new_transport(self) -> DurableTransport:
        return DurableTransport(self.conf.broker_consumer, self, loop=self.loop)

    def _new_producer_transport(self) -> DurableTransport:
        return DurableTransport(self.conf.broker_producer, self, loop=self.loop)

    def _crash(self, reason: BaseException) -> None:
        """Stop as Faust does; where that hangs, end the process: all that counts is in Kafka."""
        _after(CRASH_WITHIN_S, _end_process, reason)
        super()._crash(reason)

    async def keep_lease(self) -> None:
        """Note all the time that this process runs; end it where it stood still too long.

        In a thread, as Faust's heartbeats are: an event loop that is busy loses no partitions.
        """
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[Fatal] = loop.create_future()
        threading.Thread(target=self._note_alive, args=(loop, lost), daemon=True).start()
        await self.stop_for_good(await lost)

    def _note_alive(self, loop: asyncio.AbstractEventLoop, lost: asyncio.Future[Fatal]) -> None:
        try:
            while not loop.is_closed():
                self.check_lease()
                self._alive_s = time.monotonic()
                time.sleep(PULSE_S)
        except Fatal as error:  # from now on every check fails
            loop.call_soon_threadsafe(lost.set_result, error)

    def check_lease(self) -> None:
        """Refuse to write where this process stood still so long that its partitions were given on.

        Raises:
            Fatal: it was stopped, or its machine was, and another worker does its work now.
        """
        still_s = time.monotonic() - self._alive_s
        if still_s > LEASE_S:
            raise Fatal(f"stood still for {still_s:.0f} s: another worker may have taken over")

    async def produce(
        self, topic: str, key: bytes, value: bytes, partition: int | None = None
    ) -> asyncio.Future[Any]:
        """Hand a message to the producer; what is returned is done when Kafka has it.

        Faust wraps each message in a future of its own.
        """
        producer = await self.maybe_start_producer()
        sent: asyncio.Future[Any] = await producer.send(topic, key, value, partition, None, None)
        return sent

    async def stop_for_good(self, error: BaseException) -> None:
        """End the process without acknowledging the current event; never returns."""
        await self.crash(error)
        await asyncio.Event().wait()


class PromptWorker(faust.Worker):  # type: ignore[misc]  # Faust has no types
    """Runs an app, and ends when it is told to, although Kafka may not answer.

    Faust waits for Kafka, for ever; what was not committed comes again.
    """

    def __init__(self, app: DurableApp, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(app, loop=loop, loglevel="WARNING", redirect_stdouts=False, quiet=True)
        self.spinner = None  # it would be shown every debug message of every library

    def _schedule_shutdown(self, signal: Any) -> None:  # noqa: ANN401 - Faust has no types
        _after(STOP_WITHIN_S, _end_without_kafka)
        super()._schedule_shutdown(signal)


def _after(seconds: float, end: Callable[..., None], *args: object) -> None:
    """Call ``end`` in a thread of its own, unless the process has ended by then."""
    timer = threading.Timer(seconds, end, args)
    timer.daemon = True
    timer.start()


def _end_without_kafka() -> None:
    log.warning("stopped_without_kafka", waited_s=STOP_WITHIN_S)
    sys.stderr.flush()
    os._exit(0)


def _end_process(reason: BaseException) -> None:
    sys.stderr.write(f"coalmine: {reason}\n")
    sys.stderr.flush()
    os._exit(reason.exit_code if isinstance(reason, CoalmineError) else CoalmineError.exit_code)


def new_app(name: str, kafka: KafkaSettings) -> DurableApp:
    """A Faust app that is fit for exactly-once counting: see the module's docstring."""
    app = DurableApp(
        name,
        broker=[f"kafka://{address}" for address in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka),
        topic_partitions=kafka.partitions,
        topic_allow_declare=True,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=2.0,
        broker_max_poll_records=FIRST_POLL_MESSAGES,
        stream_buffer_maxsize=WAITING_STRETCHES,
        producer_linger_ms=0,
        producer_max_request_size=MAX_MESSAGE_BYTES,
        consumer_max_fetch_size=FETCH_BYTES,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        web_enabled=False,
        processing_guarantee="at_least_once",
    )
    app.vitals = Vitals()
    app.task(app.keep_lease)
    app.task(app.maybe_start_producer)  # or the first result would wait for it
    return app


def _credentials(kafka: KafkaSettings) -> Any:  # noqa: ANN401 - Faust has no types
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.user,
            password=kafka.password.reveal(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=ssl_context(kafka),
        )
    context = ssl_context(kafka)
    return faust.SSLCredentials(context) if context else None
