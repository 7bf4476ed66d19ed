"""What the receiver knows of a sender besides what the sender says of itself."""

from __future__ import annotations

import re
from typing import NamedTuple

from contracts.errors import InvalidRecord
from contracts.foreign import parse_time_ms
from ingest.parsers.base import Labels

DRIFT_MS = 60_000
"""A sender's clock that is wrong by more than this is set right; less may be the way here."""

_PACKAGE = re.compile(r"(?P<package>[^@/\\\s]+)@(?P<version>.+)", re.DOTALL)


class Origin(NamedTuple):
    """One request's sender.

    Attributes:
        labels: for records that do not name their own.
        now_ms: when the request came, epoch milliseconds.
        project: the last part of a Sentry address.
    """

    labels: Labels
    now_ms: int
    project: str = ""

    def drift_ms(self, sent_at: object) -> int:
        """By how much the sender's clock is behind ours, as far as that is worth mending."""
        try:
            drift_ms = self.now_ms - parse_time_ms(sent_at)
        except InvalidRecord:
            return 0
        return drift_ms if abs(drift_ms) > DRIFT_MS else 0

    def time_ms(self, claimed_ms: int, drift_ms: int = 0) -> int:
        """The time of a record: as the sender says, but never in the future."""
        return max(0, min(self.now_ms, claimed_ms + drift_ms))

    def named(self, service: str, release: str, host: str = "") -> Labels:
        """Service, release and host of a record that says so much of itself.

        Sentry's releases are ``package@version``: the version is what others call the release, and
        the package stands in where nothing names the service.
        """
        package = _PACKAGE.fullmatch(release)
        fallback = f"project-{self.project}" if self.project else ""
        return Labels(
            service=service
            or self.labels.service
            or (package["package"] if package else "")
            or fallback,
            release=(package["version"] if package else release) or self.labels.release,
            host=host or self.labels.host,
            arm=self.labels.arm,
        )
