"""A silence holds for what it names, until its end, and never for a rollback unless it says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerting.integrations.conversation import Answer
from alerting.outbox import Outbox
from alerting.settings import load_alerting
from alerting.silences import SilenceConfig, silence_of
from contracts.errors import ConfigError
from contracts.results import DecisionAction
from tests.unit.alerting.support import NOW_MS, House, decision, endpoint

LATER = datetime(2026, 11, 24, 6, tzinfo=UTC)
HOLD = decision(id="hold", action=DecisionAction.HOLD)


def house_with(**fields: object) -> House:
    """An endpoint that wants everything, under one silence."""
    config = SilenceConfig(
        **{"until": LATER, "owner": "jane", "reason": "load test", **fields}  # type: ignore[arg-type]  # fields of a test
    )
    silence = silence_of(config, ["deploy-tool", "pager"], "endpoints.yaml", "silences[0]")
    house = House(Answer(204), to=endpoint(actions=frozenset(DecisionAction)))
    house.parts = replace(house.parts, silences=(silence,))
    house.outbox = Outbox(house.outbox.endpoint, house.parts, house.settled.append)
    return house


def test_what_is_silenced_is_recorded_and_not_sent() -> None:
    """With who said so, until when and why; the decision is settled and nobody is called."""
    house = house_with()
    house.take(HOLD)
    assert house.outcomes == [(1, "silenced")]
    (record,) = house.ledger.records
    assert record.reason == "silenced by jane until 2026-11-24 06:00 UTC: load test"
    assert house.transport.requests == []
    assert house.ledger.announced == []
    assert len(house.settled) == 1


def test_a_rollback_is_silenced_only_where_it_is_named() -> None:
    """A silence over everything leaves the one thing that must not be missed."""
    house = house_with()
    house.take(decision())
    assert house.outcomes == [(1, "delivered")]
    house = house_with(actions=[DecisionAction.ROLLBACK])
    house.take(decision())
    assert house.outcomes == [(1, "silenced")]


@pytest.mark.parametrize(
    "fields",
    [
        {"until": datetime.fromtimestamp(NOW_MS / 1000, UTC)},
        {"services": ["search*"]},
        {"actions": [DecisionAction.PROMOTE]},
        {"endpoints": ["pager"]},
    ],
)
def test_a_silence_holds_for_nothing_else(fields: dict[str, object]) -> None:
    """Not after its end, not for another service, action or endpoint."""
    house = house_with(**fields)
    house.take(HOLD)
    assert house.outcomes == [(1, "delivered")]


@pytest.mark.parametrize(
    ("silence", "field", "expected"),
    [
        ("until: 2026-12-01T09:00:00, owner: j, reason: r", "silences[0].until", "offset"),
        ("until: soon, owner: j, reason: r", "silences[0].until", "datetime"),
        ("until: 2026-12-01T09:00:00Z, owner: '', reason: r", "silences[0].owner", "length >= 1"),
        ("until: 2026-12-01T09:00:00Z, owner: j", "silences[0]", "reason"),
        (
            "until: 2026-12-01T09:00:00Z, owner: j, reason: r, endpoints: [pagr]",
            "silences[0].endpoints[0]",
            "the name of an endpoint: pager",
        ),
    ],
)
def test_a_silence_names_its_end_its_owner_and_why(
    tmp_path: Path, silence: str, field: str, expected: str
) -> None:
    """Each mistake is named; a silence for an endpoint that there is not would silence nobody."""
    file = tmp_path / "endpoints.yaml"
    pager = "endpoints: [{name: pager, url: 'file:///x', preset: flagd, options: {flag: f}}]\n"
    file.write_text(f"{pager}silences:\n  - {{{silence}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_alerting(file)
    assert caught.value.field == field
    assert expected in str(caught.value)


def test_only_the_endpoints_that_a_phase_names_are_told() -> None:
    """Where it names any; a call for people goes to all who want it."""
    tool = endpoint(actions=frozenset(DecisionAction))
    assert tool.wants(decision(notify=[]))
    assert tool.wants(decision(notify=["deploy-tool", "chat"]))
    assert not tool.wants(decision(notify=["chat"]))
    house = House(Answer(404))
    house.take(decision(notify=["deploy-tool"]))
    (call,) = house.ledger.announced
    assert endpoint(name="pager", actions=frozenset(DecisionAction)).wants(call)


def test_messages_link_to_the_dashboard(tmp_path: Path) -> None:
    """One address for the file, or one for an endpoint."""
    file = tmp_path / "endpoints.yaml"
    pager = "url: 'file:///x', preset: flagd"
    file.write_text(
        "dashboard_url: https://coalmine.example/\nendpoints:\n"
        f"  - {{name: a, {pager}, options: {{flag: f}}}}\n"
        f"  - {{name: b, {pager}, options: {{flag: f, dashboard_url: 'https://b.example'}}}}\n"
    )
    urls = [one.options.dashboard_url for one in load_alerting(file).endpoints]
    assert urls == ["https://coalmine.example", "https://b.example"]
    file.write_text("dashboard_url: coalmine.example\n")
    with pytest.raises(ConfigError) as caught:
        load_alerting(file)
    assert caught.value.field == "dashboard_url"
