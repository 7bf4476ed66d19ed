"""Tables of the stream worker without a worker."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.settings import KafkaSettings
from streams.durable import DurableTable, new_app, new_table


def table_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> DurableTable:
    """A table of an app that is never started: every partition is its own, Kafka has all."""
    table = new_table(new_app("test", KafkaSettings()), name, partitions=4)

    async def sent(*_: Any) -> None:
        pass

    monkeypatch.setattr(table, "send_changelog", sent)
    monkeypatch.setattr(table, "own_keys", lambda: list(table.data))
    return table
