"""Labels within bounds: what is beyond them is counted as ``other``, and how much that is.

A service that puts an id into its routes, or a build number that changes with every request, must
not make the state grow, nor the storage. The first labels of a kind keep their names; one that was
silent for an hour gives its place to a new one. Nothing is dropped: the counts of all labels still
add up to the counts of all events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from functools import lru_cache
from typing import TypeVar

import msgspec

from contracts.results import Cell, Partial, SparseHistogram, Sums
from streams.windows import units
from streams.windows.tally import Tally

OTHER = "other"
FORGET_AFTER_MS = 3_600_000
_LOOK_EVERY_MS = 60_000
"""Of event time: a walk through all labels at every unknown one costs more than its counting."""
MAX_SERVICES = 1_000
"""In one telemetry partition, and within a week."""
MAX_RELEASES = 100
GROUP_KINDS = ("crash group", "log template")
LIMITS = {
    "route": 100,
    "host": 200,
    "arm": 20,
    "event": 50,
    "crash group": 500,
    "log template": 1_000,
}
"""How many labels of a kind one service may have at a time."""
_FIELDS = {"route": "stratum", "host": "host", "arm": "arm"}
_OF_OURS = frozenset({"crash", "log", "host", OTHER})
"""Names that are always known."""
_SUFFIX = re.compile(r"(?:\.bad|\.bytes|\.duration_ms|\.status\.\w+)?(?:@\w+)?$")

T = TypeVar("T")


class Labels(msgspec.Struct, array_like=True):
    """The labels of one service that are known by name."""

    seen: dict[str, dict[str, int]] = {}
    """Kind to label to the latest event time it was seen at."""
    folded: dict[str, int] = {}
    """Kind to the events that were counted as ``other``, so far."""
    looked: dict[str, int] = {}
    """Kind to the event time at which idle labels were last looked for."""

    def fold(self, cell: Cell, wanted: Container[str], arms: Container[str] = ()) -> None:
        """Rename what is beyond the limits, in place, and count it in ``folded.<kind>``.

        Args:
            cell: of this service.
            wanted: names of the events that its policy judges by; they always keep theirs.
            arms: those of its rollout, which keep theirs too.
        """
        for kind, field in _FIELDS.items():
            label = getattr(cell, field)
            if kind == "arm" and label in arms:
                continue
            if label and not self._knows(kind, label, cell.last):
                setattr(cell, field, OTHER)
                self.note(cell, kind)
        self._fold_events(cell, wanted)
        self._fold_groups(cell)

    def note(self, cell: Cell, kind: str) -> None:
        """Count the events of a cell that lost a label."""
        if events := events_in(cell):
            self.folded[kind] = self.folded.get(kind, 0) + events
            cell.counts[f"folded.{kind}"] = events

    def _fold_events(self, cell: Cell, wanted: Container[str]) -> None:
        of_events = cell.units.keys() - cell.groups.keys()
        told = (*cell.counts, *cell.histograms, *of_events)
        names = {event_of(name) for name in told if not name.startswith("folded.")}
        beyond = {
            name
            for name in names - _OF_OURS
            if name not in wanted and not self._knows("event", name, cell.last)
        }
        if beyond:
            self.note(cell, "event")

            def kept(name: str) -> str:
                event = event_of(name)
                return OTHER + name[len(event) :] if event in beyond else name

            cell.counts = renamed(cell.counts, kept, int.__add__)
            cell.histograms = renamed(cell.histograms, kept, _sum)
            cell.sums = renamed(cell.sums, kept, _sum_of_sums)
            cell.units = renamed(cell.units, kept, units.union)

    def _fold_groups(self, cell: Cell) -> None:
        beyond = {
            name
            for name in cell.groups
            if "@" not in name and not self._knows(kind_of_group(name), name, cell.last)
        }
        if not beyond:
            return

        def kept(name: str) -> str:
            group, at, unit = name.partition("@")
            return f"{group.partition('/')[0]}/{OTHER}{at}{unit}" if group in beyond else name

        for name in beyond:
            kind = kind_of_group(name)
            self.folded[kind] = self.folded.get(kind, 0) + cell.groups[name]
        cell.groups = renamed(cell.groups, kept, int.__add__)
        cell.units = {n: s for n, s in cell.units.items() if n.partition("@")[0] not in beyond}

    def may_forget(self, kind: str, at: int) -> bool:
        """Whether it is time to look for idle labels of a kind; then it was done."""
        is_due = at >= self.looked.get(kind, -_LOOK_EVERY_MS) + _LOOK_EVERY_MS
        if is_due:
            self.looked[kind] = at
        return is_due

    def _knows(self, kind: str, label: str, at: int) -> bool:
        seen = self.seen.setdefault(kind, {})
        if label not in seen and len(seen) >= LIMITS[kind]:
            if self.may_forget(kind, at):
                forget_idle(seen, at)
            if len(seen) >= LIMITS[kind]:
                return False
        seen[label] = max(seen.get(label, 0), at)
        return True


def fold_services(partials: Sequence[Partial], known: Container[str]) -> list[Partial]:
    """The partials of one message; those of services beyond the limit become one of ``other``.

    One, because the judge takes what came from one message once.
    """
    kept = [partial for partial in partials if partial.service in known]
    beyond = [partial for partial in partials if partial.service not in known]
    if beyond:
        cells = [cell for partial in beyond for cell in partial.cells]
        for cell in cells:
            if events := events_in(cell):
                cell.counts["folded.service"] = events
        folded = [partial.service for partial in beyond]
        kept.append(msgspec.structs.replace(beyond[0], service=OTHER, cells=cells, folded=folded))
    return kept


def kind_of_group(name: str) -> str:
    """What a group is, as a kind of label.

    >>> kind_of_group("crash/ab12"), kind_of_group("log.error/cd34")
    ('crash group', 'log template')
    """
    return GROUP_KINDS[name.startswith("log.")]


def forget_idle(seen: dict[str, int], now: int) -> None:
    """Drop the labels that were not seen for an hour of event time."""
    for label in [one for one, last in seen.items() if last < now - FORGET_AFTER_MS]:
        del seen[label]


def events_in(cell: Cell) -> int:
    """Records behind a cell's counters.

    >>> events_in(Cell(tick=0, release="1", last=0, counts={"a": 3, "a.bytes": 9, "log.x": 2}))
    3
    """
    counts = cell.counts.items()
    return sum(n for name, n in counts if event_of(name) == name and not _is_part(name))


@lru_cache(maxsize=10_000)
def event_of(counter: str) -> str:
    """The event that a counter or histogram is about.

    >>> [event_of(n) for n in ("request", "request.status.500", "page.view.bad@user", "log.error")]
    ['request', 'request', 'page.view', 'log.error']
    """
    return _SUFFIX.sub("", counter, count=1)


def is_of_events(counter: str) -> bool:
    """Whether a counter says how many events there were, or how many bad ones, and nothing else.

    >>> [is_of_events(n) for n in ("request", "request.bad", "request.status.500", "request@user")]
    [True, True, False, False]
    """
    return counter.removesuffix(".bad") == event_of(counter)


def _is_part(name: str) -> bool:
    """Whether a counter counts again what another one has counted."""
    return name.startswith(("log.", "folded."))


def renamed(
    items: dict[str, T], name_of: Callable[[str], str], add: Callable[[T, T], T]
) -> dict[str, T]:
    """The items under other names; those that get one name are added up."""
    found: dict[str, T] = {}
    for old, value in items.items():
        name = name_of(old)
        found[name] = add(found[name], value) if name in found else value
    return found


def _sum(one: SparseHistogram, other: SparseHistogram) -> SparseHistogram:
    tally = Tally()
    for histogram in (one, other):
        tally.add_counts(Cell(tick=0, release="", last=0, histograms={"": histogram}))
    return tally.histogram("")


def _sum_of_sums(one: Sums, other: Sums) -> Sums:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
