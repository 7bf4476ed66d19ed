"""Fixtures of the whole run: one Kafka and one Elasticsearch, started when first asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from coalmine.stack.local import LocalStack
from coalmine.stack.topics import ensure_topics
from contracts.settings import (
    ElasticsearchSettings,
    KafkaSettings,
)
from contracts.settings import (
    elasticsearch_settings as read_elasticsearch_settings,
)
from contracts.settings import (
    kafka_settings as read_kafka_settings,
)
from tests.support.certificates import Authority
from tests.support.secure_stack import SecureKafka

settings.register_profile("coalmine", deadline=None)  # a busy machine is no fault of an example
settings.load_profile("coalmine")

FAULT = "fault"
"""The property of a test's report that is a row of the faults' table."""
_LONG = ("e2e", "integration", "statistical")
_WARNINGS_OF_OTHERS = (
    # kafka-python reads its message schemas with a function that Python 3.11 frowns upon.
    "ignore:(read_text|open_text) is deprecated:DeprecationWarning",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of tests/faults: pytest reads options only from the first conftest it meets."""
    group = parser.getgroup("faults", "fault tests (make test-faults)")
    group.addoption("--faults", action="store_true", help="run the full-length fault tests too")
    group.addoption("--fault-seed", type=int, default=1, help="first seed of the fault tests")
    group.addoption("--fault-rounds", type=int, help="rounds instead of each test's own number")
    group.addoption(
        "--soak-rate",
        type=int,
        default=30_000,
        help="lines a second of the soak: 80 %% of what is kept up with",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, except those that a library we do not own causes by itself."""
    for line in _WARNINGS_OF_OTHERS:
        config.addinivalue_line("filterwarnings", line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that two processes end at about the same time."""
    items.sort(key=lambda item: not any(map(item.get_closest_marker, _LONG)))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What the faults did, as docs/reliability.md has it."""
    reports = [one for of_kind in terminalreporter.stats.values() for one in of_kind]
    ended = [one for one in reports if getattr(one, "when", "") == "call"]
    rows = [row for one in ended for name, row in one.user_properties if name == FAULT]
    if rows:
        terminalreporter.section(f"faults (first seed {config.getoption('--fault-seed')})")
        for row in [("fault", "rounds", "result"), ("---", "---", "---"), *rows]:
            terminalreporter.write_line(f"| {' | '.join(row)} |")


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """The servers of this run, shared by all tests: use ``unique`` names, and leave them running.

    A test that stops or kills a server starts a ``LocalStack`` of its own.
    """
    # Not pytest's directory: under root it is closed to the user that the servers run as.
    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        state_dir = Path(name)
        state_dir.chmod(0o755)
        running = LocalStack(state_dir)
        # its further listeners cost nothing, and most tests know nothing of them
        running.kafka_server = SecureKafka(state_dir, Authority(state_dir / "authority"))
        with running:
            yield running


@pytest.fixture(scope="session")
def stack_environment(stack: LocalStack) -> Mapping[str, str]:
    """The environment of a process that is to use the servers of this run."""
    return {**os.environ, **stack.environment()}


@pytest.fixture(scope="session")
def kafka_settings(stack_environment: Mapping[str, str]) -> KafkaSettings:
    """How to reach the Kafka of this run; every topic of the table is there."""
    settings = read_kafka_settings(stack_environment)
    ensure_topics(settings)
    return settings


@pytest.fixture(scope="session")
def elasticsearch_settings(stack_environment: Mapping[str, str]) -> ElasticsearchSettings:
    """How to reach the Elasticsearch of this run."""
    return read_elasticsearch_settings(stack_environment)
