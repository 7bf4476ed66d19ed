"""No answer of a tool, however strange, makes a preset fail in a way that nobody foresaw."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.conversing import converse
from alerting.integrations import PRESETS
from alerting.integrations.conversation import Answer, Delivered, Refused, Request, Retry
from tests.support.presets import Case, cases

_LEAVES = st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "1.4.2", "SUCCESS"])
_VALUES = _LEAVES | st.lists(_LEAVES, max_size=2) | st.dictionaries(st.just("id"), _LEAVES)
CASES = {name: [case for case in cases() if case.preset == name] for name in PRESETS}


def _damaged(value: Any, data: st.DataObject) -> Any:
    """A recorded answer in which one place holds something else."""
    if isinstance(value, dict | list) and value and data.draw(st.integers(0, 3)):
        places = list(value) if isinstance(value, dict) else range(len(value))
        place = data.draw(st.sampled_from(places))
        copy = value.copy()
        copy[place] = _damaged(value[place], data)
        return copy
    return data.draw(_VALUES)


def _answer(recorded: str, data: st.DataObject) -> Answer:
    try:
        body = json.dumps(_damaged(json.loads(recorded), data))
    except ValueError:
        body = recorded
    status = data.draw(st.sampled_from([200, 200, 201, 202, 204, 302, 400, 401, 403, 404, 409]))
    return Answer(status, body=body.encode(), is_cut=data.draw(st.integers(0, 20)) == 0)


def _play(case: Case, data: st.DataObject, *, verify: bool) -> None:
    preset, asked = PRESETS[case.preset], list[Request]()
    steps = case.recording.verify if verify else case.recording.conversation

    def ask(request: Request) -> Answer:
        recorded = steps[len(asked)].answer if len(asked) < len(steps) else {}
        asked.append(request)
        return _answer(str(recorded.get("body", "{}")), data)

    say = preset.verify if verify else preset.deliver
    if say is not None:
        exchange = converse(say(case.decision, case.endpoint.options), ask)
        assert isinstance(exchange.ending, Delivered | Refused | Retry)
        assert len(asked) < 20


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=25, derandomize=True)
@given(data=st.data())
def test_a_conversation_ends_as_it_says(preset: str, data: st.DataObject) -> None:
    """Delivered, refused or to be tried again; never an error of ours, never without end."""
    case = data.draw(st.sampled_from(CASES[preset]))
    _play(case, data, verify=data.draw(st.booleans()))
