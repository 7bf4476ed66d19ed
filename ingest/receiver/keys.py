"""Who may send, where keys are configured."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence

from contracts.config import Secret

_IN_HEADER = re.compile(r"\bsentry_key=([^,\s]+)")


def named_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The key that a request names: as Sentry's SDKs do, or as a bearer token.

    >>> named_key({"x-sentry-auth": "Sentry sentry_version=7, sentry_key=abc"}, {})
    'abc'
    """
    if key := query.get("sentry_key"):
        return key
    for name in ("x-sentry-auth", "authorization"):
        value = headers.get(name, "")
        if match := _IN_HEADER.search(value):
            return match[1]
        if value.lower().startswith("bearer "):
            return value[7:].strip()
    return ""


def is_known(key: str, keys: Sequence[Secret]) -> bool:
    """Whether it is one of ours; how long that takes tells nothing of them."""
    given = key.encode("utf-8", "backslashreplace")
    found = [hmac.compare_digest(given, known.reveal().encode()) for known in keys]
    return any(found)
