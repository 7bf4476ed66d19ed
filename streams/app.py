"""The stream worker: thin Faust agents that move messages between topics and the stages.

One stream agent per kind of message, one batch of messages in flight, and always in this order:
results acknowledged by Kafka, then the table (fence or state), then the offset. A crash anywhere
in between repeats messages; the fence of the next stage makes the repetition count once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from contracts import topics
from contracts.dead_letter_limit import DeadLetterCount, DeadLetterLimit
from contracts.policy import Policies, load_policies
from contracts.settings import KafkaSettings, dead_letter_limit
from contracts.topics import Topic
from health.address import Address
from streams import metrics
from streams.aggregating import Aggregation
from streams.consuming import batches
from streams.durable import DurableApp, new_app, new_table
from streams.judging import Judging
from streams.liveness import HANDLING_LIMIT_S
from streams.messages import Message
from streams.outlet import Outlet, raw_topic
from streams.policy_files import POLL_S, PolicyFiles
from streams.reread import Rereader
from streams.running import run_app
from streams.runs import by_partition
from streams.services import KnownServices

log = structlog.get_logger()

APP_NAME = "coalmine-streams"
HEARTBEAT_S = 0.5
BATCH_STRETCHES = 4
BATCH_WITHIN_S = 0.01
"""How long the first of some messages waits for more: nobody notices, and much is saved."""


Handler = Callable[[Sequence[Message]], Awaitable[list[str]]]
"""Does all that messages ask for; returns the reasons of those that were set aside."""


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
        fences = new_table(app, "fences-v2", partitions=kafka.partitions)
        states = new_table(app, "states-v4", partitions=kafka.partitions)
        services = new_table(app, "services", partitions=kafka.partitions)
        known = KnownServices(services, policies)
        outlet = Outlet(app)
        for kind, topic in topics.TELEMETRY.items():
            stage = Aggregation(kind, fences, known, outlet, policies)
            self._add_agent(f"aggregate_{kind.value}", [topic], stage.handle)
        judging = Judging(states, outlet, policies, Rereader(kafka))
        self._add_agent("judge_rollouts", [topics.PARTIALS, topics.ROLLOUTS], judging.handle)
        app.timer(HEARTBEAT_S)(judging.beat)
        if files is not None:
            app.timer(POLL_S)(files.poll)
            app.vitals.warn("policies are refused", files.refused)

    def _add_agent(self, name: str, sources: list[Topic], handle: Handler) -> None:
        pulse = self.app.vitals.pulse(name, HANDLING_LIMIT_S)
        count = DeadLetterCount(f"streams.{name}", self._limit)

        async def run(stream: Any) -> None:  # noqa: ANN401 - Faust has no types
            async for messages in batches(stream, BATCH_STRETCHES, BATCH_WITHIN_S):
                with pulse:
                    try:
                        reasons = await handle(messages)
                        _count(count, messages, reasons)
                    except asyncio.CancelledError:
                        raise
                    except Exception as error:  # acknowledging them would lose them
                        log.exception("stream_agent_failed", agent=name, first=messages[0].origin)
                        await self.app.stop_for_good(error)

        channel = raw_topic(self.app, *(topic.name for topic in sources))
        self.app.agent(channel, name=name)(run)


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
