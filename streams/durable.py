"""Faust, made to keep its word: the few places where its defaults can lose or delay a message.

- its producer acknowledges with ``acks=1`` and without idempotence: both are set here;
- a table's changelog is sent in the background and may be lost with the process after the source
  offset was committed: ``DurableTable.put`` returns when the changelog has it;
- its consumer long-polls for 1.5 s, which stalls busy partitions that share a broker with an idle
  one: 50 ms here; and where a stream agent's queue is full it polls the idle partitions for a
  second before it looks again: ``PromptConsumer`` goes on when there is room;
- after recovery it resumes partitions before it has found their committed offsets, and can lose
  the message that is in a queue meanwhile; where nothing was committed yet it does not go back at
  all: ``PromptConsumer.perform_seek`` stops the flow, and goes back everywhere. Whatever comes
  out of turn all the same is fetched again;
- its ``take`` acknowledges what it gave out even if that was cut short: ``batches`` does not;
- an exception in a stream agent acknowledges the event it was about: ``stop_for_good`` ends the
  process instead, so that the event comes again. Where Faust's own stop hangs after a crash, which
  it does now and then, the process ends all the same;
- its stop waits for Kafka for ever: ``PromptWorker`` does not;
- nothing keeps a worker that was wedged from writing when it wakes, while another one has its
  partitions: ``check_lease`` ends it, and the versions of ``DurableTable`` and of the documents
  make what it had already sent harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import ssl
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import faust
import structlog
from faust.tables.table import Table
from faust.transport.drivers import aiokafka as driver

from contracts.errors import CoalmineError, Fatal
from contracts.settings import KafkaSettings
from health.vitals import Vitals
from streams.messages import NO_HEADERS, Message

log = structlog.get_logger()

FETCH_MAX_WAIT_MS = 50
MAX_MESSAGE_BYTES = 8_000_000
CRASH_WITHIN_S = 5.0
STOP_WITHIN_S = 8.0
POLL_MESSAGES = 4_000
"""JSON messages that are about as large as what is aggregated at once."""
WAITING_STRETCHES = 8
"""How many stretches may wait for a stream agent: each has up to ``POLL_MESSAGES`` messages."""
SESSION_S = 10.0
"""After so long without a heartbeat, Kafka gives a worker's partitions to another."""
LEASE_S = 8.0
PULSE_S = 0.5
_VERSION = struct.Struct(">q")


