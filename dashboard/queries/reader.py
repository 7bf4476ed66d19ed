"""What a page asks for: all frames of one view, cached, with one word on how fresh they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Never, TypeVar

import pandas as pd
from elasticsearch import Elasticsearch

from contracts.clock import Clock
from contracts.flags import arm_of
from contracts.results import RolloutStatus, Verdict
from dashboard.queries import crashes, decisions, deliveries, rollouts, verdicts, windows
from dashboard.queries.cache import Answer, Cache
from dashboard.queries.elastic import Source, Unavailable

T = TypeVar("T")

LEAD_MS = 30_000
"""How much of the time before a rollout its plots show."""

TAIL_MS = 60_000
"""How much of the time after the last look they show."""

QUICK_S = 1.9
SLOW_S = 3.9
OLDER_S = 300.0
"""Lifetimes of what changes at every look, of what is dear to compute, and of what was long ago.

Pages beat once a second. One that beats alone finds a value of a whole second still fresh at the
next beat, and stale at the one after; among many viewers there is always one who comes in between.
Just below a whole number of beats both read equally often.
"""

_THREADS = 8
"""Parts of views that are read at a time, below the connections that the client has."""

RECENT_MS = 120_000
"""Before the last look: what is stored later than that shows within ``OLDER_S``."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Age of the oldest part of a view, and why it could not be read anew."""

    as_of_ms: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class RolloutList:
    """The list of rollouts; ``frame`` is None before the first answer of Elasticsearch."""

    frame: pd.DataFrame | None
    freshness: Freshness

    @property
    def last_look_ms(self) -> int | None:
        """When the judge last looked at any open rollout; None where none is open."""
        if self.frame is None:
            return None
        is_open = [RolloutStatus(status).is_open for status in self.frame["status"]]
        looks = self.frame["processed_time"][is_open]
        return None if looks.empty else int(looks.max())


@dataclass(frozen=True, slots=True)
class RolloutView:
    """Everything that one rollout's page shows."""

    verdict: Verdict
    looks: pd.DataFrame
    metrics: pd.DataFrame
    counts: pd.DataFrame
    bucket_s: int
    histograms: windows.Histograms
    decisions: pd.DataFrame
    deliveries: pd.DataFrame
    crashes: pd.DataFrame


@dataclass(frozen=True, slots=True)
class RolloutAnswer:
    """One rollout, or None where it is unknown or nothing could be read yet."""

    view: RolloutView | None
    freshness: Freshness


@dataclass(slots=True)
class _Parts:
    """Collects the freshness of the parts of one view."""

    as_of_ms: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def note(self, answer: Answer[T]) -> T | None:
        self.errors.append(answer.error)
        if answer.as_of_ms:
            self.as_of_ms.append(answer.as_of_ms)
        return answer.value

    def take(self, reading: Future[Answer[T]], default: T) -> T:
        value = self.note(reading.result())
        return default if value is None else value

    def freshness(self) -> Freshness:
        return Freshness(min(self.as_of_ms, default=0), next((e for e in self.errors if e), ""))


