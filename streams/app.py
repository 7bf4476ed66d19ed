"""The stream worker: thin Faust agents that move messages between topics and the stages.

One stream agent per kind of message, and always in this order: results acknowledged by Kafka, then
the table (fence or state), then the offset. A crash anywhere in between repeats messages; the fence
of the next stage makes the repetition count once. While Kafka takes what one batch gave, the next
one is counted (ADR 0134).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from contracts import topics
from contracts.dead_letter_limit import DeadLetterCount, DeadLetterLimit
from contracts.policy import Policies, load_policies
from contracts.settings import KafkaSettings, dead_letter_limit
from contracts.topics import Topic
from health.address import Address
from health.vitals import Pulse
from streams import metrics
from streams.aggregating import Aggregation, Ending
from streams.consuming import Batch, batches
from streams.durable import DurableApp, new_app
from streams.judging import Judging
from streams.liveness import HANDLING_LIMIT_S
from streams.messages import Message
from streams.outlet import Outlet, raw_topic
from streams.policy_files import POLL_S, PolicyFiles
from streams.reread import Rereader
from streams.running import run_app
from streams.runs import by_partition
from streams.services import KnownServices
from streams.tables import Tables

log = structlog.get_logger()

APP_NAME = "coalmine-streams"
HEARTBEAT_S = 0.5
BATCH_STRETCHES = 4
BATCH_WITHIN_S = 0.01
"""How long the first of some messages waits for more: nobody notices, and much is saved."""


Handler = Callable[[Sequence[Message]], Awaitable[Ending]]
"""Does what messages ask for, but for its ending, beside which it may be given the next ones."""


class Worker:
    """The stream agents with what they share: producer, tables, policies."""

    def __init__(
        self,
        app: DurableApp,
        kafka: KafkaSettings,
        policies: Policies,
        limit: DeadLetterLimit,
        files: PolicyFiles | None = None,
    ) -> None:
        self.app = app
        self._limit = limit
        tables = Tables(app, kafka)
        fences, states, services = map(tables.add, ("fences-v2", "states-v4", "services"))
        known = KnownServices(services, policies)
        outlet = Outlet(app)
        for kind, topic in topics.TELEMETRY.items():
            stage = Aggregation(kind, fences, known, outlet, policies)
            self._add_agent(f"aggregate_{kind.value}", [topic], stage.handle)
        judging = Judging(states, outlet, policies, Rereader(kafka))
        self._add_agent(
            "judge_rollouts", [topics.PARTIALS, topics.ROLLOUTS], at_once(judging.handle)
        )
        app.timer(HEARTBEAT_S)(judging.beat)
        if files is not None:
            app.timer(POLL_S)(files.poll)
            app.vitals.warn("policies are refused", files.refused)

    def _add_agent(self, name: str, sources: list[Topic], handle: Handler) -> None:
        pulse = self.app.vitals.pulse(name, HANDLING_LIMIT_S)
        end_pulse = self.app.vitals.pulse(f"{name}_end", HANDLING_LIMIT_S)
        count = DeadLetterCount(f"streams.{name}", self._limit)

        async def run(stream: Any) -> None:  # noqa: ANN401 - Faust has no types
            before: asyncio.Task[None] | None = None
            try:
                async for batch in batches(stream, BATCH_STRETCHES, BATCH_WITHIN_S):
                    async with self._stopping(name, batch, pulse):
                        ending = await handle(batch)
                        if before is not None:
                            await before
                        before = asyncio.create_task(end(batch, ending))
            finally:
                if before is not None:
                    before.cancel()

        async def end(batch: Batch, ending: Ending) -> None:
            async with self._stopping(name, batch, end_pulse):
                _count(count, batch, await ending())
                await batch.acknowledge()

        channel = raw_topic(self.app, *(topic.name for topic in sources))
        self.app.agent(channel, name=name)(run)

    @asynccontextmanager
    async def _stopping(self, name: str, batch: Batch, pulse: Pulse) -> AsyncIterator[None]:
        """The work on a batch, which ends the process where it fails."""
        try:
            with pulse:
                yield
        except asyncio.CancelledError:
            raise
        except Exception as error:  # acknowledging the messages would lose them
            log.exception("stream_agent_failed", agent=name, first=batch[0].origin)
            await self.app.stop_for_good(error)


def at_once(handle: Callable[[Sequence[Message]], Awaitable[list[str]]]) -> Handler:
    """The handler of a stage that does all at once, so that nothing is left to be done."""

    async def handled(messages: Sequence[Message]) -> Ending:
        reasons = await handle(messages)

        async def ending() -> list[str]:
            return reasons

        return ending

    return handled


def _count(count: DeadLetterCount, messages: Sequence[Message], reasons: Sequence[str]) -> None:
    """Count what was done and what was set aside.

    Raises:
        TooManyDeadLetters: that was too much.
    """
    for run in by_partition(messages):
        metrics.MESSAGES.labels(run.topic).inc(len(run))
        metrics.LAG.handled(run[-1])
    for reason in reasons:
        count.bad(reason)
    count.good(len(messages) - len(reasons))


def run(policies: Path | None, state_dir: Path, health: Address | None = None) -> None:
    """Run the worker until SIGTERM or SIGINT.

    Args:
        policies: directory of policy files, read again when they change; without one, every
            service has the default policy.
        state_dir: where Faust keeps its own files.
        health: where it tells of its health.

    Raises:
        ConfigError: a policy or the environment is wrong.
        TooManyDeadLetters: a stage has set aside too much.
        Fatal: it cannot go on; its log says why.
    """
    known = load_policies(policies) if policies else Policies()
    files = PolicyFiles(policies, known) if policies else None
    limit = dead_letter_limit()

    def build(kafka: KafkaSettings) -> DurableApp:
        return Worker(new_app(APP_NAME, kafka), kafka, known, limit, files).app

    run_app(build, state_dir, health, metrics.REGISTRY, metrics.LAG)
