"""Messages by the run say what the same messages say one by one."""

from __future__ import annotations

from streams.runs import NO_HEADERS, Message, Run, Runs, by_partition, in_parts

MESSAGES = [
    Message("events", 1, offset, 1_000 + offset, {"a": b"b"} if offset == 7 else {}, b"x" * offset)
    for offset in range(4, 10)
]


def test_a_run_is_a_sequence_of_its_messages() -> None:
    """Read, cut and chosen from like a list."""
    run = Run.of(MESSAGES)
    assert (list(run), len(run), run[-1]) == (MESSAGES, 6, MESSAGES[-1])
    assert (list(run[1:3]), Run.of(run[1:3]).offsets) == (MESSAGES[1:3], [5, 6])
    assert list(run.where(m.offset % 2 == 0 for m in run)) == MESSAGES[::2]
    assert run.size_bytes == sum(range(4, 10))
    assert not run[:0]


def test_messages_of_one_partition_come_together_in_their_order() -> None:
    """However they were cut, and whatever came in between."""
    other = [one._replace(partition=0) for one in MESSAGES[:2]]
    runs = Runs([Run.of(MESSAGES[:2]), Run.of(other), Run.of(MESSAGES[2:])])
    assert (len(runs), list(runs)) == (8, [*MESSAGES[:2], *other, *MESSAGES[2:]])
    assert [list(run) for run in by_partition(runs)] == [other, MESSAGES]
    assert [list(run) for run in by_partition([*MESSAGES, *other])] == [other, MESSAGES]
    assert by_partition([]) == []


def test_parts_have_so_many_bytes_at_most_or_one_message() -> None:
    """In order, nothing missing; a part is as large as it may be."""
    run = Run("events", 0, list(range(5)), [0] * 5, [NO_HEADERS] * 5, [b"xx"] * 4 + [b"x" * 9])
    assert [part[0].offset for part in in_parts(run, 4)] == [0, 2, 4]
    assert [len(part) for part in in_parts(list(run), 5)] == [2, 2, 1]
    assert [len(part) for part in in_parts(run, 1)] == [1] * 5
    assert list(in_parts([], 1)) == []
