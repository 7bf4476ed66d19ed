"""Sessions: a signed cookie that names the user, and ends by time, logout or a new password."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeTimedSerializer

from contracts.clock import Clock
from contracts.config import Secret

LIFETIME_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """One login of one user."""

    user: str
    mark: str
    """What ``Users.mark`` said at the login."""
    number: str


class Sessions:
    """Makes, reads and ends sessions.

    Args:
        key: signs the cookies; dashboards with the same key take each other's.
        clock: time.
    """

    def __init__(self, key: Secret, clock: Clock) -> None:
        self._signer = URLSafeTimedSerializer(key.reveal(), salt="coalmine-session")
        self._clock = clock
        self._ended: dict[str, float] = {}

    def begin(self, user: str, mark: str) -> str:
        """The cookie of a new session."""
        return str(self._signer.dumps([user, mark, secrets.token_urlsafe(12)]))

    def read(self, cookie: str) -> Session | None:
        """The session that a cookie holds, unless it is forged, too old or ended."""
        try:
            user, mark, number = self._signer.loads(cookie, max_age=LIFETIME_S)
        except (BadSignature, ValueError, TypeError):
            return None
        return None if number in self._ended else Session(user, mark, number)

    def end(self, session: Session) -> None:
        """From now on its cookie is worth nothing, to this process."""
        now = self._clock.monotonic_s()
        self._ended = {n: until for n, until in self._ended.items() if until > now}
        self._ended[session.number] = now + LIFETIME_S
