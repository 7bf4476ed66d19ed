"""When a stage stops because it sets too much aside."""

from __future__ import annotations

import pytest

from contracts.dead_letter_limit import DeadLetterCount, DeadLetterLimit
from contracts.errors import ConfigError, TooManyDeadLetters
from contracts.settings import dead_letter_limit


def test_so_many_in_a_row_stop_the_stage_with_a_sentence_that_says_what_to_do() -> None:
    """The sentence names stage, number, reason, and where to look."""
    count = DeadLetterCount("streams.aggregate_events", DeadLetterLimit(consecutive=3))
    for _ in range(2):
        count.bad("not json")
    count.good()
    for _ in range(2):
        count.bad("not json")
    with pytest.raises(TooManyDeadLetters) as raised:
        count.bad("unknown schema")
    sentence = str(raised.value)
    for part in ("streams.aggregate_events", "3 records in a row", "unknown schema", "list"):
        assert part in sentence


def test_a_share_above_the_limit_stops_the_stage_once_there_are_enough_records() -> None:
    """Exactly the share is allowed; what is older than the last records is forgotten."""
    count = DeadLetterCount("s", DeadLetterLimit(share=0.5, of_last=10, consecutive=0))
    for _ in range(100):
        count.bad("x") if _ < 5 else count.good()
    for _ in range(50):
        count.good()
        count.bad("x")
    with pytest.raises(TooManyDeadLetters, match="6 of the last 10 records"):
        count.bad("x")


def test_the_default_lets_ten_thousand_mutated_messages_among_good_ones_pass() -> None:
    """A sender of garbage does not stop the judging of everybody else."""
    count = DeadLetterCount("s", DeadLetterLimit())
    for _ in range(9_999):
        count.bad("not json")
    for _ in range(10_001):
        count.good()
    for _ in range(10_000):
        count.bad("not json")
        count.good()


def test_zero_switches_a_limit_off_and_what_is_no_number_is_refused() -> None:
    """The environment is checked once, at the start."""
    none = dead_letter_limit(
        {"COALMINE_DEADLETTERS_SHARE": "0", "COALMINE_DEADLETTERS_CONSECUTIVE": "0"}
    )
    count = DeadLetterCount("s", none)
    for _ in range(30_000):
        count.bad("not json")
    for name, value in (("SHARE", "1.5"), ("CONSECUTIVE", "-1"), ("OF_LAST", "many")):
        with pytest.raises(ConfigError, match=f"COALMINE_DEADLETTERS_{name}"):
            dead_letter_limit({f"COALMINE_DEADLETTERS_{name}": value})
