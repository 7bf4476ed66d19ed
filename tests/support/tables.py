"""Tables of the stream worker without a worker."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.settings import KafkaSettings
from streams.durable import new_app
from streams.tables import DurableTable


def table_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> DurableTable:
    """A table of an app that is never started: every partition is its own, Kafka has all."""
    table = DurableTable(new_app("test", KafkaSettings()), name)
    table.own(range(4))

    async def sent(*_: Any) -> int:
        return 0

    monkeypatch.setattr(table, "send_changelog", sent)
    return table
