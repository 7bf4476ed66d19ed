"""One endpoint's circuit breaker: after failures in a row it is only probed.

Open, it holds back second and later attempts until the probe is due, then lets one through: the
half-open state, one attempt long, because an endpoint has one thread. So all decisions together
are tried as often as a single one would be. What answers closes the circuit and frees all that
wait. A decision's first attempt is never held back: it must not be late
because an earlier one failed, and it is as good a probe.
"""

from __future__ import annotations

import structlog

_log = structlog.get_logger()

OPENS_AFTER = 5
"""Failures in a row, of whatever decisions."""


class Breaker:
    """The state of one circuit; used by the thread of its outbox only.

    Args:
        endpoint: its name, for the log.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.failures = 0
        """In a row."""
        self.probes = 0
        """Times that it opened or a probe failed, since it was closed."""
        self.probe_at_s = 0.0
        """When the next probe is due, monotonic seconds; 0 while closed."""

    @property
    def is_open(self) -> bool:
        """Whether retries wait for a probe."""
        return self.failures >= OPENS_AFTER

    def passed(self) -> None:
        """The endpoint answered."""
        if self.is_open:
            _log.info("circuit_closed", endpoint=self._endpoint, after_failures=self.failures)
        self.failures, self.probes, self.probe_at_s = 0, 0, 0.0

    def failed(self, reason: str, now_s: float, wait_s: float) -> None:
        """The endpoint did not, or said that it cannot now.

        Args:
            reason: of the failure.
            now_s: monotonic seconds.
            wait_s: when to try again; first attempts that fail meanwhile do not move a probe.
        """
        self.failures += 1
        if self.is_open and self.probe_at_s <= now_s:
            self.probes += 1
            self.probe_at_s = now_s + wait_s
            _log.warning(
                "circuit_open",
                endpoint=self._endpoint,
                failures=self.failures,
                reason=reason,
                probe_in_s=round(wait_s, 1),
            )
