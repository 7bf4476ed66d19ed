"""Bytes of strangers: each reader takes whatever comes, or refuses it in the way it says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzz_targets import Target, targets
from tests.support.mutate import mutated


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_are_taken_or_refused(target: Target, data: st.DataObject) -> None:
    """Mutations of good messages, and garbage, raise nothing that callers do not expect."""
    target.feed(data.draw(st.one_of(st.binary(max_size=200), mutated(target.seeds))))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_good_bytes_are_taken(target: Target) -> None:
    """The examples that mutations begin with are good themselves, or the fuzzing would be idle."""
    target.take(target.seeds[0])
