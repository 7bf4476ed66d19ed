"""What every preset promises, shown on the conversations recorded in its folder."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from msgspec import structs

from alerting.integrations import PRESETS
from alerting.integrations.conversation import Answer, RunCommand
from contracts.results import Decision
from tests.support.presets import (
    FOLDERS,
    TOKEN,
    Case,
    answer_of,
    cases,
    folder_of,
    play,
    sent,
    shown,
    told,
)
from tests.unit.alerting.support import SECRET, House

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_preset = pytest.mark.parametrize("preset", PRESETS)


@each_preset
def test_a_folder_says_which_permissions_it_needs(preset: str) -> None:
    """A README with an example and the permissions, beside the code."""
    page = (folder_of(preset) / "README.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {preset}\n")
    assert f"preset: {preset}" in page
    assert "\n## Permissions it needs\n" in page


def test_every_folder_is_registered() -> None:
    """A preset that is not in the list cannot be used."""
    folders = {path.parent for path in FOLDERS.glob("*/__init__.py")}
    assert folders == {folder_of(preset) for preset in PRESETS}


@each_preset
def test_a_preset_has_recorded_what_it_says(preset: str) -> None:
    """At least one conversation that ends well, of an action that it says it can do."""
    mine = [case for case in CASES if case.preset == preset]
    assert any(case.recording.ending == "delivered" for case in mine)
    assert {case.decision.action for case in mine} <= PRESETS[preset].actions
    if PRESETS[preset].verify is not None:
        assert any(case.recording.verify_ending == "delivered" for case in mine)


@each_case
def test_the_requests_are_those_recorded(case: Case) -> None:
    """Method, path, headers, credentials and body, byte for byte; and the same ending."""
    steps = case.recording.conversation
    assert [shown(request) for request in sent(case)] == [step.request for step in steps]
    asked, exchange = play(case)
    assert len(asked) == len(steps)
    assert told(exchange.ending) == case.recording.ending


@each_case
def test_the_look_afterwards_is_the_one_recorded(case: Case) -> None:
    """What is asked after the delivery, and what it is taken for."""
    if case.recording.verify:
        asked, exchange = play(case, verify=True)
        assert [shown(r) for r in asked] == [step.request for step in case.recording.verify]
        assert told(exchange.ending) == case.recording.verify_ending


@each_case
def test_equal_decisions_are_said_in_equal_bytes(case: Case) -> None:
    """A decision that was read from the topic again is the same to the tool."""
    again = msgspec.json.decode(msgspec.json.encode(case.decision), type=Decision)
    assert play(case)[0] == play(replace(case, decision=again))[0]


@each_case
def test_commands_are_those_of_the_endpoints_file(case: Case) -> None:
    """No decision adds a word to what is run."""
    strange = replace(
        case, decision=structs.replace(case.decision, phase="; rm -rf /", users="$(id)")
    )
    configured = structs.asdict(case.endpoint.options).values()
    for request in play(strange)[0]:
        if isinstance(request, RunCommand):
            assert request.argv in configured


@each_case
@pytest.mark.parametrize(
    "fault", [Answer(500), Answer(429), Answer(failure="timeout")], ids=["500", "429", "timeout"]
)
def test_a_fault_at_any_step_starts_the_conversation_again(case: Case, fault: Answer) -> None:
    """Nothing is given up, and the second attempt asks what the first one asked."""
    good = [answer_of(step) for step in case.recording.conversation]
    for number in range(len(good)):
        house = House(*good[:number], fault, *good, to=case.endpoint)
        house.take(case.decision)
        assert house.outcomes == [(1, "retrying")]
        house.let(1)
        first, second = (
            house.transport.requests[: number + 1],
            house.transport.requests[number + 1 :],
        )
        assert [shown(r) | {"headers": 0} for r in first] == [
            shown(r) | {"headers": 0} for r in second[: number + 1]
        ]
        assert len(house.outcomes) == 2


@each_case
def test_no_secret_is_recorded_logged_or_printed(
    case: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in the record, nor in the log, nor where anybody prints what is at hand."""
    knows_it = case.endpoint.secrets or "PRESET_TOKEN" in str(case.recording.options)
    echo = TOKEN.encode() if knows_it else b"no"
    faults = [Answer(401, body=echo), Answer(500), Answer(failure="tls")]
    answers = [answer_of(step) for step in case.recording.conversation]
    told_of = list[object]([case.endpoint, play(case)])
    for script in (answers, *([fault, *answers] for fault in faults)):
        house = House(*script, to=case.endpoint)
        house.take(case.decision)
        house.let(2)
        told_of += [*house.transport.requests, house.outbox]
        told_of += [msgspec.json.encode(record) for record in house.ledger.records]
    everything = repr(told_of) + "".join(capfd.readouterr())
    for secret in (TOKEN, TOKEN[:6], SECRET, SECRET.removeprefix("whsec_")):
        assert secret not in everything
