"""What the pages of crashes and logs ask for, cached and shared by all viewers."""

from __future__ import annotations

from dataclasses import dataclass

from elasticsearch import Elasticsearch

from contracts.clock import Clock
from dashboard.queries.cache import Answer, Cache
from dashboard.queries.crash_groups import (
    fetch_group,
    fetch_groups,
    fetch_samples,
    fetch_services,
)
from dashboard.queries.crash_records import GroupRecord
from dashboard.queries.elastic import Source
from dashboard.queries.logs import LogPage, LogRow, LogSearch, fetch_around, fetch_logs

PERIODS_MS = {
    "15m": 900_000,
    "1h": 3_600_000,
    "6h": 21_600_000,
    "24h": 86_400_000,
    "7d": 604_800_000,
    "30d": 2_592_000_000,
    "90d": 7_776_000_000,
}
"""Stretches of time that a reader may choose, as they stand in addresses."""

GROUPS_S = 3.0
SERVICES_S = 30.0
LOGS_S = 2.0
"""Lifetimes of answers."""


@dataclass(frozen=True, slots=True)
class GroupView:
    """Everything that one crash group's page shows."""

    record: GroupRecord
    samples: list[Source]
    """The newest sighting with a sample of each release, the newest first."""
    around: list[LogRow]
    """Log lines around the newest sample."""


class SearchReader:
    """Reads crash groups and log lines; every thread of the server shares one.

    Args:
        client: Elasticsearch with a short timeout.
        clock: tells now, and when a cached answer is too old.
        absent: so many releases without a crash make its return a regression.
    """

    def __init__(self, client: Elasticsearch, clock: Clock, absent: int = 1) -> None:
        self._client = client
        self._cache = Cache(clock)
        self._absent = absent
        self.clock = clock

    def services(self, period: str) -> Answer[list[str]]:
        """Services that crashed, the most frequent first."""

        def load() -> list[str]:
            return fetch_services(self._client, self.clock.now_ms() - PERIODS_MS[period])

        return self._cache.get(("services", period), SERVICES_S, load)

    def groups(self, service: str, period: str) -> Answer[list[GroupRecord]]:
        """The crash groups of a service that were seen in a period, what needs a person first."""

        def load() -> list[GroupRecord]:
            now = self.clock.now_ms()
            since = now - PERIODS_MS[period]
            return fetch_groups(self._client, service, since, now, self._absent)

        return self._cache.get(("groups", service, period), GROUPS_S, load)

    def group(self, service: str, fingerprint: str, period: str) -> Answer[GroupView | None]:
        """One crash group with what happened around it; no value if it is unknown."""

        def load() -> GroupView | None:
            now = self.clock.now_ms()
            since = now - PERIODS_MS[period]
            record = fetch_group(self._client, service, fingerprint, since, now, self._absent)
            if record is None:
                return None
            samples = fetch_samples(self._client, service, record.members)
            return GroupView(record, samples, self._around(service, samples))

        return self._cache.get(("group", service, fingerprint, period), GROUPS_S, load)

    def logs(self, wanted: LogSearch) -> Answer[LogPage]:
        """The newest log lines that a search finds."""
        return self._cache.get(wanted, LOGS_S, lambda: fetch_logs(self._client, wanted))

    def _around(self, service: str, samples: list[Source]) -> list[LogRow]:
        for sighting in samples[:1]:
            sample = sighting.get("sample") or {}
            host, trace = sample.get("host.name") or "", sample.get("trace.id") or ""
            at_ms = int(sample.get("time") or sighting["@timestamp"])
            return fetch_around(self._client, service, host, trace, at_ms)
        return []
