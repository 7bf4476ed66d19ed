"""What a room needs to declare its metrics: a registry, and labels that cannot explode."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

OTHER = "other"
_LONGEST_LABEL = 60

# a second series beside each counter, with the time of its birth, that nobody asks for
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left this one out


def new_registry() -> CollectorRegistry:
    """A registry with what every process tells: memory, CPU, open files, versions."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    build = Info("coalmine_build", "The version of Coalmine that runs.", registry=registry)
    build.info({"version": version("coalmine")})
    return registry


class Bounded:
    """Values of a label, of which there are never more than ``limit``: later ones are ``other``.

    >>> service = Bounded(2)
    >>> [service(name) for name in ("a", "b", "c", "a")]
    ['a', 'b', 'other', 'a']
    """

    def __init__(self, limit: int = 50) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        """The value, if it is one of the first or there is room; else ``other``."""
        if value in self._known:
            return value
        if len(self._known) >= self._limit or len(value) > _LONGEST_LABEL:
            return OTHER
        self._known.add(value)
        return value
