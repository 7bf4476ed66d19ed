"""Which rollout belongs to which revision of a Flagger canary, where nobody names the release."""

from __future__ import annotations

from coalmine.api.board import Board, Heading

_MOST = 10_000


class FlaggerMemory:
    """A revision (Flagger's checksum) is the rollout that was open when its hooks were called.

    Without this, the hooks of a new revision would be answered with how the one before it ended.
    It lasts as long as the process: after a restart an open rollout is found again, one that has
    ended is not.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], str] = {}

    def rollout(self, board: Board, service: str, revision: str) -> Heading | None:
        """The rollout of this revision, as far as one is known."""
        latest = next(iter(board.rollouts(service=service, flag="")), None)
        if latest is None:
            return None
        key = (service, revision)
        if latest.status.is_open:
            self._seen[key] = latest.rollout
            if len(self._seen) > _MOST:
                del self._seen[next(iter(self._seen))]
        return latest if self._seen.get(key) == latest.rollout else None
