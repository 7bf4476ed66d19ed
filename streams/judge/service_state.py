"""What the judge remembers of one service: one value, so that counts and fences change together."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.results import Answer, Decision, Outcome, RolloutStatus, Source, Verdict, Window
from streams.judge.catching_up import CatchingUp, present
from streams.judge.known_groups import KnownGroups
from streams.judge.rollout_state import RolloutState, is_arm
from streams.judge.stretches import Stretch
from streams.windows.labels import Labels
from streams.windows.tally import Arm, Tally

TICK_MS = 1000
WIDE_TICK_MS = 10_000

Output = Window | Verdict | Decision | Answer


class ReleaseState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known of a release: event times in epoch milliseconds."""

    first_seen: int
    last_seen: int
    exposures: int = 0
    first_bad: int | None = None
    was_judged: bool = False
    agents: dict[str, int] = {}
    """Agent to the latest event time at which it reported this release."""


class WindowState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One storage window that may still grow."""

    start: int
    release: str
    arm: str = ""
    part: str
    tally: Tally
    is_dirty: bool = True


class RolledBack(msgspec.Struct, array_like=True):
    """A release, or variant, that was rolled back: its traffic may come back."""

    rollout: str
    canary: str
    baseline: str
    flag: str
    phase: str
    label: str
    """The phase in ids of decisions."""
    decided_at: int
    reason: str
    outcome: Outcome
    policy_hash: str
    notify: list[str]
    verified_at: int = 0
    """When the rollback was verified; 0 before."""
    returns: int = 0
    seen_to: int = 0
    """Latest event time at which it was seen after that."""


class ServiceState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything the judge remembers of one service."""

    service: str
    version: int = 0
    """How many messages were applied."""
    fences: dict[str, int] = {}
    """``topic/partition`` to the last offset that was applied."""
    watermarks: dict[str, int] = {}
    """Agent to the latest event time it reported."""
    releases: dict[str, ReleaseState] = {}
    arms: dict[str, ReleaseState] = {}
    """The same of variants of feature flags, by ``arm_key``: an event counts for both."""
    ticks: dict[int, dict[str, Arm]] = {}
    """Start of a tick that is not finished to what each release, and variant, did in it."""
    wide: set[int] = set()
    """Which of them last for ``WIDE_TICK_MS``."""
    late: dict[str, Arm] = {}
    """What came after its tick was judged; it joins the next look."""
    windows: list[WindowState] = []
    stretches: list[Stretch] = []
    judged_to: int = 0
    catching_up: CatchingUp | None = None
    heard_at: int = 0
    """Processing time of the last partial that was not a heartbeat, or command."""
    rollout: RolloutState | None = None
    opened: list[str] = []
    """Ids of the latest rollouts: a new one has an id of its own."""
    rolled_back: dict[str, RolledBack] = {}
    answers: dict[str, Answer] = {}
    """Id of a command to its answer: the same command is answered the same way."""
    labels: Labels = msgspec.field(default_factory=Labels)
    groups: KnownGroups = msgspec.field(default_factory=KnownGroups)

    @property
    def high_watermark(self) -> int:
        """Latest event time of any agent; 0 before the first."""
        return max(self.watermarks.values(), default=0)

    def present(self, newest: int = 0) -> int:
        """Event time up to which everything that is not late has been heard of.

        Args:
            newest: an event time that is about to be told of.
        """
        return present(
            self.catching_up,
            high_watermark=max(newest, self.high_watermark),
            is_judging=self.open_rollout is not None,
        )

    def end_of(self, tick: int) -> int:
        """The end of a tick that is not finished."""
        return tick + (WIDE_TICK_MS if tick in self.wide else TICK_MS)

    @property
    def open_rollout(self) -> RolloutState | None:
        """The rollout that is under way, if one is."""
        rollout = self.rollout
        return rollout if rollout is not None and rollout.status.is_open else None

    def known(self, key: str) -> ReleaseState | None:
        """What is known of a release, or of a variant by its ``arm_key``."""
        return (self.arms if is_arm(key) else self.releases).get(key)

    def event_now(self, now: int, listening_since: int) -> int:
        """Event time after a silence: as long after the last of it as nothing was heard.

        Args:
            now: processing time, epoch milliseconds.
            listening_since: a silence before this was a worker's, not the service's.
        """
        silent_ms = max(0, now - max(self.heard_at, listening_since))
        begun = self.rollout.opened_at if self.rollout else 0
        return max(self.high_watermark, begun) + silent_ms

    @property
    def is_pending(self) -> bool:
        """Whether a heartbeat would bring anything: a tick to judge, a window to write."""
        rollout = self.rollout
        is_open = rollout is not None and rollout.status.is_open
        is_judging = is_open and bool(self.ticks or self.late)
        is_draining = rollout is not None and rollout.status.is_draining
        # people were called already: while all is silent there is nothing to add
        is_known = rollout is not None and (
            rollout.escalated and rollout.status is RolloutStatus.TRAFFIC_STOPPED
        )
        is_watching = is_draining and not is_known
        is_unwritten = any(w.is_dirty for w in self.windows) or any(
            s.is_dirty for s in self.stretches
        )
        return is_judging or is_watching or is_unwritten


def unknown_from(fences: Mapping[str, int], source: Source) -> int | None:
    """Offset of the first message of a stretch that was not applied before; ``None`` if all were.

    After a crash messages are read again, and may be cut into other stretches than before: of such
    a stretch the beginning is known.

    Args:
        fences: ``topic/partition`` to the last offset that was applied.
        source: the stretch.
    """
    fence = fences.get(source.place, -1)
    return None if source.offset <= fence else max(source.start, fence + 1)
