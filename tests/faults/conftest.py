"""Fault tests: a short form of each in every run, the full form behind ``--faults``.

A test marked ``faults`` is the full form; it runs with ``--faults`` or ``-m faults``. What a fault
did is told to ``fault_table``; ``tests/conftest.py`` prints one table of all at the end of the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coalmine.stack.topics import ensure_topics
from contracts.settings import KafkaSettings
from tests.conftest import FAULT
from tests.support.log_writer import Rotation

if TYPE_CHECKING:
    from tests.support.agent_service import Service
    from tests.support.proxied_kafka import ProxiedKafka

FaultTable = Callable[[str, object, str], None]
"""Takes fault, rounds and result: a row of docs/reliability.md."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the full forms out unless they are asked for."""
    if config.getoption("--faults") or "faults" in config.getoption("-m"):
        return
    left_out = [item for item in items if item.get_closest_marker("faults")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("faults")]


@pytest.fixture
def fault_seed(request: pytest.FixtureRequest) -> int:
    """The first seed; a test with several rounds counts up from it, and prints what it used."""
    seed: int = request.config.getoption("--fault-seed")
    return seed


@pytest.fixture
def fault_rounds(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """Gives the rounds to run, from the number that the test would run by itself."""
    asked: int | None = request.config.getoption("--fault-rounds")
    return lambda own: own if asked is None else asked


@pytest.fixture
def fault_table(record_property: Callable[[str, object], None]) -> FaultTable:
    """Notes one row for the table that is printed at the end."""
    return lambda fault, rounds, result: record_property(FAULT, (fault, str(rounds), result))


@pytest.fixture
def service(
    tmp_path: Path, stack_environment: Mapping[str, str], kafka_settings: KafkaSettings
) -> Callable[[Rotation], Service]:
    """Makes services, each in a folder of its own."""
    # kafka-python warns when it is imported; the filter for that begins after the conftests
    from tests.support.agent_service import Service  # noqa: PLC0415
    from tests.support.stack import unique  # noqa: PLC0415

    def make(rotation: Rotation) -> Service:
        name = unique(rotation)
        folder = tmp_path / name
        state = folder / "state"
        return Service(folder, rotation, stack_environment, kafka_settings, name, state)

    return make


@pytest.fixture(scope="session")
def broker() -> Iterator[ProxiedKafka]:
    """A broker with every topic, for those who break it: it runs again at the end of each test."""
    from tests.support.proxied_kafka import ProxiedKafka  # noqa: PLC0415 - see above

    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        broker = ProxiedKafka(Path(name))
        with broker.proxy:
            broker.start()
            ensure_topics(broker.settings)
            yield broker
            broker.stop()
