"""The stream worker: thin Faust agents that move messages between topics and the pure cores.

One stream agent per topic, never more than one in flight per partition, and always in this order:
results acknowledged by Kafka, then the table (fence or state), then the offset. A crash anywhere
in between repeats the message; the fence of the next stage makes the repetition count once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import faust
import msgspec
import structlog
import uvloop

from contracts import arrow, topics
from contracts.dead_letter_limit import DeadLetterCount, DeadLetterLimit
from contracts.dead_letters import dead_letter
from contracts.errors import CoalmineError, Fatal, InvalidRecord
from contracts.policy import Policies, load_policies
from contracts.records import RecordKind
from contracts.results import (
    Decision,
    Partial,
    RolloutCommand,
    Source,
    Verdict,
    Window,
)
from contracts.settings import KafkaSettings, dead_letter_limit, kafka_settings
from contracts.topics import Topic
from streams.durable import DurableApp, DurableTable, new_app, new_table
from streams.judge.service import (
    Output,
    ServiceState,
    apply_command,
    apply_partial,
    is_duplicate,
)
from streams.messages import Message, Sender, aggregate, failures_are_invalid, sender_of
from streams.state import decode_state, encode_state
from streams.windows.labels import MAX_SERVICES, fold_services

log = structlog.get_logger()

APP_NAME = "coalmine-streams"
HEARTBEAT_S = 0.5
IDLE_AFTER_MS = 1_500
HOUR_MS = 3_600_000
SERVICE_REMEMBERED_H = 7 * 24
_OUTPUT_TOPICS: dict[type[Output], Topic] = {
    Window: topics.WINDOWS,
    Verdict: topics.VERDICTS,
    Decision: topics.DECISIONS,
}


def raw_topic(app: DurableApp, *names: str) -> Any:  # noqa: ANN401 - Faust has no types
    """Topics whose keys and values stay bytes."""
    return app.topic(
        *names, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )


def message_of(event: Any) -> Message:  # noqa: ANN401 - Faust has no types
    """The plain message behind a Faust event."""
    message = event.message
    headers = dict(message.headers or {})
    return Message(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp=round(message.timestamp * 1000),
        headers=headers,
        value=message.value or b"",
    )


Handler = Callable[[Message], Awaitable[str]]
"""Does all that a message asks for; returns why it was set aside, or nothing."""


class Worker:
    """The stream agents with what they share: producer, tables, policies."""

    def __init__(
        self, app: DurableApp, kafka: KafkaSettings, policies: Policies, limit: DeadLetterLimit
    ) -> None:
        self.app = app
        self.limit = limit
        self.policies = policies
        self.fences: DurableTable = new_table(app, "fences-v2", partitions=kafka.partitions)
        self.states: DurableTable = new_table(app, "states-v2", partitions=kafka.partitions)
        self.services: DurableTable = new_table(app, "services", partitions=kafka.partitions)
        self._full_in: dict[int, int] = {}
        """Partition to the hour in which it was found to have all the services it may have."""
        self._decoded: dict[bytes, tuple[int, ServiceState]] = {}
        for kind, topic in topics.TELEMETRY.items():
            self._add_agent(f"aggregate_{kind.value}", [topic], self._aggregating(kind))
        self._add_agent("judge_rollouts", [topics.PARTIALS, topics.ROLLOUTS], self._judge)
        app.timer(HEARTBEAT_S)(self._beat)

    def _add_agent(self, name: str, sources: list[Topic], handle: Handler) -> None:
        count = DeadLetterCount(f"streams.{name}", self.limit)

        async def run(stream: Any) -> None:  # noqa: ANN401 - Faust has no types
            async for event in stream.events():
                message = message_of(event)
                try:
                    if reason := await self._handled(handle, name, message):
                        count.bad(reason)
                    else:
                        count.good()
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # acknowledging it would lose the event
                    log.exception("stream_agent_failed", agent=name, origin=message.origin)
                    await self.app.stop_for_good(error)

        channel = raw_topic(self.app, *(topic.name for topic in sources))
        self.app.agent(channel, name=name)(run)

    async def _handled(self, handle: Handler, name: str, message: Message) -> str:
        try:
            return await handle(message)
        except InvalidRecord as error:
            await self._set_aside(error, name, message)
            return error.reason

    # --- aggregate -----------------------------------------------------------------------------

    def _aggregating(self, kind: RecordKind) -> Handler:
        async def handle(message: Message) -> str:
            sender = sender_of(message)
            fence = f"{message.topic}/{sender.agent}".encode()
            if sender.is_ours and sender.seq <= self.fences.version_of(fence):
                log.info("duplicate_batch_fenced", agent=sender.agent, seq=sender.seq)
                return ""
            with failures_are_invalid(message):
                found = aggregate(kind, message, self.policies.is_stratified)
            await self._publish(topics.DEADLETTERS, ((d.origin, d) for d in found.dead_letters))
            await self._publish(topics.CRASH_GROUPS, ((s.service, s) for s in found.sightings))
            known = {p.service for p in found.partials if await self._knows(p.service, message)}
            partials = fold_services(found.partials, known)
            await self._publish(topics.PARTIALS, ((p.service, p) for p in partials))
            await self._pass_fence(fence, sender, message)
            is_bad = found.dead_letters and not found.partials
            return found.dead_letters[-1].reason if is_bad else ""

        return handle

    async def _pass_fence(self, fence: bytes, sender: Sender, message: Message) -> None:
        if sender.is_ours:
            partition = message.partition
            await self.fences.put(fence, b"", version=sender.seq, partition=partition)

    async def _knows(self, service: str, message: Message) -> bool:
        """Whether a service is counted by name; decided before its first partial, and durably."""
        partition, hour = message.partition, message.timestamp // HOUR_MS
        key = f"{partition}/{service}".encode()
        seen = self.services.version_of(key)
        if seen >= hour:
            return True
        is_new = seen < hour - SERVICE_REMEMBERED_H
        if is_new and service not in self.policies and self._is_full(partition, hour):
            return False
        await self.services.put(key, b"", version=hour, partition=partition)
        return True

    def _is_full(self, partition: int, hour: int) -> bool:
        if self._full_in.get(partition) == hour:
            return True
        own = f"{partition}/".encode()
        since = hour - SERVICE_REMEMBERED_H
        keys = [key for key in self.services.own_keys() if key.startswith(own)]
        if sum(self.services.version_of(key) >= since for key in keys) < MAX_SERVICES:
            return False
        log.warning("too_many_services", partition=partition, limit=MAX_SERVICES)
        self._full_in[partition] = hour
        return True

    # --- judge ---------------------------------------------------------------------------------

    async def _judge(self, message: Message) -> str:
        partial, command = _decode_judged(message)
        service = partial.service if partial else command.service if command else ""
        state = self._taken_state(service.encode())
        policy = self.policies[service]
        now = time.time_ns() // 1_000_000
        if partial is not None:
            if partial.source is not None and is_duplicate(state, partial.source):
                log.info("duplicate_partial_fenced", origin=message.origin)
                return ""
            with failures_are_invalid(message):
                outputs = apply_partial(state, partial, policy, processed_time=now)
        else:
            assert command is not None
            with failures_are_invalid(message):
                outputs = apply_command(state, command, policy, processed_time=now)
        for output in outputs:
            if isinstance(output, Decision):
                log.info("decided", decision=output.id, reason=output.reason)
        for kind, topic in _OUTPUT_TOPICS.items():
            await self._publish(topic, ((o.service, o) for o in outputs if isinstance(o, kind)))
        await self._keep(service.encode(), state, message)
        return ""

    def _state(self, service: bytes) -> ServiceState:
        """The state in the table; decoded anew only when the table's value is not our own."""
        stored = self.states.value_of(service)
        if stored is None:
            return ServiceState(service=service.decode())
        known = self._decoded.get(service)
        version = self.states.version_of(service)
        if known is None or known[0] != version:
            known = self._decoded[service] = (version, decode_state(stored))
        return known[1]

    def _taken_state(self, service: bytes) -> ServiceState:
        """The state, to be changed: if that is cut short, the table's value is decoded anew."""
        state = self._state(service)
        self._decoded.pop(service, None)
        return state

    async def _keep(self, service: bytes, state: ServiceState, message: Message) -> None:
        await self.states.put(
            service, encode_state(state), version=state.version, partition=message.partition
        )
        self._decoded[service] = (state.version, state)

    async def _beat(self) -> None:
        """Tell services that have gone quiet that what is pending may be judged and written.

        All services of the table are looked at, not only those heard since the start: a worker that
        was killed may have left something pending.
        """
        now = time.time_ns() // 1_000_000
        states = [self._state(service) for service in self.states.own_keys()]
        quiet = [
            Partial(service=state.service, sent_at=now)
            for state in states
            if state.is_pending and now - state.heard_at >= IDLE_AFTER_MS
        ]
        await self._publish(topics.PARTIALS, ((p.service, p) for p in quiet))

    # --- results -------------------------------------------------------------------------------

    async def _publish(self, topic: Topic, results: Iterable[tuple[str, msgspec.Struct]]) -> None:
        """Send all, then wait until Kafka has all."""
        self.app.check_lease()
        channel = raw_topic(self.app, topic.name)
        sent = [
            await channel.send(key=key.encode(), value=msgspec.json.encode(result))
            for key, result in results
        ]
        for future in sent:
            await future

    async def _set_aside(self, error: InvalidRecord, stage: str, message: Message) -> None:
        letter = dead_letter(
            error,
            stage=f"streams.{stage}",
            origin=message.origin,
            payload=message.value,
            time=message.timestamp,
            schema=message.headers.get(arrow.SCHEMA_HEADER, b"").decode("utf-8", "replace"),
        )
        log.warning("record_set_aside", origin=message.origin, reason=error.reason)
        await self._publish(topics.DEADLETTERS, [(letter.origin, letter)])


