"""Which services are counted by name: the first thousand of a telemetry partition, in a week."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from contracts.policy import Policies
from streams.messages import Message
from streams.tables import DurableTable
from streams.windows.labels import MAX_SERVICES

log = structlog.get_logger()

_HOUR_MS = 3_600_000
_REMEMBERED_H = 7 * 24


class KnownServices:
    """Remembers names in a table, with the hour of their last message as the version."""

    def __init__(self, table: DurableTable, policies: Policies) -> None:
        self._table = table
        self._policies = policies
        self._full_in: dict[int, int] = {}
        """Partition to the hour in which it was found to have all the services it may have."""

    async def known(self, services: Iterable[str], message: Message) -> set[str]:
        """Those that are counted by name; decided before their first partial, and durably."""
        partition, hour = message.partition, message.timestamp // _HOUR_MS
        found, told = set[str](), list[bytes]()
        new = 0
        for service in services:
            key = f"{partition}/{service}".encode()
            seen = self._table.version_of(key)
            if seen < hour - _REMEMBERED_H:
                if service not in self._policies and self._is_full(partition, hour, new):
                    continue
                new += 1
            if seen < hour:
                told.append(key)
            found.add(service)
        await asyncio.gather(
            *(self._table.put(key, b"", version=hour, partition=partition) for key in told)
        )
        return found

    def _is_full(self, partition: int, hour: int, new: int) -> bool:
        """Whether a partition has as many services as it may have, with so many new ones."""
        if self._full_in.get(partition) == hour:
            return True
        own = f"{partition}/".encode()
        since = hour - _REMEMBERED_H
        keys = [key for key in self._table.own_keys() if key.startswith(own)]
        if new + sum(self._table.version_of(key) >= since for key in keys) < MAX_SERVICES:
            return False
        log.warning("too_many_services", partition=partition, limit=MAX_SERVICES)
        self._full_in[partition] = hour
        return True
