"""Silences: who is not told of what until when, because a person said so, with name and reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec

from contracts.errors import ConfigError
from contracts.results import Decision, DecisionAction

_Said = Annotated[str, msgspec.Meta(min_length=1)]


class SilenceConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A silence as a user writes it."""

    until: datetime
    """With its offset from UTC: ``2026-12-01T09:00:00Z``."""
    owner: _Said
    reason: _Said
    services: list[str] = msgspec.field(default_factory=lambda: ["*"])
    """Globs of service names."""
    actions: list[DecisionAction] = []
    """By default all but ``rollback``: a rollback is silenced only where it is named here."""
    endpoints: list[str] = []
    """Names of endpoints; by default all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A silence, checked."""

    until_ms: int
    owner: str
    reason: str
    services: tuple[str, ...]
    actions: frozenset[DecisionAction]
    endpoints: frozenset[str]
    """Empty for all."""

    def covers(self, decision: Decision, endpoint: str, now_ms: int) -> bool:
        """Whether this endpoint is not to be told of this decision now."""
        return (
            now_ms < self.until_ms
            and decision.action in self.actions
            and (not self.endpoints or endpoint in self.endpoints)
            and any(fnmatchcase(decision.service, glob) for glob in self.services)
        )

    def __str__(self) -> str:
        until = datetime.fromtimestamp(self.until_ms / 1000, UTC)
        return f"by {self.owner} until {until:%Y-%m-%d %H:%M} UTC: {self.reason}"


def silence_of(config: SilenceConfig, endpoints: Sequence[str], source: str, field: str) -> Silence:
    """A silence of the file, checked.

    Raises:
        ConfigError: a time without an offset, or an endpoint that there is not.
    """
    if config.until.tzinfo is None:
        expected = "expected a time with its offset, such as 2026-12-01T09:00:00Z"
        raise ConfigError(source, expected, field=f"{field}.until", value=str(config.until))
    for number, name in enumerate(config.endpoints):
        if name not in endpoints:
            expected = (
                f"expected the name of an endpoint: {', '.join(endpoints) or 'there is none'}"
            )
            raise ConfigError(source, expected, field=f"{field}.endpoints[{number}]", value=name)
    return Silence(
        until_ms=int(config.until.timestamp() * 1000),
        owner=config.owner,
        reason=config.reason,
        services=tuple(config.services),
        actions=frozenset(config.actions) or frozenset(DecisionAction) - {DecisionAction.ROLLBACK},
        endpoints=frozenset(config.endpoints),
    )
