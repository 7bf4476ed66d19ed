"""The crash groups and log templates that a service is known to have, and since when.

What a group weighs depends on whether it is new, so it is remembered for as long as its label is.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from contracts.results import Cell
from streams.windows.labels import GROUP_KINDS, LIMITS, Labels, kind_of_group

TITLE_CHARS = 160
_MOST = 2 * sum(LIMITS[kind] for kind in GROUP_KINDS)


class KnownGroup(msgspec.Struct, array_like=True):
    """One group: when it was first seen, epoch milliseconds, and what people call it."""

    first: int
    title: str = ""


class KnownGroups(msgspec.Struct, array_like=True):
    """All groups of one service, by ``crash/<fingerprint>`` or ``log.<severity>/<template>``."""

    seen: dict[str, KnownGroup] = {}

    def note(self, cell: Cell, labels: Labels) -> None:
        """Remember the groups of a cell whose labels were folded; forget what the labels forgot."""
        for name in cell.groups:
            if "@" in name:
                continue
            group = self.seen.setdefault(name, KnownGroup(cell.tick))
            group.first = min(group.first, cell.tick)
            if name in cell.titles:
                group.title = cell.titles[name][:TITLE_CHARS]
        if len(self.seen) > _MOST:
            self.seen = {n: g for n, g in self.seen.items() if n in labels.seen[kind_of_group(n)]}

    def before(self, time: int) -> Iterator[str]:
        """Groups that were seen before an event time."""
        return (name for name, group in self.seen.items() if group.first < time)

    def titles(self) -> dict[str, str]:
        """What people call each group; its name where nobody said."""
        return {name: group.title or name for name, group in self.seen.items()}
