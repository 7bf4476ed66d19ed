"""Which decisions still stand: a promotion does not after a rollback, nothing does after the end.

Said by the decisions themselves, which ``coalmine.decisions`` carries in order, so that an alerter
needs no second source. A rollback that is sent after its rollout has ended hits what nobody meant.
"""

from __future__ import annotations

import threading

from contracts.results import Decision, DecisionAction

_RANK = {
    DecisionAction.HOLD: 0,
    DecisionAction.PROMOTE: 0,
    DecisionAction.ROLLBACK: 1,
    DecisionAction.ESCALATE: 1,
    DecisionAction.ROLLBACK_VERIFIED: 2,
    DecisionAction.ABORTED: 2,
    DecisionAction.RETURNED: 3,
}
"""How far a rollout has come with each; it never goes back."""


class Standing:
    """The furthest decision of each rollout. Safe to use from several threads.

    The order in which decisions are noted does not matter, nor does noting one twice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._furthest: dict[str, tuple[tuple[int, int], Decision]] = {}

    def note(self, decision: Decision) -> None:
        """Take one decision into account."""
        if decision.undelivered_to:
            return  # about an endpoint: it says nothing of the rollout
        with self._lock:
            known = self._furthest.get(decision.rollout)
            if known is None or known[0] < _place(decision):
                self._furthest[decision.rollout] = (_place(decision), decision)

    def overruled_by(self, decision: Decision) -> Decision | None:
        """The later decision for which this one must no longer be sent, if there is one."""
        if decision.undelivered_to:
            return None  # the endpoint is still out of reach, whatever became of the rollout
        with self._lock:
            known = self._furthest.get(decision.rollout)
        return known[1] if known and known[0] > _place(decision) else None

    def forget_before(self, time_ms: int) -> None:
        """Drop what was decided earlier: it has expired."""
        with self._lock:
            self._furthest = {
                rollout: known
                for rollout, known in self._furthest.items()
                if known[1].processed_time >= time_ms
            }


def _place(decision: Decision) -> tuple[int, int]:
    """Comparable within a rollout. From the rollback on its time says nothing: it may be repeated.

    Two holds or promotions follow one another by the time that was judged.
    """
    rank = _RANK[decision.action]
    return rank, 0 if rank else decision.time
