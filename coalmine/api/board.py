"""What the API knows: the last verdict of each rollout, decisions, answers, deliveries.

In memory, within bounds, and fed with the messages of the results topics in any order and as often
as they come. It knows neither Kafka nor HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from coalmine.api.flag_board import FlagBoard
from contracts import topics
from contracts.errors import UNREADABLE, InvalidRecord
from contracts.results import Answer, Decision, Delivery, RolloutStatus, Verdict

T = TypeVar("T")
Record = Verdict | Decision | Answer | Delivery
Listener = Callable[[Record], None]

FED_BY = (topics.VERDICTS, topics.DECISIONS, topics.FLAGS, topics.ANSWERS, topics.DELIVERIES)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a board holds; what is oldest goes first, of rollouts the closed ones."""

    rollouts: int = 5_000
    verdict_bytes: int = 128_000_000
    decisions: int = 20_000
    answers: int = 20_000
    deliveries: int = 20_000
    """Decisions whose attempts are kept."""
    attempts: int = 100
    """Of one decision."""


class Heading(msgspec.Struct, kw_only=True, frozen=True, rename={"service": "service.name"}):
    """The part of a verdict that finds its rollout; reading no more of it is ten times faster."""

    service: str
    rollout: str
    canary: str
    status: RolloutStatus
    opened_at: int
    flag: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    heading: Heading
    raw: bytes
    """A verdict takes ten times the memory once it is read: most are never asked for."""


class Board:
    """Safe for one thread that feeds it and others that ask.

    Args:
        bounds: how much it holds.
    """

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._lock = threading.RLock()
        self._verdicts: dict[str, _Held] = {}
        self._verdict_bytes = 0
        self._decisions: _Oldest[Decision] = _Oldest(self._bounds.decisions)
        self._answers: _Oldest[Answer] = _Oldest(self._bounds.answers)
        self._deliveries: _Oldest[dict[str, Delivery]] = _Oldest(self._bounds.deliveries)
        self._listeners: list[Listener] = []
        self.flags = FlagBoard()

    def take(self, topic: str, value: bytes) -> None:
        """Take one message into account.

        Args:
            topic: one of ``FED_BY``.
            value: of the message.

        Raises:
            InvalidRecord: it is not what its topic carries.
        """
        take = self._takers()[topic]
        try:
            take(value)
        except UNREADABLE as error:
            raise InvalidRecord("not a known document", str(error)) from error

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Tell ``listener`` of every record that is taken meanwhile, from the thread that feeds.

        It must be quick and must not raise.
        """
        with self._lock:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    # --- asking ---

    def rollouts(
        self, *, service: str = "", canary: str = "", flag: str | None = None
    ) -> list[Heading]:
        """Headings of the rollouts that fit, the latest first.

        Args:
            service: only this one's.
            canary: only of this release, or variant.
            flag: only of this flag, or with an empty one only those of releases.
        """
        with self._lock:
            found = [held.heading for held in self._verdicts.values()]
        fitting = (
            h
            for h in found
            if (not service or h.service == service)
            and (not canary or h.canary == canary)
            and (flag is None or h.flag == flag)
        )
        return sorted(fitting, key=lambda h: (h.opened_at, h.version), reverse=True)

    def verdict(self, rollout: str) -> Verdict | None:
        """The last verdict of a rollout, without the windows that its evidence was made of."""
        with self._lock:
            held = self._verdicts.get(rollout)
        if held is None:
            return None
        verdict = msgspec.json.decode(held.raw, type=Verdict)
        for metric in verdict.metrics:
            metric.windows = []
        return verdict

    def decision(self, decision_id: str) -> Decision | None:
        """The decision of this id."""
        with self._lock:
            return self._decisions.get(decision_id)

    def decisions(self, rollout: str) -> list[Decision]:
        """Those of one rollout, in order of time."""
        with self._lock:
            found = [d for d in self._decisions.values() if d.rollout == rollout]
        return sorted(found, key=lambda d: d.processed_time)

    def answer(self, command_id: str) -> Answer | None:
        """What the judge made of a command."""
        with self._lock:
            return self._answers.get(command_id)

    def answers(self, rollout: str) -> list[Answer]:
        """Those about one rollout, in order of time."""
        with self._lock:
            found = [a for a in self._answers.values() if a.rollout == rollout]
        return sorted(found, key=lambda a: a.time)

    def deliveries(self, decision_id: str) -> list[Delivery]:
        """Every attempt to tell an endpoint of a decision, in order of time."""
        with self._lock:
            found = list((self._deliveries.get(decision_id) or {}).values())
        return sorted(found, key=lambda d: (d.time, d.endpoint, d.attempt))

    def sizes(self) -> Mapping[str, int]:
        """How many records of each kind it holds."""
        with self._lock:
            return {
                "rollouts": len(self._verdicts),
                "decisions": len(self._decisions),
                "answers": len(self._answers),
                "deliveries": len(self._deliveries),
                "flags": len(self.flags),
            }

    # --- taking ---

    def _takers(self) -> dict[str, Callable[[bytes], None]]:
        return {
            topics.VERDICTS.name: self._take_verdict,
            topics.DECISIONS.name: self._take_decision,
            topics.FLAGS.name: self.flags.take,
            topics.ANSWERS.name: self._take_answer,
            topics.DELIVERIES.name: self._take_delivery,
        }

    def _take_verdict(self, value: bytes) -> None:
        heading = msgspec.json.decode(value, type=Heading)
        with self._lock:
            known = self._verdicts.get(heading.rollout)
            if known is not None and known.heading.version > heading.version:
                return  # a worker that was wedged wrote an older copy behind a newer one
            if self._listeners:
                self._tell(msgspec.json.decode(value, type=Verdict))
            self._verdict_bytes += len(value) - (len(known.raw) if known else 0)
            self._verdicts[heading.rollout] = _Held(heading, value)
            while self._is_too_full():
                self._drop_one()

    def _is_too_full(self) -> bool:
        count, size = len(self._verdicts), self._verdict_bytes
        is_over = count > self._bounds.rollouts or size > self._bounds.verdict_bytes
        return is_over and count > 1

    def _drop_one(self) -> None:
        oldest = min(
            self._verdicts.values(),
            key=lambda held: (held.heading.status.is_open, held.heading.opened_at),
        )
        del self._verdicts[oldest.heading.rollout]
        self._verdict_bytes -= len(oldest.raw)

    def _take_decision(self, value: bytes) -> None:
        decision = msgspec.json.decode(value, type=Decision)
        with self._lock:
            self._decisions.put(decision.id, decision)
            self._tell(decision)

    def _take_answer(self, value: bytes) -> None:
        answer = msgspec.json.decode(value, type=Answer)
        with self._lock:
            self._answers.put(answer.id, answer)
            self._tell(answer)

    def _take_delivery(self, value: bytes) -> None:
        delivery = msgspec.json.decode(value, type=Delivery)
        with self._lock:
            attempts = self._deliveries.get(delivery.decision) or {}
            attempts[delivery.id] = delivery
            if len(attempts) > self._bounds.attempts:
                del attempts[next(iter(attempts))]
            self._deliveries.put(delivery.decision, attempts)
            self._tell(delivery)

    def _tell(self, record: Record) -> None:
        for listener in list(self._listeners):
            listener(record)


class _Oldest(Generic[T]):
    """A dict of at most ``most`` entries; the one that was first put goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> T | None:
        return self._entries.get(key)

    def put(self, key: str, value: T) -> None:
        self._entries[key] = value
        if len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]

    def values(self) -> list[T]:
        return list(self._entries.values())
