"""What the API remembers, without Kafka and without HTTP."""

from __future__ import annotations

import msgspec
import pytest

from coalmine.api.board import Board, Bounds, Record
from contracts import topics
from contracts.errors import InvalidRecord
from contracts.results import Answer, Decision, Delivery, RolloutStatus, Verdict
from tests.support.results import ROLLOUT, answer, decision, delivery, promoted, regressed, verdict

_TOPICS = {
    Verdict: topics.VERDICTS,
    Decision: topics.DECISIONS,
    Answer: topics.ANSWERS,
    Delivery: topics.DELIVERIES,
}


def tell(board: Board, *records: Record) -> None:
    """Let a board take records as they come from Kafka."""
    for record in records:
        board.take(_TOPICS[type(record)].name, msgspec.json.encode(record))


def test_the_last_verdict_of_a_rollout_counts() -> None:
    """A newer verdict replaces an older one; an older copy that comes later does not."""
    board = Board()
    tell(board, verdict(version=3), regressed(version=9), verdict(version=4))
    found = board.verdict(ROLLOUT)
    assert found is not None
    assert (found.status, found.version) == (RolloutStatus.ROLLING_BACK, 9)


def test_windows_of_the_evidence_are_left_out() -> None:
    """A verdict is told without what only an audit needs."""
    board = Board()
    tell(board, verdict())
    found = board.verdict(ROLLOUT)
    assert found is not None
    assert [metric.windows for metric in found.metrics] == [[]]


def test_rollouts_are_found_by_what_they_are() -> None:
    """By service, release and flag, the latest first."""
    board = Board()
    tell(
        board,
        verdict(rollout="a", opened_at=1),
        verdict(rollout="b", opened_at=3, canary="1.6.0"),
        verdict(rollout="c", opened_at=2, flag="new-cart"),
        verdict(rollout="d", opened_at=4, service="search"),
    )
    assert [h.rollout for h in board.rollouts()] == ["d", "b", "c", "a"]
    assert [h.rollout for h in board.rollouts(service="checkout", flag="")] == ["b", "a"]
    assert [h.rollout for h in board.rollouts(canary="1.6.0")] == ["b"]


def test_a_record_that_comes_twice_is_one() -> None:
    """Decisions, answers and deliveries are known by their ids."""
    board = Board()
    records: list[Record] = [decision(), answer(), delivery(1), delivery(2)]
    tell(board, *records, *records)
    assert board.decisions(ROLLOUT) == [decision()]
    assert board.answers(ROLLOUT) == [answer()]
    assert board.deliveries(decision().id) == [delivery(1), delivery(2)]
    sizes = {"rollouts": 0, "decisions": 1, "answers": 1, "deliveries": 1, "flags": 0}
    assert board.sizes() == sizes


def test_a_full_board_forgets_what_ended_first() -> None:
    """The oldest closed rollout goes before any open one, the oldest answer before the others."""
    board = Board(Bounds(rollouts=2, answers=1))
    tell(
        board,
        verdict(rollout="open", opened_at=1),
        promoted(rollout="closed", opened_at=2),
        verdict(rollout="new", opened_at=3),
        answer(id="1"),
        answer(id="2"),
    )
    assert [h.rollout for h in board.rollouts()] == ["new", "open"]
    assert board.answer("1") is None
    assert board.answer("2") is not None


def test_verdicts_are_bounded_in_bytes() -> None:
    """Not only in number, many strata make one large; a single one is always kept."""
    size = len(msgspec.json.encode(verdict(rollout="1")))
    board = Board(Bounds(verdict_bytes=2 * size))
    tell(board, *(verdict(rollout=str(number), opened_at=number) for number in range(9)))
    assert [h.rollout for h in board.rollouts()] == ["8", "7"]
    tiny = Board(Bounds(verdict_bytes=1))
    tell(tiny, verdict())
    assert tiny.verdict(ROLLOUT) is not None


def test_attempts_of_one_decision_are_bounded() -> None:
    """An endpoint that is tried for a day does not fill the memory."""
    board = Board(Bounds(attempts=3))
    tell(board, *(delivery(number) for number in range(9)))
    assert [d.attempt for d in board.deliveries(decision().id)] == [6, 7, 8]


def test_what_is_no_result_is_refused() -> None:
    """Bytes of strangers raise one error and change nothing."""
    board = Board()
    for topic in _TOPICS.values():
        with pytest.raises(InvalidRecord):
            board.take(topic.name, b"{}")
    assert set(board.sizes().values()) == {0}


def test_a_listener_hears_what_comes_while_it_listens() -> None:
    """Each record once it is on the board, and none afterwards."""
    board, heard = Board(), list[Record]()
    with board.listening(heard.append):
        tell(board, answer(), verdict())
    tell(board, decision())
    assert [type(record) for record in heard] == [Answer, Verdict]
