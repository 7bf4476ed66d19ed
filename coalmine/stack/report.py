"""What the stack tells while it starts: one small record per change, drawn by whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where one server is on its way up."""

    DOWNLOADING = "downloading"
    UNPACKING = "unpacking"
    STARTING = "starting"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Step:
    """``server`` (``kafka``, ``elasticsearch``) has reached ``stage``.

    The byte counts are of the download and 0 in every other stage.
    """

    server: str
    stage: Stage
    done_bytes: int = 0
    total_bytes: int = 0


Report = Callable[[Step], None]
"""Called from the threads that start the servers: must be quick and thread-safe."""


def silent(_step: Step) -> None:
    """A report that nobody reads."""
