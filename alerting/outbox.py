"""Notices of one endpoint, each at its time, on a thread of their own.

An endpoint that hangs delays nobody but itself; a decision that waits for its next attempt does
not hold up the endpoint's other decisions, and while its circuit is open they do not wear it out.
What waits, waits by the monotonic clock: a step of the wall clock delays no rollback.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from alerting.intake import Place
from alerting.notice import FINAL, Notice
from alerting.offsets import Partition
from alerting.parts import Parts
from alerting.pipeline import build_pipeline, run_stages
from alerting.settings import Endpoint
from contracts.results import Decision
from health.vitals import Pulse

_RECORD_AGAIN_S = 1.0


@dataclass(slots=True)
class _Job:
    notice: Notice
    due_s: float
    """Monotonic seconds."""
    places: list[Place] = field(default_factory=list)
    """Messages that carry this decision; a decision may be on the topic more than once."""


class Outbox:
    """The queue of one endpoint.

    Args:
        endpoint: whom it is for.
        parts: what its pipeline is built of; the clock says what is due, the breaker what waits.
        on_settled: called once for each place whose decision this endpoint is done with.
    """

    def __init__(
        self, endpoint: Endpoint, parts: Parts, on_settled: Callable[[Place], None]
    ) -> None:
        self.endpoint = endpoint
        self._stages = build_pipeline(parts)
        self._ledger = parts.ledger
        self._clock = parts.clock
        self._breaker = parts.breaker
        self._on_settled = on_settled
        self.pulse = Pulse(endpoint.timeout_s, self._clock)
        """Due to move while an attempt is under way."""
        self._jobs: dict[str, _Job] = {}
        self._changed = threading.Condition()

    @property
    def waiting_since(self) -> int | None:
        """When the oldest decision that is under way was made, epoch milliseconds."""
        with self._changed:
            waiting = (job.notice for job in self._jobs.values() if not job.notice.is_recorded)
            made = [notice.decision.processed_time for notice in waiting]
        return min(made, default=None)

    def put(self, decision: Decision, place: Place) -> None:
        """Take a decision on; the same decision twice is one job."""
        with self._changed:
            job = self._jobs.get(decision.id)
            if job is None:
                attempt = self._ledger.attempts(decision.id, self.endpoint.name) + 1
                notice = Notice(decision, self.endpoint, attempt)
                job = self._jobs[decision.id] = _Job(notice, self._clock.monotonic_s())
                self._changed.notify_all()
            is_over = job.notice.is_recorded
            if not is_over:
                job.places.append(place)
        if is_over:
            self._on_settled(place)

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget what stands in these partitions: another process answers for it now."""
        gone = set(partitions)
        with self._changed:
            for decision_id, job in list(self._jobs.items()):
                job.places = [p for p in job.places if (p.topic, p.partition) not in gone]
                if not job.places and not job.notice.is_recorded:
                    del self._jobs[decision_id]

    def step(self) -> float | None:
        """Run the notice that is due, if one is.

        Returns:
            Seconds until the next one is due; None when none waits.
        """
        with self._changed:
            job = self._next()
            is_due = job is not None and self._due_s(job) <= self._clock.monotonic_s()
        if job is not None and is_due:
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
        decision, now_s = notice.decision, self._clock.monotonic_s()
        with self._changed:
            if not notice.is_recorded:
                job.notice, job.due_s = notice, now_s + _RECORD_AGAIN_S
                return
            if notice.outcome not in FINAL:
                attempt = notice.attempt + 1
                job.notice = Notice(decision, self.endpoint, attempt, reason=notice.reason)
                job.due_s = now_s + notice.retry_in_s
                return
            places, job.places = job.places, []
            if notice.look_in_s is not None:
                job.notice, job.due_s = notice, now_s + notice.look_in_s
            elif self._jobs.get(decision.id) is job:
                del self._jobs[decision.id]
        for place in places:
            self._on_settled(place)

    def _next(self) -> _Job | None:
        """The earliest job; of several the one least tried, so that no one is always the probe."""
        jobs = self._jobs.values()
        return min(jobs, key=lambda job: (self._due_s(job), job.notice.attempt), default=None)

    def _due_s(self, job: _Job) -> float:
        """When a job may go: a retry not before the endpoint's probe, unless it expires earlier."""
        notice = job.notice
        if notice.attempt == 1 or notice.outcome is not None:
            return job.due_s
        left_s = (notice.decision.expires_at - self._clock.now_ms()) / 1000
        expires_s = self._clock.monotonic_s() + left_s
        return max(job.due_s, min(self._breaker.probe_at_s, expires_s))

    def _next_s(self) -> float | None:
        job = self._next()
        if job is None:
            return None
        return max(0.0, self._due_s(job) - self._clock.monotonic_s())
