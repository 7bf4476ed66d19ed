"""When to try again: a pure schedule, with jitter, that honours what the receiver asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

from alerting.integrations.conversation import Answer
from alerting.settings import Endpoint

_AGAIN = frozenset({408, 425, 429})


def may_pass(answer: Answer) -> bool:
    """Whether trying again can help: a passing fault of the network or of the receiver.

    >>> [may_pass(Answer(status=s)) for s in (500, 429, 404, 302, 204)]
    [True, True, False, False, False]
    """
    if answer.status is None:
        return answer.failure != "forbidden address"
    return answer.status in _AGAIN or answer.status >= 500


def delay_s(endpoint: Endpoint, attempt: int, random: Random) -> float:
    """Seconds until the next attempt, as the endpoint's schedule has it.

    Args:
        endpoint: its delays and jitter.
        attempt: the attempt that failed, from 1.
        random: source of the jitter.
    """
    base = endpoint.delays_s[min(attempt, len(endpoint.delays_s)) - 1]
    return base * (1 + random.uniform(-endpoint.jitter, endpoint.jitter))


def retry_after_s(value: str, now_ms: int) -> float:
    """Seconds that a ``Retry-After`` header asks for; 0 where it says nothing usable.

    >>> retry_after_s("120", 0), retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 0)
    (120.0, 60.0)
    >>> retry_after_s("soon", 0), retry_after_s("-5", 0)
    (0.0, 0.0)
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return max(0.0, (moment - now).total_seconds())
