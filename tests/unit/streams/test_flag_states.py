"""What the worker says of flags beside its verdicts."""

from __future__ import annotations

from contracts import topics
from contracts.flags import FlagState, flag_state
from contracts.results import RolloutStatus
from streams.judging import results_of
from tests.support.results import verdict


def test_a_verdict_of_a_flag_says_what_holds_for_the_flag_first() -> None:
    """Under the key of the flag, so that the topic keeps the last word of each; a rollout of
    releases says nothing of flags.
    """
    found = verdict(flag="new-cart", canary="on", status=RolloutStatus.ROLLING_BACK, version=7)
    (topic, key, state), (other, service, _) = results_of([found])
    assert (topic, key) == (topics.FLAGS, '["checkout", "new-cart"]')
    assert isinstance(state, FlagState)
    assert state == flag_state(found)
    assert (state.is_killed, state.version) == (True, 7)
    assert (other, service) == (topics.VERDICTS, "checkout")
    assert [topic for topic, _, _ in results_of([verdict()])] == [topics.VERDICTS]
