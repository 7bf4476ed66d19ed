"""How many services are counted by name."""

from __future__ import annotations

import pytest

from contracts.policy import Policies, Policy
from streams import services
from streams.messages import Message
from streams.services import KnownServices
from streams.windows.labels import MAX_SERVICES
from tests.support.tables import table_alone

START = 1_700_000_000_000
HOUR_MS = 3_600_000


def message(hours: int = 0, partition: int = 1) -> Message:
    """A telemetry message, so many hours later."""
    return Message("coalmine.events", partition, 0, START + hours * HOUR_MS, {}, b"")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> KnownServices:
    """On a table of its own."""
    table = table_alone("services", monkeypatch)
    return KnownServices(table, Policies({"checkout": Policy(service="checkout")}))


async def test_the_first_thousand_services_of_a_partition_keep_their_names(
    known: KnownServices,
) -> None:
    """Whoever was known stays known; one with a policy of its own always is."""
    names = [f"service-{number}" for number in range(10_000)]
    few, others = names[:10], names[10:]
    assert await known.known(few, message()) == set(few)
    assert len(await known.known(others, message())) == MAX_SERVICES - len(few)
    assert await known.known([names[0], names[MAX_SERVICES]], message(hours=1)) == {names[0]}
    assert await known.known([names[MAX_SERVICES]], message(partition=2))
    assert await known.known(["checkout"], message())


async def test_a_service_that_was_silent_for_a_week_gives_its_place_to_a_new_one(
    known: KnownServices,
) -> None:
    """One that is heard again within the week keeps it."""
    names = [f"service-{number}" for number in range(MAX_SERVICES)]
    assert await known.known(names, message()) == set(names)
    assert await known.known(["service-0"], message(hours=100))
    later = message(hours=services._REMEMBERED_H + 1)
    assert await known.known(["new"], later)
    assert await known.known(["service-0"], later)
