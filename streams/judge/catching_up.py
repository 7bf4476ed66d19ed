"""What is caught up with: how far a service may be judged while it is told of the past. Pure.

A worker that was away reads one partition far before it turns to the next; agents whose broker was
away empty their spools, one sooner done than another. What is told first is not the present: others
have the same stretch of time yet to tell, and what they tell of ticks that are judged is late. So
while something is told that had waited, nothing is judged beyond it.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec

from contracts.results import Partial

WAITED_MS = 15_000
"""What is told so long after its time had waited. With less, what comes late is evidence too."""
PATIENCE_MS = 5_000
"""So long nothing old must have been told before the present is taken for the present."""
HELD_FOR_MS = 120_000
"""So long a service is held back by what is not caught up with: some agents are slow, or their
clocks, and remain so."""
FASTER = 2
"""What is caught up with is told so many times as fast as it happened, at least."""
HELD_BACK_MS = 240_000
"""So far behind its latest event at most: what is not judged takes memory."""
HELD_BACK_UNJUDGED_MS = 60_000
"""The same while no rollout is open: what is not judged yet may become part of one."""
STRAGGLERS = 0.05
"""So many exposures of a stretch may be older although it is told as it happens."""


class CatchingUp(msgspec.Struct, array_like=True, omit_defaults=True):
    """What is known while something is told that had waited.

    ``since`` and ``now`` are by the clock of the workers that count, epoch milliseconds: when that
    was first so, and when something was last heard.
    """

    since: int
    begins: int
    """The first time that was told of, by the clock of events."""
    now: int
    told: dict[int, int] = {}
    """Of the last moments, second by that clock to the oldest time that was told of in it."""


def heard(known: CatchingUp | None, partial: Partial, *, exposure: str) -> CatchingUp | None:
    """What is known with a partial, or a heartbeat; ``None`` if all is told as it happens.

    Args:
        known: so far; changed in place.
        partial: not yet applied.
        exposure: the counter whose events are told as they happen; crashes may be told much later.
    """
    now = partial.counted_at if partial.source else partial.sent_at
    told = _told_from(partial, exposure) if partial.source and now else now
    if now - told > WAITED_MS:
        known = known or CatchingUp(since=now, begins=told, now=now)
        second = now // 1000
        known.told[second] = min(told, known.told.get(second, told))
    if known is None:
        return None
    known.now = max(known.now, now)
    known.told = {s: t for s, t in known.told.items() if known.now - s * 1000 <= PATIENCE_MS}
    return known if known.told else None


def _told_from(partial: Partial, exposure: str) -> int:
    """The time that a partial tells from: when its exposures happened, or its messages came.

    A few of them may have happened long before, as some people's devices are seldom on line.
    """
    exposures: dict[int, int] = defaultdict(int)
    for cell in partial.cells:
        exposures[cell.tick] += cell.counts.get(exposure, 0)
    ignored = sum(exposures.values()) * STRAGGLERS
    for tick in sorted(exposures):
        ignored -= exposures[tick]
        if ignored < 0:
            return tick
    return partial.arrived_at


def present(known: CatchingUp | None, *, high_watermark: int, is_judging: bool) -> int:
    """Event time beyond which more is to come from what is behind.

    Args:
        known: what is caught up with.
        high_watermark: the latest event time.
        is_judging: whether a rollout is open.
    """
    if known is None:
        return high_watermark
    reached, lasts_ms = min([high_watermark, *known.told.values()]), known.now - known.since
    if lasts_ms > HELD_FOR_MS and reached - known.begins < FASTER * lasts_ms:
        return high_watermark
    return max(reached, high_watermark - (HELD_BACK_MS if is_judging else HELD_BACK_UNJUDGED_MS))
