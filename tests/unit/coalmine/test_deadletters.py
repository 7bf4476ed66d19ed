"""Dead letters: filters, last words, and which can be sent again."""

from __future__ import annotations

import msgspec
import pytest

from coalmine.deadletters.letters import Filters, chosen, merged, payload_of
from coalmine.deadletters.replay import again, refusal
from contracts.dead_letters import dead_letter
from contracts.errors import Fatal, InvalidRecord
from contracts.results import DeadLetter


def letter(origin: str, *, time: int = 1_000, reason: str = "not json") -> DeadLetter:
    """A letter of the stage ``s``."""
    error = InvalidRecord(reason)
    return dead_letter(error, stage="s", origin=origin, payload=b"\xff{", time=time, schema="v1")


def test_filters_choose_by_topic_reason_stage_and_time() -> None:
    """Times are half-open, as windows are; an empty filter fits all."""
    one = letter("coalmine.events/0/5/3")
    for fitting in (
        Filters(),
        Filters(topic="coalmine.events", reason="not json", stage="s", since=1_000, until=1_001),
    ):
        assert fitting.fit(one)
    for other in (
        Filters(topic="coalmine.event"),
        Filters(reason="not"),
        Filters(stage="t"),
        Filters(since=1_001),
        Filters(until=1_000),
    ):
        assert not other.fit(one)


def test_the_last_word_on_a_letter_counts_and_a_replay_is_not_forgotten() -> None:
    """A stage that repeats a letter after a crash does not make it replayable again."""
    first, second = letter("t/0/1"), letter("t/0/2", time=2_000)
    noted = msgspec.structs.replace(first, replayed_at=7)
    encoded = [msgspec.json.encode(one) for one in (first, noted, first, second)]
    found = merged([b"garbage", *encoded])
    assert [one.id for one in found] == [second.id, first.id]
    assert found[1].replayed_at == 7
    with pytest.raises(Fatal, match="no dead letter s:t/9/9"):
        chosen(found, [first.id, "s:t/9/9"])


@pytest.mark.parametrize("origin", ["/var/log/app.log:17", "coalmine.deadletters/0/1", "", "a/b/c"])
def test_what_was_no_message_of_a_topic_cannot_be_sent_again(origin: str) -> None:
    """The refusal says why."""
    assert refusal(letter(origin))


def test_what_is_sent_again_are_the_original_bytes_with_the_origin_as_sender() -> None:
    """Two letters about one message are one sender and one number: the fences count them once."""
    one = letter("coalmine.events/2/17")
    other = msgspec.structs.replace(one, id="other stage", stage="other")
    assert again(one, payload_of(one)) == again(other, payload_of(other))
    message = again(one, payload_of(one))
    assert (message.topic, message.partition, message.value) == ("coalmine.events", 2, b"\xff{")
    assert dict(message.headers) == {
        "agent": b"deadletters/coalmine.events/2/17",
        "seq": b"1",
        "schema": b"v1",
    }
    assert refusal(msgspec.structs.replace(one, replayed_at=5))
