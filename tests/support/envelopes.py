"""Sentry's envelopes, as SDKs write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def envelope_of(*items: tuple[str, object], headers: Mapping[str, Any] | None = None) -> bytes:
    """An envelope as SDKs write it."""
    parts = [msgspec.json.encode(headers or {})]
    for kind, payload in items:
        data = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        parts += [msgspec.json.encode({"type": kind, "length": len(data)}), data]
    return b"\n".join(parts) + b"\n"
