"""Notices of one endpoint, each at its time, on a thread of their own.

An endpoint that hangs delays nobody but itself; a decision that waits for its next attempt does
not hold up the endpoint's other decisions.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from alerting.intake import Place
from alerting.offsets import Partition
from alerting.pipeline import FINAL, Ledger, Notice, Stage, run_stages
from alerting.settings import Endpoint
from contracts.clock import Clock
from contracts.results import Decision
from health.vitals import Pulse

_RECORD_AGAIN_MS = 1_000


@dataclass(slots=True)
class _Job:
    notice: Notice
    places: list[Place] = field(default_factory=list)
    """Messages that carry this decision; a decision may be on the topic more than once."""


class Outbox:
    """The queue of one endpoint.

    Args:
        endpoint: whom it is for.
        stages: what ``build_pipeline`` gave.
        ledger: how often this decision was tried before.
        clock: says what is due.
        on_settled: called once for each place whose decision this endpoint is done with.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        stages: Sequence[Stage],
        ledger: Ledger,
        clock: Clock,
        on_settled: Callable[[Place], None],
    ) -> None:
        self.endpoint = endpoint
        self._stages = stages
        self._ledger = ledger
        self._clock = clock
        self._on_settled = on_settled
        self.pulse = Pulse(endpoint.timeout_s, self._clock)
        """Due to move while an attempt is under way."""
        self._jobs: dict[str, _Job] = {}
        self._due: list[tuple[int, int, str]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()

    @property
    def waiting_since(self) -> int | None:
        """When the oldest decision that is under way was made, epoch milliseconds."""
        with self._changed:
            made = [job.notice.decision.processed_time for job in self._jobs.values()]
        return min(made, default=None)

    def put(self, decision: Decision, place: Place) -> None:
        """Take a decision on; the same decision twice is one job."""
        with self._changed:
            job = self._jobs.get(decision.id)
            if job is None:
                attempt = self._ledger.attempts(decision.id, self.endpoint.name) + 1
                job = self._jobs[decision.id] = _Job(Notice(decision, self.endpoint, attempt))
                self._push(decision.id, self._clock.now_ms())
            job.places.append(place)

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget what stands in these partitions: another process answers for it now."""
        gone = set(partitions)
        with self._changed:
            for decision_id, job in list(self._jobs.items()):
                job.places = [p for p in job.places if (p.topic, p.partition) not in gone]
                if not job.places:
                    del self._jobs[decision_id]

    def step(self) -> float | None:
        """Run the notice that is due, if one is.

        Returns:
            Seconds until the next one is due; None when none waits.
        """
        with self._changed:
            decision_id = self._pop_due()
            job = self._jobs.get(decision_id) if decision_id else None
        if job is not None:
            with self.pulse:
                self._keep_or_settle(job, run_stages(self._stages, job.notice))
        with self._changed:
            return self._next_s()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set and ``wake`` was called: the body of a thread."""
        while not stop.is_set():
            self.step()
            with self._changed:
                if not stop.is_set() and (wait_s := self._next_s()) != 0:
                    self._changed.wait(wait_s)

    def wake(self) -> None:
        """Let ``run`` look at ``stop``."""
        with self._changed:
            self._changed.notify_all()

    def _keep_or_settle(self, job: _Job, notice: Notice) -> None:
        decision_id = notice.decision.id
        with self._changed:
            if not notice.is_recorded:
                job.notice = notice
                self._push(decision_id, self._clock.now_ms() + _RECORD_AGAIN_MS)
                return
            if notice.outcome not in FINAL and notice.retry_at is not None:
                job.notice = Notice(notice.decision, notice.endpoint, notice.attempt + 1)
                self._push(decision_id, notice.retry_at)
                return
            if self._jobs.get(decision_id) is job:
                del self._jobs[decision_id]
            places = list(job.places)
        for place in places:
            self._on_settled(place)

    def _push(self, decision_id: str, due_ms: int) -> None:
        heapq.heappush(self._due, (due_ms, next(self._order), decision_id))
        self._changed.notify_all()

    def _pop_due(self) -> str | None:
        self._forget_dropped()
        if self._due and self._due[0][0] <= self._clock.now_ms():
            return heapq.heappop(self._due)[2]
        return None

    def _next_s(self) -> float | None:
        self._forget_dropped()
        if not self._due:
            return None
        return max(0.0, (self._due[0][0] - self._clock.now_ms()) / 1000)

    def _forget_dropped(self) -> None:
        while self._due and self._due[0][2] not in self._jobs:
            heapq.heappop(self._due)
