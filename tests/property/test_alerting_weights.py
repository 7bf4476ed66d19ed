"""Whatever share a phase asks for, the weights of the servers give it, or say that they cannot."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from alerting.integrations.conversation import UnusableError
from alerting.integrations.weights import weights

MOST = 256
SERVERS = st.integers(1, 60)


@given(share=st.floats(0, 1), canaries=SERVERS, baselines=SERVERS)
def test_weights_give_the_share(share: float, canaries: int, baselines: int) -> None:
    """Within two hundredths, with integers that HAProxy takes; all or nothing is exact."""
    try:
        canary, baseline = weights(share, canaries=canaries, baselines=baselines, most=MOST)
    except UnusableError:
        assume(False)
    assert {type(canary), type(baseline)} == {int}
    assert 0 <= min(canary, baseline) < max(canary, baseline) + 1 <= MOST + 1
    assert (canary == 0, baseline == 0) == (share == 0, share == 1)
    all_of_it = canaries * canary + baselines * baseline
    assert abs(canaries * canary / all_of_it - share) <= 0.02


@given(share=st.floats(0.05, 0.95), servers=SERVERS)
def test_as_many_servers_of_each_can_always_be_weighed(share: float, servers: int) -> None:
    """The usual case is never refused."""
    weights(share, canaries=servers, baselines=servers, most=MOST)
