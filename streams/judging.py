"""The judge stage: partials and commands to windows, verdicts and decisions, service by service.

Results are acknowledged by Kafka, then the service's state with its fences, then the offsets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import structlog

from contracts import topics
from contracts.errors import UNREADABLE, InvalidRecord
from contracts.flags import flag_state
from contracts.policy import Policies
from contracts.results import (
    Answer,
    Decision,
    Partial,
    RolloutCommand,
    Source,
    Verdict,
    Window,
    decode_partial,
)
from contracts.topics import Topic
from streams import metrics
from streams.judge.commands import apply_command
from streams.judge.counting import late_records
from streams.judge.service import apply_partial, is_due
from streams.judge.service_state import Output, ServiceState, unknown_from
from streams.messages import Message, aggregate, sender_of
from streams.outlet import Outlet, Result
from streams.reread import Rereader
from streams.runs import in_parts
from streams.state import DecodedStates, decode_state, encode_state
from streams.tables import DurableTable
from streams.windows.labels import fold_services

log = structlog.get_logger()

STAGE = "streams.judge_rollouts"
IDLE_AFTER_MS = 1_500
BEATEN_MS = 10_000
"""So long a heartbeat is waited for: its partition may have gone to another worker since."""
PART_BYTES = 2_000_000
"""So much is decoded at a time: as objects it takes ten times the memory."""
DECODED_BYTES = 3_000_000
"""Of states that are held as objects, by the size of their bytes."""
SERVICES_AT_ONCE = 16
"""So many wait for Kafka's acknowledgements together: one by one the last of many waits long."""
_OUTPUT_TOPICS: dict[type[Output], Topic] = {
    Window: topics.WINDOWS,
    Verdict: topics.VERDICTS,
    Decision: topics.DECISIONS,
    Answer: topics.ANSWERS,
}
_KIND_OF = {topic.name: kind for kind, topic in topics.TELEMETRY.items()}

Heard = tuple[Message, Partial | RolloutCommand]