class DurableProducer(driver.Producer):  # type: ignore[misc]  # Faust has no types
    """Waits for all in-sync replicas, and retries without duplicates within its session."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class PromptConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    """Fetches with a short wait; Faust offers no setting for it."""

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401 - Faust has no types
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001 - no public way
        return consumer


class PromptConsumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types
    """A consumer whose thread is ``PromptConsumerThread``, and that seeks with its flow stopped."""

    def _new_consumer_thread(self) -> PromptConsumerThread:
        return PromptConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Faust has no types
        super().__init__(*args, **options)
        self._next: dict[Any, int] = {}
        """Offset of the message of each partition that comes next."""
        self._missing: dict[Any, int] = {}
        """Where a partition was sought for messages that did not come."""
        self._has_room = asyncio.Event()
        """Set when a stream agent's full queue has room again."""

    def on_buffer_drop(self, tp: Any) -> None:  # noqa: ANN401 - Faust has no types
        """A queue that was full has room."""
        super().on_buffer_drop(tp)
        self._has_room.set()

    async def perform_seek(self) -> None:
        """Seek to the committed offsets before any message is given out; recovery resumes the flow.

        Faust resumes the partitions first, so that messages reach the queues while it still seeks;
        it then clears the queues, but remembers what stood in them as read: a message is lost.
        And aiokafka leaves the partitions of which nothing is committed where they were read to.
        """
        self.stop_flow()
        await super().perform_seek()
        is_for_agents = self.app.topics.acks_enabled_for  # others are changelogs
        places = [place for place in self.assignment() if is_for_agents(place.topic)]
        starts = {p: self._committed_offset[p] for p in places if self._committed_offset[p]}
        if uncommitted := [place for place in places if place not in starts]:
            earliest = await self.earliest_offsets(*uncommitted)
            for place, offset in earliest.items():
                await self.seek(place, offset)
            starts |= earliest
        self._next = starts

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's
        """What was fetched, each partition's messages as one: Faust's price is per message."""
        records, active = await self._next_records(timeout)
        is_for_agents = self.app.topics.acks_enabled_for  # others are changelogs
        fetched = {}
        for place, found in (records or {}).items():
            if not found or not is_for_agents(place.topic):
                fetched[place] = found
            elif await self._is_in_turn(place, found[0].offset):
                fetched[place] = [_as_one(found, self._next.get(place))]
                self._next[place] = found[-1].offset + 1
        return fetched, active

    async def _next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's
        """Faust's own, but for partitions whose queue is full: they go on when it has room.

        Faust leaves them out of the poll and waits for the others, for a second if they are idle.
        """
        if not (self.flow_active and self._buffered_partitions):
            records, active = await super()._wait_next_records(timeout)
            return records, active
        self._has_room.clear()
        active = self._get_active_partitions()
        records = await self._getmany(active, timeout=0.0) if active else {}
        if not records:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_room.wait(), FETCH_MAX_WAIT_MS / 1000)
        return records, active

    async def _is_in_turn(self, place: Any, first: int) -> bool:  # noqa: ANN401 - Faust has no types
        """Whether no message before ``first`` is missing; sought for once, it is gone from the log.

        What was fetched before a seek may come after it, and what was given out may have been
        dropped: whoever counted the later messages would fence the earlier ones as known.
        """
        start = self._next.get(place, first)
        if first <= start or self._missing.pop(place, None) == start:
            return True
        log.warning("fetched_out_of_turn", place=f"{place.topic}/{place.partition}", start=start)
        self._missing[place] = start
        await self.seek(place, start)
        return False

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:  # noqa: ANN401 - Faust has no types
        """Nothing: what seems to be missing is inside a stretch, and acknowledged with it.

        Faust counts a gap as acknowledged as soon as something in or behind it is, also if the
        messages are fetched again after a rebalance and cut elsewhere: they would be lost.
        """

    def ack(self, message: Any) -> bool:  # noqa: ANN401 - Faust has no types
        """Acknowledge the messages of a stretch that was done, in the generation it was read in.

        Faust also calls this for what it skips while partitions change hands.
        """
        stretch = message.value
        if not isinstance(stretch, Stretch):
            return bool(super().ack(message))
        if not stretch.is_done or message.generation_id != self.app.consumer_generation_id:
            return False
        committed = self._committed_offset[message.tp] or 0
        known = self._acked_index[message.tp]
        new = [o for o in stretch.offsets if o >= committed and o not in known]
        known.update(new)
        self._acked[message.tp].extend(new)
        self._n_acked += len(new)
        self._unacked_messages.discard(message)
        message.acked = True
        return bool(new)


class Stretch(bytes):
    """Messages of one partition that go through Faust as the value of one."""

    messages: list[Message]
    offsets: range
    """All that is acknowledged with it: also what is missing in the log before it."""
    is_done: bool = False


def _as_one(records: list[Any], start: int | None) -> Any:  # noqa: ANN401 - Faust has no types
    first, last = records[0].offset, records[-1].offset
    whole = Stretch()
    whole.offsets = range(first if start is None else min(first, start), last + 1)
    topic, partition = records[0].topic, records[0].partition
    whole.messages = [
        Message(
            topic,
            partition,
            record.offset,
            record.timestamp,
            dict(record.headers) if record.headers else NO_HEADERS,
            record.value or b"",
        )
        for record in records
    ]
    return replace(records[-1], key=None, value=whole, headers=())


class DurableTransport(driver.Transport):  # type: ignore[misc]  # Faust has no types
    """Faust's Kafka transport with the two classes above."""

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
        timer = threading.Timer(CRASH_WITHIN_S, _end_process, (reason,))
        timer.daemon = True
        timer.start()
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
            while True:
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
        timer = threading.Timer(STOP_WITHIN_S, _end_without_kafka)
        timer.daemon = True
        timer.start()
        super()._schedule_shutdown(signal)


def _end_without_kafka() -> None:
    log.warning("stopped_without_kafka", waited_s=STOP_WITHIN_S)
    sys.stderr.flush()
    os._exit(0)


def _end_process(reason: BaseException) -> None:
    sys.stderr.write(f"coalmine: {reason}\n")
    sys.stderr.flush()
    os._exit(reason.exit_code if isinstance(reason, CoalmineError) else CoalmineError.exit_code)


