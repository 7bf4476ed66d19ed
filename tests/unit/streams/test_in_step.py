"""Partitions that are read in step: in what order, and what is not waited for."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

from streams.in_step import PATIENCE_S, STEP_MS, InStep
from streams.runs import NO_HEADERS, Run

NOW_MS = 1_700_000_000_000


class Reader:
    """Takes from partitions that are named by topic and number; all of them are ready."""

    def __init__(self) -> None:
        self.in_step = InStep[str]()
        self.now_s = 0.0

    def take(
        self,
        fetched: Mapping[str, Run] | None = None,
        waiting: Collection[str] = (),
        ready: Collection[str] = ("events/0", "events/1", "events/2", "crashes/0"),
    ) -> dict[str, list[int]]:
        """Offsets of what is given out."""
        given = self.in_step.take(
            fetched or {},
            ready,
            waiting,
            now_ms=NOW_MS,
            now_s=self.now_s,
        )
        return {place: run.offsets for place, run in given.items()}


def arrived(place: str, times: list[int], start: int = 0) -> dict[str, Run]:
    """Messages that arrived so many milliseconds before now."""
    topic, _, number = place.partition("/")
    offsets, stamps = list(range(start, start + len(times))), [NOW_MS - ago for ago in times]
    return {
        place: Run(
            topic, int(number), offsets, stamps, [NO_HEADERS] * len(times), [b""] * len(times)
        )
    }


def test_nothing_is_far_ahead_of_what_waits_and_all_is_given_out_in_order() -> None:
    """Three partitions of different density, fetched one at a time as far as each goes."""
    for seed in range(30):
        chosen = random.Random(seed)
        ago = {
            f"events/{number}": sorted(
                (chosen.randrange(3_600_000) for _ in range(count)), reverse=True
            )
            for number, count in enumerate((30, 500, 2_000))
        }
        reader, found = Reader(), {place: list[int]() for place in ago}
        unread = dict.fromkeys(ago, 0)
        for _ in range(10_000):
            waiting = [place for place in ago if unread[place] < len(ago[place])]
            wanted = [p for p in waiting if p not in reader.in_step.in_hand]
            fetched = {}
            if wanted:
                place, start = wanted[0], unread[wanted[0]]
                some = ago[place][start : start + chosen.randrange(1, 400)]
                fetched, unread[place] = arrived(place, some, start), start + len(some)
            for place, offsets in reader.take(fetched, waiting).items():
                found[place] += offsets
                last = ago[place][offsets[-1]]
                left = [ago[p][len(found[p])] for p in ago if len(found[p]) < len(ago[p])]
                assert last >= max(left, default=0) - 2 * STEP_MS, f"seed {seed}"
        assert found == {place: list(range(len(times))) for place, times in ago.items()}


def test_what_just_arrived_is_given_out_at_once() -> None:
    """Also where another partition has been silent for an hour, and has something new."""
    reader = Reader()
    assert reader.take(arrived("events/0", [3_600_000])) == {"events/0": [0]}
    assert reader.take(arrived("events/1", [90, 80])) == {"events/1": [0, 1]}
    assert not reader.take(arrived("events/1", [50], 2), waiting=["events/0"])
    assert reader.take(arrived("events/0", [40], 1)) == {"events/0": [1], "events/1": [2]}


def test_topics_go_in_step_with_one_another() -> None:
    """A crash must not be judged before the requests beside it."""
    reader = Reader()
    waited = {**arrived("events/0", [3_600_000]), **arrived("crashes/0", [10])}
    assert reader.take(waited) == {"events/0": [0]}
    assert reader.take() == {"crashes/0": [0]}


def test_a_partition_of_which_nothing_comes_is_not_waited_for_long() -> None:
    """Its broker may be away; once something comes it counts again."""
    reader = Reader()
    assert not reader.take(arrived("events/0", [10]), waiting=["events/1"])
    reader.now_s += PATIENCE_S
    assert reader.take(waiting=["events/1"]) == {"events/0": [0]}
    given = reader.take({**arrived("events/1", [60_000, 0]), **arrived("events/0", [5], 1)})
    assert given == {"events/1": [0]}


def test_a_full_queue_is_waited_for() -> None:
    """What is in hand of its partition stays there, and the others stay with it."""
    reader = Reader()
    fetched = {**arrived("events/0", [60_000]), **arrived("events/1", [10])}
    assert not reader.take(fetched, ready=["events/1"])
    reader.now_s += 10 * PATIENCE_S
    assert not reader.take(ready=["events/1"])
    assert reader.take() == {"events/0": [0]}
    assert reader.take() == {"events/1": [0]}


def test_wrong_clocks_of_senders_hold_nothing_up() -> None:
    """An hour ahead is now, and nothing arrived before what stands in front of it."""
    reader = Reader()
    ahead = {**arrived("events/0", [-3_600_000]), **arrived("events/1", [10])}
    assert reader.take(ahead) == {"events/0": [0], "events/1": [0]}
    behind = {**arrived("events/0", [7_200_000], 1), **arrived("events/1", [0], 1)}
    assert reader.take(behind) == {"events/0": [1], "events/1": [1]}


def test_what_comes_again_is_forgotten() -> None:
    """After a partition was sought, or all of them were."""
    reader = Reader()
    fetched = {
        **arrived("events/0", [60_000]),
        **arrived("events/1", [10]),
        **arrived("events/2", [10]),
    }
    reader.take(fetched)
    reader.in_step.drop("events/1")
    assert reader.take() == {"events/2": [0]}
    reader.take(fetched)
    reader.in_step.clear()
    assert not reader.take()