def _decode_judged(message: Message) -> tuple[Partial | None, RolloutCommand | None]:
    try:
        if message.topic == topics.PARTIALS.name:
            partial = msgspec.json.decode(message.value, type=Partial)
            sender = sender_of(message)
            if sender.is_ours:
                # replayed out of the dead letters: its source's fence has passed it long ago
                partial.source = Source(topic=sender.agent, partition=0, offset=sender.seq)
            return partial, None
        return None, msgspec.json.decode(message.value, type=RolloutCommand)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRecord("not a known document", str(error)) from error


def run(policies: Path | None, state_dir: Path) -> None:
    """Run the worker until SIGTERM or SIGINT.

    Args:
        policies: directory of policy files; without one, every service has the default policy.
        state_dir: where Faust keeps its own files.

    Raises:
        ConfigError: a policy or the environment is wrong.
        TooManyDeadLetters: a stage has set aside too much.
        Fatal: it cannot go on; its log says why.
    """
    known = load_policies(policies) if policies else Policies()
    limit = dead_letter_limit()
    run_app(lambda kafka: Worker(new_app(APP_NAME, kafka), kafka, known, limit).app, state_dir)


def run_app(build: Callable[[KafkaSettings], DurableApp], state_dir: Path) -> None:
    """Build a Faust app on a fast event loop and run it as a worker until a signal ends it.

    Raises:
        CoalmineError: the app ended by itself, which Faust would report as a success.
    """
    kafka = kafka_settings()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    app = build(kafka)
    app.conf.datadir = state_dir
    worker = faust.Worker(app, loop=loop, loglevel="WARNING", redirect_stdouts=False, quiet=True)
    with contextlib.suppress(SystemExit):
        worker.execute_from_commandline()
    if error := worker.crash_reason or app.crash_reason:
        if isinstance(error, CoalmineError):
            raise error
        raise Fatal(f"stopped by an unexpected error: {error!r}") from error