class DurableTable(Table):  # type: ignore[misc]  # Faust has no types
    """A table of bytes whose writes are acknowledged before they count.

    Every value has a version that grows with each write. Of a worker that was wedged, and writes
    when it wakes, and the worker that took over, the one further on wins, whatever the order in
    which their records stand in the changelog.
    """

    async def put(self, key: bytes, value: bytes, *, version: int, partition: int) -> None:
        """Write to the changelog of ``partition``, wait until Kafka has it, then set the key."""
        self.app.check_lease()
        record = _VERSION.pack(version) + value
        await self.send_changelog(partition, key, record)
        if version >= self.version_of(key):  # or another worker had the key meanwhile
            self._set(key, record, partition)

    def value_of(self, key: bytes) -> bytes | None:
        """The value of a key, if it has one."""
        record: bytes | None = self.data.get(key)
        return None if record is None else record[_VERSION.size :]

    def version_of(self, key: bytes) -> int:
        """The version of a key's value; -1 where there is none."""
        return _version(self.data.get(key))

    def own_keys(self) -> list[bytes]:
        """The keys whose partitions this worker has; others may linger from before a rebalance."""
        partitions = {tp.partition for tp in self.app.assignor.assigned_actives()}
        places = self.data._key_partition.items()  # noqa: SLF001 - no public way
        return [key for key, partition in places if partition in partitions]

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take in records of the changelog; an older version never replaces a newer one.

        Faust may offer a record of another table after a rebalance: it is left out.
        """
        for event in batch:
            message = event.message
            key, record = message.key, message.value
            is_ours = message.topic == self.changelog_topic_name
            if is_ours and record and _version(record) >= self.version_of(key):
                self._set(key, record, message.partition)

    def _set(self, key: bytes, record: bytes, partition: int) -> None:
        self.data[key] = record
        self.data._key_partition[key] = partition  # noqa: SLF001 - it drops what is given away


def _version(record: bytes | None) -> int:
    return -1 if record is None else int(_VERSION.unpack_from(record)[0])


def new_app(name: str, kafka: KafkaSettings) -> DurableApp:
    """A Faust app that is fit for exactly-once counting: see the module's docstring."""
    app = DurableApp(
        name,
        broker=[f"kafka://{address}" for address in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka),
        store="memory://",
        # tables in memory are read anew from the changelog whoever takes over
        table_standby_replicas=0,
        topic_partitions=kafka.partitions,
        topic_allow_declare=True,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=2.0,
        broker_max_poll_records=POLL_MESSAGES,
        stream_buffer_maxsize=WAITING_STRETCHES,
        producer_linger_ms=0,
        producer_max_request_size=MAX_MESSAGE_BYTES,
        consumer_max_fetch_size=MAX_MESSAGE_BYTES,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        web_enabled=False,
        processing_guarantee="at_least_once",
    )
    app.vitals = Vitals()
    app.task(app.keep_lease)
    return app


def new_table(app: DurableApp, name: str, *, partitions: int) -> DurableTable:
    """A table of raw bytes, kept in memory and rebuilt from its changelog."""
    table = DurableTable(
        app,
        name=name,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        extra_topic_configs={"max.message.bytes": MAX_MESSAGE_BYTES},
    )
    added: DurableTable = app.tables.add(table)
    return added


async def batches(stream: Any, most: int, within_s: float) -> AsyncIterator[list[Message]]:  # noqa: ANN401 - Faust has no types
    """Messages as they come, acknowledged when the next ones are asked for.

    Faust's own ``take`` acknowledges also what was cut short by the end of the process.

    Args:
        stream: of topics of ours.
        most: stretches to wait for.
        within_s: how long to wait for them.
    """
    async for events in stream.noack_take(most, within=within_s):
        yield [message for event in events for message in event.message.value.messages]
        for event in events:
            event.message.value.is_done = True
            await stream.ack(event)


def aiokafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments of every aiokafka client."""
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap.split(","),
        "security_protocol": kafka.security_protocol,
        "ssl_context": _ssl_context(kafka),
    }
    if kafka.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.user,
            "sasl_plain_password": kafka.password.reveal(),
        }
    return options


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    if not kafka.security_protocol.endswith("SSL"):
        return None
    return ssl.create_default_context(cafile=kafka.ca_file)


def _credentials(kafka: KafkaSettings) -> Any:  # noqa: ANN401 - Faust has no types
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.user,
            password=kafka.password.reveal(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=_ssl_context(kafka),
        )
    context = _ssl_context(kafka)
    return faust.SSLCredentials(context) if context else None
