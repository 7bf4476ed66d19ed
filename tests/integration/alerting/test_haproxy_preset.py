"""What the preset says to a real HAProxy is what HAProxy does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerting.carrier import Carrier
from alerting.outbox import Outbox
from alerting.settings import load_endpoints
from contracts.results import Decision, DecisionAction
from tests.support.alerting import Process, free_port
from tests.support.haproxy import Haproxy
from tests.support.waiting import wait_until
from tests.unit.alerting.support import House, decision

pytestmark = pytest.mark.integration


@pytest.fixture
def haproxy(process: Callable[..., Process]) -> Iterator[Haproxy]:
    """One that runs, with three servers behind it that nobody has started."""
    with tempfile.TemporaryDirectory(prefix="coalmine-") as name:  # a socket needs a short path
        servers = {"stable1": "127.0.0.1:9", "stable2": "127.0.0.1:9", "canary": "127.0.0.1:9"}
        made = Haproxy(Path(name), free_port(), servers)
        process(made.command, os.environ)
        wait_until(made.is_up, 30, "HAProxy")
        yield made


def edge(haproxy: Haproxy, **options: Any) -> House:
    """An endpoint read from a file, and nothing between it and HAProxy."""
    entry = {
        "name": "edge",
        "preset": "haproxy-runtime",
        "url": f"unix://{haproxy.socket}",
        "actions": ["rollback", "promote"],
        "options": {
            "canary": ["shop/canary"],
            "baseline": ["shop/stable1", "shop/stable2"],
            **options,
        },
    }
    file = haproxy.socket.parent / "endpoints.yaml"
    file.write_text(yaml.safe_dump({"endpoints": [entry]}))
    (endpoint,) = load_endpoints(file)
    house = House(to=endpoint)
    house.parts = replace(house.parts, transport=Carrier())
    house.outbox = Outbox(endpoint, house.parts, house.settled.append)
    return house


def promotion(exposure: float) -> Decision:
    """To a phase with this share."""
    return decision(
        id=f"p{exposure}", rollout=f"p{exposure}", action=DecisionAction.PROMOTE, exposure=exposure
    )


def test_shares_become_weights_and_a_rollback_ends_them(haproxy: Haproxy) -> None:
    """A quarter, all of it, then nothing; each is seen to be there."""
    house = edge(haproxy)
    for taken, weights in (
        (promotion(0.25), ("255", "255", "170")),
        (promotion(1.0), ("0", "0", "256")),
        (decision(), ("256", "256", "0")),
    ):
        house.take(taken)
        house.let(1)
        stats = haproxy.stats()
        assert tuple(stats[name]["weight"] for name in ("stable1", "stable2", "canary")) == weights
        assert house.ledger.records[-1].verified is True
    assert house.ledger.announced == []


def test_a_drained_server_is_back_with_the_next_promotion(haproxy: Haproxy) -> None:
    """The state goes with the share, both ways."""
    house = edge(haproxy, stop="drain")
    house.take(decision())
    assert haproxy.stats()["canary"]["status"].startswith("DRAIN")
    house.take(promotion(0.25), offset=1)
    assert haproxy.stats()["canary"]["status"] == "no check"


def test_what_haproxy_complains_of_calls_people(haproxy: Haproxy) -> None:
    """A server that there is not; the others get their weights all the same."""
    house = edge(haproxy, baseline=["shop/stable1", "shop/stable9"])
    house.take(decision())
    assert house.outcomes == [(1, "refused")]
    assert "No such server" in house.ledger.announced[0].reason
    assert haproxy.stats()["stable1"]["weight"] == "256"


def test_weights_that_a_reload_forgot_are_missed(haproxy: Haproxy) -> None:
    """HAProxy took them, and has others when it is asked: people are called."""
    house = edge(haproxy)
    house.take(decision())
    haproxy.say("set weight shop/canary 28")
    house.let(90)
    assert house.ledger.records[-1].verified is False
    assert "shop/canary has weight 28, not 0" in house.ledger.announced[0].reason
