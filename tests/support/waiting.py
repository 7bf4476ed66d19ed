"""Waiting for real servers, without a fixed sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.05


def wait_until(condition: Callable[[], T], timeout_s: float = 30.0, what: str = "") -> T:
    """The first truthy value of ``condition``; fails the test when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what or condition}; last {value!r}")
        time.sleep(_POLL_S)
    return value
