"""Marks of deployments for Kibana, as further documents of verdicts and decisions."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from contracts import topics
from contracts.results import DecisionAction, Verdict
from streams.index.annotations import STARTED_WITHIN_MS, annotations_of
from streams.index.documents import documents_of
from streams.messages import Message
from tests.support.results import OPENED_AT, ROLLOUT, answer, decision, verdict

AT = datetime.fromtimestamp(OPENED_AT / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.250Z")


def test_the_beginning_of_a_rollout_is_marked_once() -> None:
    """Each look of the first minute gives the same document, by the day it was opened; later looks
    give none.
    """
    first = annotations_of(verdict())
    assert first == annotations_of(verdict(time=OPENED_AT + 9_000, evidence_log10=1.5))
    assert annotations_of(verdict(time=OPENED_AT + STARTED_WITHIN_MS + 1)) == []
    [mark] = first
    assert (mark.index, mark.id) == ("coalmine-annotations-2026.11.23", f"{ROLLOUT}/started")
    assert mark.body == {
        "@timestamp": AT,
        "annotation": {"type": "deployment", "title": "1.5.0 started"},
        "service": {"name": "checkout", "version": "1.5.0"},
        "message": "Rollout of 1.5.0 beside 1.4.2 began.",
        "tags": ["apm", "coalmine", "started"],
        "event": {"created": AT},
        "labels": {"rollout": ROLLOUT},
    }


@pytest.mark.parametrize(
    ("action", "next_phase", "what"),
    [
        (DecisionAction.ROLLBACK, "", "rolled back"),
        (DecisionAction.PROMOTE, "", "promoted"),
        (DecisionAction.PROMOTE, "all", None),
        (DecisionAction.HOLD, "", None),
        (DecisionAction.ROLLBACK_VERIFIED, "", None),
    ],
)
def test_its_end_is_marked(action: DecisionAction, next_phase: str, what: str | None) -> None:
    """A rollback and the promotion to all; phases in between are no deployments of their own."""
    found = annotations_of(decision(action=action, next_phase=next_phase))
    assert [mark.id for mark in found] == ([f"{ROLLOUT}/{what}"] if what else [])


def test_a_variant_of_a_flag_is_no_version() -> None:
    """It is named in the title, and the service keeps its version to itself."""
    [mark] = annotations_of(verdict(flag="new-cart", canary="on", baseline="off"))
    assert mark.body["annotation"]["title"] == "new-cart:on started"
    assert mark.body["service"] == {"name": "checkout"}


def test_the_indexer_writes_them_beside_the_result() -> None:
    """With the version of its message; an answer gives no mark."""
    message = Message(topics.VERDICTS.name, 1, 42, 0, {}, msgspec.json.encode(verdict(version=7)))
    found = documents_of(message)
    assert [one.index.split("-")[1] for one in found] == ["verdicts", "rollouts", "annotations"]
    assert {one.version for one in found} == {7}
    assert found[0].body == msgspec.to_builtins(msgspec.json.decode(message.value, type=Verdict))
    assert annotations_of(answer()) == []
