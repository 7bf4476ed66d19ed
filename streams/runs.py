"""Kafka messages by the run: of one partition and in order, as columns. Pure.

Foreign events come one to a message, and whatever is done to each message is most of what they
cost. So nothing is: a ``Message`` is made only where one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from typing import NamedTuple, overload

import numpy as np

NO_HEADERS: Mapping[str, bytes] = {}
"""Shared by the messages that have none, as most foreign ones do."""


class Message(NamedTuple):
    """What the cores need of a Kafka message; ``timestamp`` is its arrival, epoch milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: Mapping[str, bytes]
    value: bytes

    @property
    def place(self) -> str:
        """``topic/partition``."""
        return f"{self.topic}/{self.partition}"

    @property
    def origin(self) -> str:
        """``topic/partition/offset``."""
        return f"{self.place}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Run(Sequence[Message]):
    """Messages of one partition, in order; each column is of shape (n,)."""

    topic: str
    partition: int
    offsets: list[int]
    timestamps: list[int]
    headers: list[Mapping[str, bytes]]
    values: list[bytes]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Run:
        """The run of messages of one partition, at least one."""
        if isinstance(messages, Run):
            return messages
        topic, partition, *_ = messages[0]
        _, _, *columns = map(list, zip(*messages, strict=True))
        return cls(topic, partition, *columns)

    @property
    def size_bytes(self) -> int:
        """Of all values."""
        return sum(map(len, self.values))

    def where(self, is_chosen: Iterable[bool]) -> Run:
        """The chosen ones; ``is_chosen`` is (n,)."""
        chosen = list(is_chosen)
        return Run(
            self.topic,
            self.partition,
            list(compress(self.offsets, chosen)),
            list(compress(self.timestamps, chosen)),
            list(compress(self.headers, chosen)),
            list(compress(self.values, chosen)),
        )

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Message]:
        columns = self.offsets, self.timestamps, self.headers, self.values
        return map(Message, repeat(self.topic), repeat(self.partition), *columns)

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> Run: ...
    def __getitem__(self, at: int | slice) -> Message | Run:
        columns = self.offsets[at], self.timestamps[at], self.headers[at], self.values[at]
        kind = Run if isinstance(at, slice) else Message
        return kind(self.topic, self.partition, *columns)  # type: ignore[arg-type]  # lists or one of each


class Runs(Sequence[Message]):
    """Messages of any partitions, as they came."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    def __iter__(self) -> Iterator[Message]:
        return chain.from_iterable(self.runs)

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> list[Message]: ...
    def __getitem__(self, at: int | slice) -> Message | list[Message]:
        return list(self)[at]


def by_partition(messages: Sequence[Message]) -> list[Run]:
    """One run for each partition, with its messages in their order."""
    runs = messages.runs if isinstance(messages, Runs) else [Run.of([one]) for one in messages]
    places: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        places.setdefault((run.topic, run.partition), []).append(run)
    return [_joined(of_one) for _, of_one in sorted(places.items())]


def _joined(runs: Sequence[Run]) -> Run:
    """The runs of one partition, at least one."""
    if len(runs) == 1:
        return runs[0]
    columns = zip(*((r.offsets, r.timestamps, r.headers, r.values) for r in runs), strict=True)
    joined = (list(chain.from_iterable(parts)) for parts in columns)
    return Run(runs[0].topic, runs[0].partition, *joined)


def in_parts(messages: Sequence[Message], most_bytes: int) -> Iterator[Sequence[Message]]:
    """The messages in order, in parts of so many bytes at most, or of one message."""
    values = messages.values if isinstance(messages, Run) else [one.value for one in messages]
    ends = np.cumsum(list(map(len, values)))
    start = 0
    while start < len(messages):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + most_bytes, "right")))
        yield messages[start:end]
        start = end
