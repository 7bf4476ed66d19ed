"""The oracle of the fault tests: which lines were written, and whether each one arrived, once.

``LogWriter`` writes lines that carry a number and a hash; ``judge`` compares what arrived with what
was written and with what stands in the files. The files count as evidence because ``copytruncate``
loses lines by itself: those that are written between its copy and its truncation stand nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from contracts.records import Event
from tests.support.log_writer import hash_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of the lines 0 to ``written - 1`` of one service."""

    written: int
    lost: tuple[int, ...]
    """In a file, but did not arrive."""
    altered: int
    """Arrived with other values than were written."""
    twice: int
    """Arrivals beyond the first of the same line."""
    disordered: int
    """Lines that arrived before one that stands above them in the same file."""
    in_no_file: int
    """Written, but cut away by a truncation before anybody copied them."""
    rescued: int
    """Of those, arrived all the same: the agent had read them before the truncation."""

    @property
    def arrived(self) -> int:
        """How many different lines arrived."""
        return self.written - len(self.lost) - (self.in_no_file - self.rescued)

    @property
    def is_exact(self) -> bool:
        """Every line that stands in a file arrived once, unaltered, in order."""
        return not (self.lost or self.altered or self.twice or self.disordered)

    def __str__(self) -> str:
        text = (
            f"{self.written} lines: {len(self.lost)} lost, {self.twice} twice, "
            f"{self.altered} altered, {self.disordered} out of order"
        )
        if not self.in_no_file:
            return text
        lost_by_truncation = self.in_no_file - self.rescued
        return f"{text}; {lost_by_truncation} lost by copytruncate itself, {self.rescued} rescued"


def judge(arrived: Iterable[Event], written: int, logs: Sequence[Path]) -> Finding:
    """Compare what arrived with what was written.

    Args:
        arrived: events of one writer's service, in the order in which they arrived.
        written: how many lines the writer wrote.
        logs: its log and everything that rotation made of it.
    """
    first_arrival: dict[int, int] = {}
    altered = twice = 0
    for position, event in enumerate(arrived):
        number = _number_of(event, written)
        if number is None:
            altered += 1
        elif number in first_arrival:
            twice += 1
        else:
            first_arrival[number] = position
    files = [numbers_in(log) for log in logs]
    in_files = {number for file in files for number in file}
    in_no_file = set(range(written)) - in_files
    return Finding(
        written=written,
        lost=tuple(sorted(in_files - first_arrival.keys())),
        altered=altered,
        twice=twice,
        disordered=sum(_disordered(file, first_arrival) for file in files),
        in_no_file=len(in_no_file),
        rescued=len(in_no_file & first_arrival.keys()),
    )


def numbers_in(log: Path) -> list[int]:
    """The numbers of the whole lines in a file; a copy may end within a line."""
    numbers = []
    for line in log.read_bytes().splitlines():
        try:
            numbers.append(int(json.loads(line.lstrip(b"\0"))["user.id"]))
        except ValueError:
            continue
    return numbers


def _number_of(event: Event, written: int) -> int | None:
    """The line's number; None when anything in it is not as it was written."""
    if event.user is None or not event.user.isdecimal() or event.duration_ms is None:
        return None
    number = int(event.user)
    expected = hash_of(event.service, number, event.time, event.status, event.duration_ms)
    return number if number < written and event.trace == expected else None


def _disordered(file: Sequence[int], first_arrival: dict[int, int]) -> int:
    arrivals = [first_arrival[number] for number in file if number in first_arrival]
    return sum(later < earlier for earlier, later in pairwise(arrivals))
