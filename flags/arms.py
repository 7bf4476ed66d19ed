"""The arm of the request at hand, for its log line: ``new-checkout:on``.

A service judges a flag by what its requests tell, so each must say which variant it got. What is
collected here ends with the request; work that it starts in tasks and threads with its context
counts for it.

>>> with collecting():
...     note(Met("new-checkout:on", opened_at=2))
...     note(Met("old-search:off", opened_at=1))
...     current_arm()
'new-checkout:on'
>>> current_arm()
''
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from openfeature.flag_evaluation import FlagEvaluationDetails, FlagValueType
from openfeature.hook import Hook, HookContext, HookHints

ARM = "arm"
OPENED_AT = "opened_at"
"""Keys of a flag's metadata."""


@dataclass(frozen=True, slots=True)
class Met:
    """An arm that a request belongs to, and when its rollout began."""

    arm: str
    opened_at: int = 0


_met: ContextVar[list[Met] | None] = ContextVar("coalmine_arms", default=None)


@contextmanager
def collecting() -> Iterator[None]:
    """Around one request: collects the arms of the flags that are evaluated within."""
    token = _met.set([])
    try:
        yield
    finally:
        _met.reset(token)


def note(met: Met) -> None:
    """Count the request at hand for an arm; outside of ``collecting`` nothing happens."""
    so_far = _met.get()
    if so_far is not None:
        so_far.append(met)


def current_arm() -> str:
    """The arm for the ``arm`` field of the request's log line; empty where no flag is compared.

    A service has one rollout at a time, so of several flags the one whose rollout began last.
    """
    so_far = _met.get()
    return max(so_far, key=lambda met: met.opened_at).arm if so_far else ""


class ArmHook(Hook):
    """Collects the arm of each evaluation; the provider brings it along."""

    def after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[FlagValueType],
        hints: HookHints,
    ) -> None:
        """See ``Hook``."""
        del hook_context, hints
        arm = details.flag_metadata.get(ARM)
        if isinstance(arm, str):
            opened_at = details.flag_metadata.get(OPENED_AT)
            note(Met(arm, opened_at if isinstance(opened_at, int) else 0))


class ArmFilter(logging.Filter):
    """Gives every record of ``logging`` an attribute ``arm``: for a formatter's ``%(arm)s``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See ``logging.Filter``; lets everything pass."""
        record.arm = current_arm()
        return True
