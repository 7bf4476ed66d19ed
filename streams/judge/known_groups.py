"""The crash groups and log templates that a service is known to have, and since when.

What a group weighs depends on whether it is new, so it is remembered for as long as its label is.
Templates come as those of single stretches of lines; here, where all of a service comes together,
the same template gets one name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from contracts.results import Cell
from streams.templates.miner import Miner, MinerState
from streams.windows.labels import GROUP_KINDS, LIMITS, Labels, kind_of_group, renamed

TITLE_CHARS = 160
_MOST = 2 * sum(LIMITS[kind] for kind in GROUP_KINDS)


class KnownGroup(msgspec.Struct, array_like=True):
    """One group: when it was first seen, epoch milliseconds, and what people call it."""

    first: int
    title: str = ""


class KnownGroups(msgspec.Struct, array_like=True):
    """All groups of one service, by ``crash/<fingerprint>`` or ``log.<severity>/<template>``."""

    seen: dict[str, KnownGroup] = {}
    templates: MinerState = msgspec.field(default_factory=MinerState)

    def name_templates(self, cells: Sequence[Cell]) -> None:
        """Give the templates of one stretch, in place, the names that they have in the service."""
        texts = {
            name: title
            for cell in cells
            for name, title in cell.titles.items()
            if name.startswith("log.")
        }
        if not texts:
            return
        miner = Miner.from_state(self.templates, LIMITS["log template"])
        ids = miner.absorb_all(list(texts.values()))
        self.templates = miner.to_state()
        names = {
            name: f"{name.partition('/')[0]}/{found}"
            for name, found in zip(texts, ids, strict=True)
        }
        for cell in cells:
            cell.groups = renamed(cell.groups, lambda name: names.get(name, name), int.__add__)
            cell.titles = {names.get(name, name): title for name, title in cell.titles.items()}

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

    def title(self, name: str) -> str:
        """What people call a group; its name where nobody said."""
        group = self.seen.get(name)
        return (group and group.title) or name
