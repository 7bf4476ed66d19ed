"""Ids to hashes, hashes to sketches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasketches import compact_theta_sketch, theta_union
from hypothesis import given
from hypothesis import strategies as st

from streams.windows import ids, units

texts = st.sampled_from([4, 40]).flatmap(
    lambda longest: st.lists(st.none() | st.text(max_size=longest), max_size=30)
)


@given(texts, st.integers(0, 5))
def test_equal_ids_have_equal_hashes_wherever_they_stand(found: list[str | None], cut: int) -> None:
    """Also in a slice, whatever stands before and behind, and in a column of views."""
    hashes = ids.hashes_of(pa.array(found, pa.utf8()))
    sliced = ids.hashes_of(pa.array(["before", *found, "behind"], pa.utf8()).slice(1, len(found)))
    views = ids.hashes_of(pa.array(["", *found], pa.string_view()).slice(1))
    by_id: dict[str, int] = {}
    for text, *same in zip(found, hashes.tolist(), sliced.tolist(), views.tolist(), strict=True):
        if text is not None:
            assert {by_id.setdefault(text, same[0])} == set(same)
    assert len(set(by_id.values())) == len(by_id)
    assert len(ids.hashes_of(pa.array(found, pa.utf8()).slice(cut))) == max(0, len(found) - cut)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=60))
def test_sketches_hold_the_distinct_units_of_each_group(pairs: list[tuple[int, int]]) -> None:
    """Counts are exact, and the library reads and writes the same bytes."""
    groups = np.array([group for group, _ in pairs], dtype=np.int64)
    hashes = ids.mixed(np.array([unit for _, unit in pairs], dtype=np.uint64))
    made = dict(units.sketches(groups, hashes))
    expected: dict[int, set[int]] = {}
    for group, unit in pairs:
        expected.setdefault(group, set()).add(unit)
    assert {group: units.count(sketch) for group, sketch in made.items()} == {
        group: len(of_group) for group, of_group in expected.items()
    }
    for sketch in made.values():
        assert bytes(compact_theta_sketch.deserialize(sketch).serialize()) == sketch


def test_sketches_stay_exact_to_their_size_and_small_beyond() -> None:
    """4,096 units are held; of 200,000 a sixtieth is, and the count is close."""
    for n in (1, 4_096):
        sketch = units.sketch(ids.mixed(np.arange(n, dtype=np.uint64)))
        assert units.is_exact(sketch)
        assert units.count(sketch) == n
    sketch = units.sketch(ids.mixed(np.arange(200_000, dtype=np.uint64)))
    assert not units.is_exact(sketch)
    assert len(sketch) < 33_000
    assert abs(units.count(sketch) / 200_000 - 1) < 0.05


def test_differences_of_large_sketches_are_close() -> None:
    """What one has and the other has not, beyond what is exact."""
    one, other = (
        units.sketch(ids.mixed(np.arange(start, start + 50_000, dtype=np.uint64)))
        for start in (0, 25_000)
    )
    assert abs(units.count(units.minus(one, other)) / 25_000 - 1) < 0.1
    assert abs(units.count(units.union(one, other)) / 75_000 - 1) < 0.05


def test_a_sketch_of_many_is_the_librarys_union_of_sketches_of_few() -> None:
    """Which knows nothing of how a sketch is made here but for those that hold every unit."""
    hashes = ids.mixed(np.arange(30_000, dtype=np.uint64))
    both = theta_union(units.LG_K)
    for start in range(0, len(hashes), 1_000):
        few = units.sketch(hashes[start : start + 1_000])
        both.update(compact_theta_sketch.deserialize(few))
    assert units.sketch(hashes) == bytes(both.get_result().serialize())


@pytest.mark.parametrize("size", [1, 10, 150, 1_000, 3_000, 4_096, 5_000, 40_000])
@pytest.mark.parametrize("other_size", [1, 90, 1_000, 5_000, 300_000])
def test_a_union_is_what_the_library_makes_of_both(size: int, other_size: int) -> None:
    """To the byte: whichever way it is made, sketches of partials in any order are the same."""
    one = units.sketch(ids.mixed(np.arange(size, dtype=np.uint64)))
    start = max(0, size - 20)
    other = units.sketch(ids.mixed(np.arange(start, start + other_size, dtype=np.uint64)))
    both = theta_union(units.LG_K)
    for sketch in (one, other):
        both.update(compact_theta_sketch.deserialize(sketch))
    expected = bytes(both.get_result().serialize())
    assert units.union(one, other) == units.union(other, one) == expected