class Judging:
    """Judges the services of the partitions that are ours."""

    def __init__(
        self, states: DurableTable, outlet: Outlet, policies: Policies, rereader: Rereader
    ) -> None:
        self._states = states
        self._outlet = outlet
        self._policies = policies
        self._rereader = rereader
        self._decoded = DecodedStates(DECODED_BYTES)
        self._listening_since = _now_ms()
        self._beaten: dict[bytes, int] = {}
        """Services whose heartbeat still waits among the messages, and since when."""
        self._assignments = 0
        """Of partitions, when heartbeats were last sent."""
        self._heard_at: dict[bytes, int] = {}
        """When a service was last heard of here."""
        self._settled: dict[bytes, int] = {}
        """Services for which a heartbeat brings nothing, in this version."""

    async def handle(self, messages: Sequence[Message]) -> list[str]:
        """Apply messages of any services, those of one service in their order.

        Returns:
            The reasons of the messages that were set aside.
        """
        reasons: list[str] = []
        for part in in_parts(list(messages), PART_BYTES):
            reasons += await self._handle_part(part)
        return reasons

    async def _handle_part(self, messages: Sequence[Message]) -> list[str]:
        reasons: list[str] = []
        by_service: dict[str, list[Heard]] = {}
        for message in messages:
            try:
                heard = _decode(message)
            except InvalidRecord as error:
                await self._outlet.set_aside(error, STAGE, message)
                reasons.append(error.reason)
            else:
                if isinstance(heard, Partial) and heard.source is None:
                    self._beaten.pop(heard.service.encode(), None)
                by_service.setdefault(heard.service, []).append((message, heard))
        waiting = list(by_service.items())
        for start in range(0, len(waiting), SERVICES_AT_ONCE):
            some = waiting[start : start + SERVICES_AT_ONCE]
            for found in await asyncio.gather(*(self._judge(*one) for one in some)):
                reasons += found
        return reasons

    async def beat(self) -> None:
        """Tell services that have gone quiet that what is pending may be judged and written.

        All services of the table are looked at, not only those heard since the start: a worker that
        was killed may have left something pending. A service has one heartbeat under way: where the
        judge is behind, all seem quiet, and more of them would only put it further behind. What was
        under way when partitions changed hands may have been heard by another worker.
        """
        now = _now_ms()
        if self._states.assignments != self._assignments:
            self._assignments = self._states.assignments
            self._beaten.clear()
        quiet = [service for service in self._states.own_keys() if self._is_due(service, now)]
        self._beaten.update(dict.fromkeys(quiet, now))
        await self._outlet.publish(
            (
                topics.PARTIALS,
                name,
                Partial(service=name, sent_at=now, listening_since=self._listening_since),
            )
            for name in map(bytes.decode, quiet)
        )

    def _is_due(self, service: bytes, now: int) -> bool:
        """Whether a service is quiet, and a heartbeat would bring anything.

        Most are not, and their states need not be looked at to know it.
        """
        version = self._states.version_of(service)
        if (
            self._settled.get(service) == version
            or now - self._heard_at.get(service, 0) < IDLE_AFTER_MS
            or now - self._beaten.get(service, 0) < BEATEN_MS
        ):
            return False
        state = self._state(service)
        if not state.is_pending and state.open_rollout is None:
            self._settled[service] = version
            return False
        is_quiet = now - state.heard_at >= IDLE_AFTER_MS
        return is_quiet and is_due(state, now, self._listening_since)

    async def _judge(self, service: str, heard: Sequence[Heard]) -> list[str]:
        """Apply what was heard of one service; what the core cannot work on is set aside."""
        state = self._state(service.encode())
        new = await self._news(state, heard)
        self._decoded.drop(service.encode())  # cut short, it is decoded anew
        try:
            outputs = self._applied(state, new)
            encoded = encode_state(state)  # what cannot be kept must not be told either
        except MemoryError:
            raise
        except Exception as error:
            if len(heard) > 1:
                return [r for one in heard for r in await self._judge(service, [one])]
            log.exception("core_failed", origin=heard[0][0].origin)
            await self._outlet.set_aside(InvalidRecord("failed", repr(error)), STAGE, heard[0][0])
            return ["failed"]
        _tell(outputs)
        await self._outlet.publish(results_of(outputs))
        await self._keep(service.encode(), state, encoded, heard[-1][0])
        _count(outputs)
        return []

    async def _news(
        self, state: ServiceState, heard: Sequence[Heard]
    ) -> list[Partial | RolloutCommand]:
        """What was not applied before; of a stretch that is known in part, the rest."""
        fences = dict(state.fences)
        new = []
        for message, one in heard:
            source = one.source if isinstance(one, Partial) else None
            if source is None or not isinstance(one, Partial):
                new.append(one)
                continue
            start = unknown_from(fences, source)
            fences[source.place] = max(source.offset, fences.get(source.place, -1))
            if start is None:
                log.info("duplicate_partial_fenced", origin=message.origin)
                metrics.DUPLICATES.labels("judge").inc()
            elif start == source.start:
                new.append(one)
            else:
                new.append(await self._rest(one, source, start))
        return new

    async def _rest(self, partial: Partial, source: Source, start: int) -> Partial:
        """What the messages of a partial's stretch say from ``start`` on."""
        log.info("stretch_read_again", place=source.place, start=start, end=source.offset)
        messages = [
            message
            for message in await self._rereader.read(source, start)
            if message.offset not in source.without
        ]
        kind = _KIND_OF[source.topic]
        found = aggregate(kind, messages, self._policies).partials if messages else []
        wanted = partial.folded or [partial.service]
        rest = [one for one in found if one.service in wanted]
        if partial.folded:
            rest = fold_services(rest, known=())
        cells = [cell for one in rest for cell in one.cells]
        return msgspec.structs.replace(partial, cells=cells)

    def _applied(
        self, state: ServiceState, new: Sequence[Partial | RolloutCommand]
    ) -> list[Output]:
        policy, now = self._policies[state.service], _now_ms()
        folded = dict(state.labels.folded)
        outputs: list[Output] = []
        for one in new:
            if isinstance(one, Partial):
                metrics.LATE_RECORDS.inc(late_records(state, one))
                outputs += apply_partial(state, one, policy, processed_time=now)
            else:
                outputs += apply_command(state, one, policy, processed_time=now)
        for kind, events in state.labels.folded.items():
            metrics.FOLDED.labels(kind).inc(events - folded.get(kind, 0))
        return outputs

    def _state(self, service: bytes) -> ServiceState:
        """The state in the table; decoded anew only when the table's value is not our own."""
        stored = self._states.value_of(service)
        if stored is None:
            return ServiceState(service=service.decode())
        version = self._states.version_of(service)
        state = self._decoded.get(service, version)
        if state is None:
            state = decode_state(stored)
            self._decoded.hold(service, version, state, len(stored))
        return state

    async def _keep(
        self, service: bytes, state: ServiceState, encoded: bytes, message: Message
    ) -> None:
        await self._states.put(service, encoded, version=state.version, partition=message.partition)
        self._heard_at[service] = state.heard_at
        if self._states.version_of(service) == state.version:
            self._decoded.hold(service, state.version, state, len(encoded))


def _decode(message: Message) -> Partial | RolloutCommand:
    try:
        if message.topic != topics.PARTIALS.name:
            return msgspec.json.decode(message.value, type=RolloutCommand)
        partial = decode_partial(message.value)
    except UNREADABLE as error:
        raise InvalidRecord("not a known document", str(error)) from error
    sender = sender_of(message)
    if sender.is_ours:
        # replayed out of the dead letters: its source's fence has passed it long ago
        partial.source = Source(topic=sender.agent, partition=0, offset=sender.seq)
    return partial


def results_of(outputs: Iterable[Output]) -> Iterator[Result]:
    """Where each output goes; what a verdict means for its flag goes ahead of it."""
    for output in outputs:
        if isinstance(output, Verdict) and output.flag:
            state = flag_state(output)
            yield topics.FLAGS, state.key, state
        yield _OUTPUT_TOPICS[type(output)], output.service, output


def _tell(outputs: Iterable[Output]) -> None:
    for output in outputs:
        if isinstance(output, Decision):
            log.info("decided", decision=output.id, reason=output.reason)


def _count(outputs: Iterable[Output]) -> None:
    for output in outputs:
        if isinstance(output, Verdict):
            metrics.LOOKS.labels(output.outcome).inc()
            metrics.VERDICT_SECONDS.observe((output.processed_time - output.time) / 1000)
        elif isinstance(output, Decision):
            metrics.DECISIONS.labels(output.action).inc()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