class Reader:
    """Reads views; every thread of the server shares one.

    Args:
        client: Elasticsearch with a short timeout.
        clock: decides when a cached answer is too old.
    """

    def __init__(self, client: Elasticsearch, clock: Clock) -> None:
        self._client = client
        self._cache = Cache(clock)
        self._threads = ThreadPoolExecutor(_THREADS, "part")
        self.clock = clock

    def rollouts(self) -> RolloutList:
        """All rollouts, those that need a person first."""
        answer = self._cache.get("rollouts", QUICK_S, self._rollouts)
        return RolloutList(answer.value, Freshness(answer.as_of_ms, answer.error))

    def _rollouts(self) -> pd.DataFrame:
        found = rollouts.fetch_rollouts(self._client)
        trends = self._cache.get(
            "trends", SLOW_S, lambda: rollouts.fetch_trends(self._client, found)
        )
        return rollouts.rollouts_frame(found, trends.value)

    def rollout(self, service: str, release: str, rollout: str | None = None) -> RolloutAnswer:
        """One rollout with everything around it."""
        parts = _Parts()
        verdict = parts.note(
            self._cache.get(
                ("rollout", service, release, rollout),
                QUICK_S,
                lambda: rollouts.fetch_rollout(self._client, service, release, rollout),
            )
        )
        view = self._view(parts, verdict) if verdict else None
        return RolloutAnswer(view, parts.freshness())

    def sample(self, service: str, fingerprint: str, release: str | None) -> Answer[Source | None]:
        """A sample of a crash group, from one release or from any."""
        return self._cache.get(
            ("sample", service, fingerprint, release),
            SLOW_S,
            lambda: (
                crashes.fetch_sample(self._client, service, fingerprint, release)
                or crashes.fetch_sample(self._client, service, fingerprint, None)
            ),
        )

    def _view(self, parts: _Parts, v: Verdict) -> RolloutView:
        named = {"canary": v.canary, "baseline": v.baseline}
        arms = {arm: arm_of(v.flag, name) if v.flag else name for arm, name in named.items()}
        start, end = v.opened_at - LEAD_MS, v.time + TAIL_MS
        es, first = self._client, v.opened_at - 10_000
        looks = self._begin(
            parts, ("looks", v.rollout), QUICK_S, lambda: self._looks(v.rollout, start, end)
        )
        counts = self._begin(
            parts,
            ("counts", v.rollout),
            QUICK_S,
            lambda: (
                windows.fetch_counts(es, v.service, arms, start, end),
                windows.bucket_s(start, end),
            ),
        )
        histograms = self._begin(
            parts,
            ("histograms", v.rollout),
            SLOW_S,
            lambda: windows.fetch_histograms(es, v.service, arms, first, end),
        )
        groups = self._begin(
            parts,
            ("crashes", v.rollout),
            SLOW_S,
            lambda: crashes.fetch_crash_groups(es, v.service, arms, first, end),
        )
        decided = self._begin(
            parts,
            ("decisions", v.rollout),
            QUICK_S,
            lambda: decisions.fetch_decisions(es, v.rollout),
        )
        delivered = self._begin(
            parts,
            ("deliveries", v.rollout),
            QUICK_S,
            lambda: deliveries.fetch_deliveries(es, v.rollout),
        )
        empty = (windows.counts_frame({}), windows.bucket_s(start, end))
        frame, bucket_s = parts.take(counts, empty)
        told = parts.take(looks, [])
        return RolloutView(
            verdict=v,
            looks=verdicts.looks_frame(told),
            metrics=verdicts.metrics_frame(told),
            counts=frame,
            bucket_s=bucket_s,
            histograms=parts.take(histograms, {}),
            decisions=parts.take(decided, decisions.decisions_frame([])),
            deliveries=parts.take(delivered, deliveries.deliveries_frame([])),
            crashes=parts.take(groups, crashes.crash_frame([], {})),
        )

    def _looks(self, rollout: str, start: int, end: int) -> list[Verdict]:
        """The looks of a rollout: older ones hardly change, and a day of them is dear to read."""
        step = verdicts.step_s(start, end)

        def older() -> tuple[int, list[Verdict]]:
            until = (end - RECENT_MS) // (step * 1000) * step * 1000
            return until, verdicts.fetch_looks(self._client, rollout, start, until - 1, step)

        answer = self._cache.get(("older looks", rollout, step), OLDER_S, older)
        if answer.value is None:
            raise Unavailable(answer.error)
        until, looks = answer.value
        since = max(start, until)
        return [*looks, *verdicts.fetch_looks(self._client, rollout, since, end, step)]

    def _begin(
        self, parts: _Parts, key: Hashable, ttl_s: float, load: Callable[[], T]
    ) -> Future[Answer[T]]:
        """Begin to read a part, beside the others: together they take as long as the slowest."""
        # once a part has failed, the others would only wait for the same timeout
        loader = _unasked if any(parts.errors) else load
        beside = self._threads if ttl_s >= SLOW_S else None
        return self._threads.submit(self._cache.get, key, ttl_s, loader, beside=beside)


def _unasked() -> Never:
    raise Unavailable("Elasticsearch does not answer")
