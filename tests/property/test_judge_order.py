"""A bad canary is found in whatever order the partitions of its service are read."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.policy import Policy
from contracts.results import Decision, DecisionAction, Partial, Source
from streams.judge.service import apply_partial
from streams.judge.service_state import ServiceState
from tests.support.partials import Traffic

BASELINE, CANARY = "1.4.2", "1.5.0"
SECONDS, CANARY_SINCE = 24, 10
POLICY = Policy(service="checkout", autodetect=True)


class Part(NamedTuple):
    """So many more partials of one arm are read; then nothing comes for a while, or more does."""

    of_canary: bool
    partials: int
    is_idle_after: bool


parts = st.builds(Part, st.booleans(), st.integers(1, SECONDS), st.booleans())


def partials_of(traffic: Traffic, release: str, seconds: range, partition: int) -> list[Partial]:
    """One a second, as they stand in a partition of their own."""
    return [
        msgspec.structs.replace(
            one, source=Source(topic="coalmine.events", partition=partition, offset=number)
        )
        for number, second in enumerate(seconds)
        for one in traffic.second(second, [release])
    ]


@given(st.lists(parts, max_size=12))
@example([Part(of_canary=True, partials=SECONDS, is_idle_after=True)])
def test_the_order_of_partitions_hides_no_regression(order: list[Part]) -> None:
    """Also where the canary's was read whole, and all was quiet, before the baseline's began."""
    traffic = Traffic(error_rate={CANARY: 0.3})
    waiting = {
        False: partials_of(traffic, BASELINE, range(SECONDS), 0),
        True: partials_of(traffic, CANARY, range(CANARY_SINCE, SECONDS), 1),
    }
    state, now_ms = ServiceState(service="checkout"), traffic.start + 60_000
    found: list[Decision] = []
    rest = [Part(arm, SECONDS, is_idle_after=True) for arm in (False, True)]
    for arm, count, is_idle_after in [*order, *rest]:
        heard, waiting[arm] = waiting[arm][:count], waiting[arm][count:]
        if is_idle_after:
            now_ms += 2_000
            heard = [*heard, Partial(service="checkout", sent_at=now_ms)]
        for one in heard:
            outputs = apply_partial(state, one, POLICY, processed_time=now_ms)
            found += [output for output in outputs if isinstance(output, Decision)]
    rollbacks = [one for one in found if one.action is DecisionAction.ROLLBACK]
    assert [(one.canary, one.baseline) for one in rollbacks] == [(CANARY, BASELINE)]
