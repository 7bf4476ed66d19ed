"""What the pages around the rollouts ask for, cached and shared by all viewers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from elasticsearch import Elasticsearch

from contracts.clock import Clock
from contracts.indices import ROLLOUTS
from contracts.results import Decision
from dashboard.queries import audit, components, crashes, hosts, pipeline, windows
from dashboard.queries.cache import Answer, Cache
from dashboard.queries.elastic import Source, search, step_for
from dashboard.queries.release_records import ReleaseReport
from dashboard.queries.releases import fetch_report

LIVE_S = 2.0
SLOW_S = 5.0
NAMES_S = 30.0
"""Lifetimes of what changes with every record, of what is dear to compute, and of names."""

_DAY_MS = 86_400_000
LONG_MS = 3_600_000
"""Beyond it the latencies of a comparison come from windows all over the stretch of time."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two releases, or arms, of a service over one stretch of time."""

    service: str
    here: str
    there: str
    start_ms: int
    end_ms: int

    @property
    def arms(self) -> dict[str, str]:
        """As a rollout names them: the one that is asked about is the canary."""
        return {"canary": self.here, "baseline": self.there}


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """Everything that a comparison shows."""

    counts: pd.DataFrame
    bucket_s: int
    histograms: windows.Histograms
    groups: pd.DataFrame


@dataclass(frozen=True, slots=True)
class HostsView:
    """Everything that the page of hosts shows."""

    hosts: pd.DataFrame
    load: pd.DataFrame


@dataclass(frozen=True, slots=True)
class PipelineView:
    """Everything that the page of the pipeline shows."""

    kinds: pd.DataFrame
    delays: pd.DataFrame
    reasons: pd.DataFrame
    letters: list[Source]


class PageReader:
    """Reads views; every thread of the server shares one.

    Args:
        client: Elasticsearch with a short timeout.
        clock: tells now, and when a cached answer is too old.
    """

    def __init__(self, client: Elasticsearch, clock: Clock) -> None:
        self._client = client
        self._cache = Cache(clock)
        self.clock = clock

    def components(self, length_ms: int) -> Answer[pd.DataFrame]:
        """Services with traffic in the newest stretch of time."""

        def load() -> pd.DataFrame:
            now = self.clock.now_ms()
            return components.fetch_components(self._client, now - length_ms, now)

        return self._cache.get(("components", length_ms), SLOW_S, load)

    def releases(self, service: str, start_ms: int, end_ms: int) -> Answer[dict[str, int]]:
        """Releases and arms of a service with their requests, the newest first."""
        minute = 60_000  # so that a moving end asks once a minute
        key = ("releases", service, start_ms // minute, end_ms // minute)
        return self._cache.get(
            key,
            NAMES_S,
            lambda: components.fetch_releases(self._client, service, start_ms, end_ms),
        )

    def comparison(self, wanted: Comparison, *, key: str) -> Answer[ComparisonView]:
        """Two releases side by side.

        Args:
            wanted: what is compared.
            key: how the reader named the stretch of time: all who named it so share the answer.
        """
        es, start, end = self._client, wanted.start_ms, wanted.end_ms
        spread = end - start > LONG_MS
        fetch = windows.fetch_spread_histograms if spread else windows.fetch_histograms

        def load() -> ComparisonView:
            return ComparisonView(
                counts=windows.fetch_counts(es, wanted.service, wanted.arms, start, end),
                bucket_s=windows.bucket_s(start, end),
                histograms=fetch(es, wanted.service, wanted.arms, start, end),
                groups=crashes.fetch_crash_groups(es, wanted.service, wanted.arms, start, end),
            )

        place = ("comparison", wanted.service, wanted.here, wanted.there, key)
        return self._cache.get(place, SLOW_S, load)

    def report(self, service: str, length_ms: int) -> Answer[ReleaseReport]:
        """The releases of a service in the wild, over the newest stretch of time."""

        def load() -> ReleaseReport:
            return fetch_report(
                self._client, service, self.clock.now_ms(), days=length_ms / _DAY_MS
            )

        return self._cache.get(("report", service, length_ms), NAMES_S, load)

    def hosts(self, service: str, length_ms: int) -> Answer[HostsView]:
        """Load of hosts in the newest stretch of time."""

        def load() -> HostsView:
            now = self.clock.now_ms()
            span = (now - length_ms, now)
            return HostsView(
                hosts=hosts.fetch_hosts(self._client, service, *span),
                load=hosts.fetch_load(self._client, service, *span),
            )

        return self._cache.get(("hosts", service, length_ms), SLOW_S, load)

    def trail(self, wanted: audit.AuditSearch, *, key: str) -> Answer[list[audit.Entry]]:
        """What a search in the audit trail finds; ``key`` names its stretch of time."""
        filters = (wanted.service, wanted.rollout, wanted.kind)
        place = ("trail", *filters, wanted.action, wanted.outcome, wanted.who, key)
        return self._cache.get(place, LIVE_S, lambda: audit.fetch_trail(self._client, wanted))

    def pipeline(self, length_ms: int) -> Answer[PipelineView]:
        """How the pipeline is, over the newest stretch of time."""

        def load() -> PipelineView:
            now = self.clock.now_ms()
            step_s = step_for(length_ms, buckets=windows.MOST_BUCKETS, at_least_s=1)
            reasons, letters = pipeline.fetch_dead_letters(self._client, now - length_ms, now)
            return PipelineView(
                kinds=pipeline.fetch_kinds(self._client, now),
                delays=pipeline.fetch_delays(self._client, now - length_ms, now, step_s),
                reasons=reasons,
                letters=letters,
            )

        return self._cache.get(("pipeline", length_ms), SLOW_S, load)

    def reachable(self) -> Answer[bool]:
        """Whether Elasticsearch answers; the error says why not."""
        return self._cache.get("reachable", LIVE_S, lambda: bool(search(self._client, ROLLOUTS)))

    def answer(self, command: str) -> Answer[Source | None]:
        """The judge's answer to a command, once it is stored."""
        return self._cache.get(
            ("answer", command), 1.0, lambda: audit.fetch_answer(self._client, command)
        )

    def decision(self, decision: str) -> Answer[Decision | None]:
        """A decision by its id."""
        return self._cache.get(
            ("decision", decision), LIVE_S, lambda: audit.fetch_decision(self._client, decision)
        )

    def resent(self, decision: str, request: str) -> Answer[Source | None]:
        """What became of a request to send a decision again, once it is stored."""
        return self._cache.get(
            ("resent", request),
            1.0,
            lambda: audit.fetch_resent(self._client, decision, request),
        )
