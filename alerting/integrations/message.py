"""What a preset makes of a decision: the request of its tool, still unsigned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """One HTTP request without its address; ``body`` is final: what is signed is what is sent."""

    body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
