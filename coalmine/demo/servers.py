"""Kafka and Elasticsearch of the demo: its own, or those that the environment names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coalmine.demo.screen import Step
from coalmine.stack.local import LocalStack
from coalmine.stack.report import Step as ServerStep
from coalmine.stack.server import ServerProcess
from coalmine.stack.topics import ensure_topics
from contracts.settings import (
    ElasticsearchSettings,
    KafkaSettings,
    elasticsearch_settings,
    kafka_settings,
)


@dataclass(frozen=True, slots=True)
class Servers:
    """How to reach both servers; ``processes`` are those that were started for this run."""

    kafka: KafkaSettings
    elasticsearch: ElasticsearchSettings
    environment: dict[str, str]
    are_new: bool
    """Whether no earlier run can have left anything in Kafka."""
    processes: list[ServerProcess]


@contextmanager
def servers_of(state: Path, step: Step) -> Iterator[Servers]:
    """The servers that ``COALMINE_KAFKA`` and ``COALMINE_ELASTICSEARCH`` name, or a local stack
    below ``state``; the topics are there.

    Raises:
        ConfigError: one of the two variables holds no address.
        Fatal: a server did not come up.
    """
    own_kafka, own_search = (
        "COALMINE_KAFKA" not in os.environ,
        "COALMINE_ELASTICSEARCH" not in os.environ,
    )
    stack = LocalStack(state, report=_Progress(step).on_step)
    stack.start(kafka=own_kafka, elasticsearch=own_search)
    try:
        environment = stack.environment() | dict(os.environ)
        servers = Servers(
            kafka_settings(environment),
            elasticsearch_settings(environment),
            environment,
            are_new=own_kafka,
            processes=[
                *([stack.kafka_server.process] if own_kafka else []),
                *([stack.elasticsearch_server.process] if own_search else []),
            ],
        )
        ensure_topics(servers.kafka)
        yield servers
    finally:
        stack.stop()


class _Progress:
    """Both servers' progress as one line."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._texts: dict[str, str] = {}

    def on_step(self, server: ServerStep) -> None:
        text = f"{server.server} {server.stage.value}"
        if server.total_bytes:
            text += f" {server.done_bytes / server.total_bytes:.0%}"
        self._texts[server.server] = text
        self._step.say(", ".join(self._texts.values()))
