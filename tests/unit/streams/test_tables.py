"""Tables of the stream worker, without Kafka; tests/integration/streams/test_tables.py has one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from contracts.errors import Fatal
from streams import tables
from streams.tables import DurableTable
from tests.support.tables import table_alone


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> DurableTable:
    """A table; nothing is sent anywhere."""
    return table_alone("states", monkeypatch)


def record(key: bytes | None, version: int, value: bytes, offset: int = 0) -> Any:
    """One record of the changelog."""
    return SimpleNamespace(key=key, value=tables._VERSION.pack(version) + value, offset=offset)


def test_what_a_wedged_worker_wrote_behind_its_successor_does_not_count(
    table: DurableTable,
) -> None:
    """The changelog ends with an older value; whoever reads it keeps the newer one."""
    table.take_in(1, [record(b"s", 7, b"new"), record(b"s", 5, b"of the zombie")])
    assert (table.version_of(b"s"), table.value_of(b"s")) == (7, b"new")
    table.take_in(1, [record(b"s", 7, b"the same again")])
    assert table.value_of(b"s") == b"the same again"
    assert (table.version_of(b"t"), table.value_of(b"t")) == (-1, None)


def test_what_is_no_record_of_a_table_is_passed_over(table: DurableTable) -> None:
    """Somebody else wrote into the changelog: what is behind it is read all the same."""
    short = SimpleNamespace(key=b"s", value=b"x", offset=4)
    empty = SimpleNamespace(key=b"s", value=None, offset=5)
    table.take_in(1, [short, empty, record(None, 1, b"x", 6), record(b"t", 1, b"y", 7)])
    assert (table.value_of(b"s"), table.value_of(b"t")) == (None, b"y")
    assert table.begin(1, 0, 9) == 8


async def test_a_changelog_is_read_from_where_somebody_else_wrote(
    table: DurableTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this worker wrote itself need not be read again, what stands before it must be."""
    assert [table.begin(partition, 3, 5) for partition in (0, 1)] == [3, 3]

    async def at(offset: int) -> None:
        async def sent(*_: object) -> int:
            return offset

        monkeypatch.setattr(table, "send_changelog", sent)
        await table.put(b"k%d" % offset, b"v", version=1, partition=1)

    await at(3)
    await at(4)
    assert table.begin(1, 0, 9) == 5
    await at(6)  # 5 is another's
    await at(7)
    assert table.begin(1, 0, 9) == 5
    assert table.begin(0, 0, 5) == 3
    assert table.begin(1, 7, 9) == 7, "compacted or deleted meanwhile"


def test_a_changelog_that_was_made_anew_is_not_taken_for_the_known_one(
    table: DurableTable,
) -> None:
    """Offsets that mean something else are no offsets to go on from."""
    table.take_in(1, [record(b"s", 1, b"x", offset=9)])
    with pytest.raises(Fatal, match="test-states-changelog/1 ends at 4, but was read up to 10"):
        table.begin(1, 0, 4)


def test_what_was_given_away_lingers_and_is_then_read_anew(table: DurableTable) -> None:
    """A batch in hand still finds its fences; nobody else is told of keys that are another's."""
    table.take_in(1, [record(b"s", 1, b"x", offset=9)])
    table.take_in(2, [record(b"t", 1, b"y", offset=3)])
    table.own([2])
    assert table.own_keys() == [b"t"]
    assert table.version_of(b"s") == 1
    assert table.begin(1, 0, 20) == 10, "it came back in time"
    table.forget()
    assert (table.version_of(b"s"), table.version_of(b"t")) == (-1, 1)
    assert [table.begin(1, 0, 20), table.begin(2, 0, 20)] == [0, 4]
