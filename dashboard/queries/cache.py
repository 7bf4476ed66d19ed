"""Answers shared by all viewers: fifty open pages cost Elasticsearch what one costs.

A value is loaded at most once in its lifetime, by one thread, while others wait, or take the old
value where that is asked for. When loading fails, the last good value stays, together with the
sentence that tells why it is old.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from contracts.clock import Clock
from dashboard.queries.elastic import Unavailable

T = TypeVar("T")

MOST_ENTRIES = 512


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value, when it was read, and why it could not be read anew (empty if it could)."""

    value: T | None
    as_of_ms: int
    error: str = ""


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answer: Answer[Any] | None = None
        self.expires_at_s = 0.0
        self.is_loading = False


class Cache:
    """Least recently used entries leave; each loader runs under its entry's own lock."""

    def __init__(self, clock: Clock, most_entries: int = MOST_ENTRIES) -> None:
        self._clock = clock
        self._most_entries = most_entries
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, key: Hashable, ttl_s: float, load: Callable[[], T], *, beside: Executor | None = None
    ) -> Answer[T]:
        """The value under a key, loaded if it is older than ``ttl_s`` seconds.

        Args:
            key: names the value; the same key must mean the same loader.
            ttl_s: how long a value, or a failure, is served without asking again.
            load: reads the value; only ``Unavailable`` counts as a failure.
            beside: threads that load it anew while the old value is served once more, unless that
                is older than twice its lifetime; without, whoever comes first loads it.
        """
        entry = self._entry(key)
        with entry.lock:
            overdue_s = self._clock.monotonic_s() - entry.expires_at_s
            if entry.answer is None or overdue_s >= (ttl_s if beside else 0):
                self._renew(entry, ttl_s, self._load(entry.answer, load))
            elif beside and overdue_s >= 0 and not entry.is_loading:
                entry.is_loading = True
                beside.submit(self._load_beside, entry, ttl_s, load)
            assert entry.answer is not None
            return entry.answer

    def _load_beside(self, entry: _Entry, ttl_s: float, load: Callable[[], Any]) -> None:
        try:
            answer = self._load(entry.answer, load)
            with entry.lock:
                self._renew(entry, ttl_s, answer)
        finally:
            entry.is_loading = False

    def _renew(self, entry: _Entry, ttl_s: float, answer: Answer[Any]) -> None:
        entry.answer = answer
        entry.expires_at_s = self._clock.monotonic_s() + ttl_s

    def _load(self, before: Answer[T] | None, load: Callable[[], T]) -> Answer[T]:
        try:
            return Answer(load(), self._clock.now_ms())
        except Unavailable as error:
            if before is None:
                return Answer(None, 0, str(error))
            return Answer(before.value, before.as_of_ms, str(error))

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._most_entries:
                self._entries.popitem(last=False)
            return entry
