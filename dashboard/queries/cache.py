"""Answers shared by all viewers: fifty open pages cost Elasticsearch what one costs.

A value is loaded at most once in its lifetime, by one thread, while others wait. When loading
fails, the last good value stays, together with the sentence that tells why it is old.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
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


class Cache:
    """Least recently used entries leave; each loader runs under its entry's own lock."""

    def __init__(self, clock: Clock, most_entries: int = MOST_ENTRIES) -> None:
        self._clock = clock
        self._most_entries = most_entries
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, ttl_s: float, load: Callable[[], T]) -> Answer[T]:
        """The value under a key, loaded if it is older than ``ttl_s`` seconds.

        Args:
            key: names the value; the same key must mean the same loader.
            ttl_s: how long a value, or a failure, is served without asking again.
            load: reads the value; only ``Unavailable`` counts as a failure.
        """
        entry = self._entry(key)
        with entry.lock:
            if entry.answer is None or self._clock.monotonic_s() >= entry.expires_at_s:
                entry.answer = self._load(entry.answer, load)
                entry.expires_at_s = self._clock.monotonic_s() + ttl_s
            return entry.answer

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
