"""Records that a reading of files could not use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


class SetAside:
    """Records that could not be used: how many for each reason, and where the first one is."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        """Reason to ``file:line`` (of Arrow: ``file:record``), counted from 1."""

    def add(self, reason: str, path: Path, number: int, count: int = 1) -> None:
        """Count ``count`` records for this reason, the first of them at ``number``."""
        self.counts[reason] += count
        self.first.setdefault(reason, f"{path}:{number}")
