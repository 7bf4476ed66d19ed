"""When records happened at the latest: as they arrived. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.errors import InvalidRecord

MAX_AHEAD_MS = 600_000
"""A record that is so long after its arrival has a time that is none. Less is a clock that is fast:
it is taken to have happened when it arrived, or it would end the ticks of everybody else."""

Times = npt.NDArray[np.int64]


def bounded(times: Times, arrived: Times | int) -> tuple[Times, npt.NDArray[np.bool_]]:
    """Times that are no later than the arrival, and which of them were from the future, each (n,).

    Args:
        times: epoch milliseconds, (n,).
        arrived: when each record came, (n,), or all of them did.
    """
    return np.minimum(times, arrived), times > arrived + MAX_AHEAD_MS


def from_the_future() -> InvalidRecord:
    """What is wrong with a record that is more than ``MAX_AHEAD_MS`` before its time."""
    return InvalidRecord("time in the future", "more than 10 minutes after its arrival")
