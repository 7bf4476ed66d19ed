from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openfeature import api as openfeature
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason
from openfeature.provider import ProviderStatus

from coalmine.api.access import Access
from coalmine.api.tokens import Role, TokenEntry, hash_token, write_tokens
from coalmine.openfeature import ArmFilter, CoalmineProvider, collecting, current_arm
from contracts.flags import FlagState, bucket
from contracts.results import RolloutStatus
from tests.support.flag_api import FlagApi
from tests.support.waiting import wait_until

HALF = FlagState(
    flag="new-checkout",
    service="shop",
    rollout="shop-on-1",
    canary="on",
    baseline="off",
    exposure=0.5,
    phase="half",
    opened_at=7,
)
KILLED = msgspec.structs.replace(HALF, exposure=0.0, status=RolloutStatus.ROLLING_BACK)
LOW, HIGH = (
    next(user for user in map(str, range(100)) if (bucket("new-checkout", user) < 0.5) is is_low)
    for is_low in (True, False)
)


def who(user: str | None, *groups: str) -> EvaluationContext:
    """An evaluation context."""
    return EvaluationContext(user, {"groups": list(groups)} if groups else {})


@dataclass
class Shop:
    """A service that uses flags: the API it follows, its provider and its client."""

    api: FlagApi
    provider: CoalmineProvider
    client: OpenFeatureClient

    def knows(self, state: FlagState) -> None:
        """Tell the API a state and wait until the service obeys it."""
        self.api.tell(state)
        wait_until(
            lambda: self.provider.rules.flags.get(state.flag) == state,
            timeout_s=10,
            what="the service knows",
        )

    def is_on(self, user: str | None, default: bool = False) -> bool:  # noqa: FBT001, FBT002 - as the client has it
        """The flag of these tests."""
        return self.client.get_boolean_value("new-checkout", default, who(user))


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A service beside a running API that has told nothing yet."""
    api = FlagApi()
    api.start()
    provider = CoalmineProvider(api.url, "shop", variants={"price": {"b": 7, "o": {"columns": 3}}})
    openfeature.set_provider_and_wait(provider, "shop")
    yield Shop(api, provider, openfeature.get_client("shop"))
    openfeature.shutdown()
    openfeature.clear_providers()
    api.stop()


def test_users_get_variants_by_their_bucket(shop: Shop) -> None:
    """The value, the variant, the reason SPLIT and the arm of each."""
    shop.knows(HALF)
    for user, value, variant in ((LOW, True, "on"), (HIGH, False, "off")):
        details = shop.client.get_boolean_details("new-checkout", not value, who(user))
        assert (details.value, details.variant, details.reason) == (value, variant, Reason.SPLIT)
        assert details.flag_metadata["arm"] == f"new-checkout:{variant}"
        assert details.flag_metadata["rollout"] == "shop-on-1"


def test_the_reason_says_why(shop: Shop) -> None:
    """A group, a kill, a promotion, nobody in particular."""
    shop.knows(msgspec.structs.replace(HALF, groups=("internal",)))
    chosen = shop.client.get_boolean_details("new-checkout", False, who(HIGH, "internal"))
    assert (chosen.value, chosen.reason) == (True, Reason.TARGETING_MATCH)
    assert "arm" not in chosen.flag_metadata
    unknown = shop.client.get_boolean_details("new-checkout", True)
    assert (unknown.value, unknown.reason) == (False, Reason.DEFAULT)
    shop.knows(KILLED)
    killed = shop.client.get_boolean_details("new-checkout", False, who(LOW))
    assert (killed.value, killed.variant, killed.reason) == (False, "off", Reason.DISABLED)
    shop.knows(msgspec.structs.replace(HALF, exposure=1.0, status=RolloutStatus.PROMOTED))
    promoted = shop.client.get_boolean_details("new-checkout", False, who(HIGH))
    assert (promoted.value, promoted.reason) == (True, Reason.STATIC)


@pytest.mark.parametrize(
    ("kind", "canary", "default", "value"),
    [
        ("string", "blue", "red", "blue"),
        ("integer", "7", 1, 7),
        ("integer", "b", 1, 7),
        ("float", "1.5", 1.0, 1.5),
        ("object", '{"columns": 2}', {}, {"columns": 2}),
        ("object", "o", [], {"columns": 3}),
    ],
)
def test_every_type_of_value(shop: Shop, kind: str, canary: str, default: Any, value: Any) -> None:
    """Read from the variant's name, or out of the service's own table."""
    state = msgspec.structs.replace(HALF, flag="price", canary=canary, baseline="", exposure=1.0)
    shop.knows(state)
    details = getattr(shop.client, f"get_{kind}_details")("price", default, who("ann"))
    assert (details.value, details.reason) == (value, Reason.SPLIT)
    shop.knows(msgspec.structs.replace(state, status=RolloutStatus.ABORTED))
    details = getattr(shop.client, f"get_{kind}_details")("price", default, who("ann"))
    assert (details.value, details.variant) == (default, "default")


def test_a_variant_that_is_no_such_value_gives_the_default(shop: Shop) -> None:
    """With the error TYPE_MISMATCH, and no arm."""
    shop.knows(msgspec.structs.replace(HALF, canary="blue", exposure=1.0))
    with collecting():
        details = shop.client.get_boolean_details("new-checkout", True, who(LOW))
        assert details.value is True
        assert details.error_code == "TYPE_MISMATCH"
        assert current_arm() == ""


def test_a_flag_nobody_spoke_of_has_the_default_of_the_code(shop: Shop) -> None:
    """It is no error: the code is there before its rollout."""
    details = shop.client.get_boolean_details("unheard", True, who(LOW))
    assert (details.value, details.reason, details.error_code) == (True, Reason.DEFAULT, None)


def test_a_service_without_an_api_runs_on_its_defaults() -> None:
    """Starting waits no longer than it was told, and every evaluation answers."""
    provider = CoalmineProvider("http://127.0.0.1:9", "shop", first_answer_within_s=0.2)
    openfeature.set_provider_and_wait(provider, "alone")
    details = openfeature.get_client("alone").get_boolean_details("new-checkout", True, who(LOW))
    assert (details.value, details.reason) == (True, Reason.DEFAULT)
    assert details.flag_metadata["is_heard"] is False
    openfeature.shutdown()
    openfeature.clear_providers()


def test_while_the_api_is_away_the_last_state_stays_and_says_so(shop: Shop) -> None:
    """STALE with the seconds; when the API is back, what it says then counts at once."""
    shop.knows(HALF)
    shop.api.stop()
    wait_until(lambda: shop.provider.rules.stale_since_s is not None, timeout_s=20, what="stale")
    details = shop.client.get_boolean_details("new-checkout", False, who(LOW))
    assert (details.value, details.reason) == (True, Reason.STALE)
    assert float(details.flag_metadata["stale_s"]) >= 0
    assert shop.client.get_provider_status() is ProviderStatus.STALE
    shop.api.tell(KILLED)
    shop.api.start()
    wait_until(lambda: not shop.is_on(LOW), timeout_s=20, what="the rollback is obeyed")
    details = shop.client.get_boolean_details("new-checkout", False, who(LOW))
    assert (details.value, details.reason) == (False, Reason.DISABLED)
    wait_until(
        lambda: shop.client.get_provider_status() is ProviderStatus.READY,
        timeout_s=20,
        what="ready",
    )


def test_an_api_that_does_not_know_is_as_good_as_none(shop: Shop) -> None:
    """503 while its own Kafka is away: the last state stays, stale."""
    shop.knows(HALF)
    shop.api.is_current = False
    shop.api.tell(KILLED)  # ends the poll
    wait_until(lambda: shop.provider.rules.stale_since_s is not None, timeout_s=20, what="stale")
    assert shop.is_on(LOW)


def test_a_rollback_is_obeyed_at_once(shop: Shop) -> None:
    """The poll that waits is answered with the change: prints how soon, of a hundred changes."""
    lags = []
    for _ in range(50):
        for state, value in ((HALF, True), (KILLED, False)):
            said_s = shop.api.tell(state)
            while shop.is_on(LOW) is not value:
                time.sleep(0.0005)
            lags.append(time.monotonic() - said_s)
    lags.sort()
    print(f"told to obeyed: median {lags[50] * 1000:.1f} ms, worst {lags[-1] * 1000:.1f} ms")
    assert lags[50] < 1.0, "half of them were not obeyed within a second"


def test_arms_are_of_the_request_at_hand(shop: Shop) -> None:
    """In tasks and in threads side by side, and gone with the request."""
    shop.knows(HALF)

    def handle(user: str) -> str:
        with collecting():
            shop.is_on(user)
            return current_arm()

    async def both() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(handle, u) for u in (LOW, HIGH) * 20))

    arms = ["new-checkout:on", "new-checkout:off"] * 20
    assert asyncio.run(both()) == arms
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(handle, (LOW, HIGH) * 20)) == arms
    shop.is_on(LOW)
    assert current_arm() == ""


def test_of_several_flags_the_arm_is_of_the_latest_rollout(shop: Shop) -> None:
    """A service has one rollout at a time; the others ended, or were compared before."""
    shop.knows(HALF)
    shop.knows(msgspec.structs.replace(HALF, flag="old", opened_at=3, exposure=1.0))
    with collecting():
        shop.is_on(LOW)
        shop.client.get_boolean_value("old", False, who(LOW))
        assert current_arm() == "new-checkout:on"


def test_a_log_line_names_the_arm(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Through a filter of the standard library's logging."""
    shop.knows(HALF)
    caplog.handler.addFilter(ArmFilter())
    with collecting(), caplog.at_level(logging.INFO):
        shop.is_on(LOW)
        logging.getLogger("shop").info("served")
    assert caplog.records[-1].arm == "new-checkout:on"  # type: ignore[attr-defined]


def test_a_forked_child_goes_on_following(shop: Shop) -> None:
    """Servers that load the application before they fork their workers."""
    shop.knows(HALF)
    from_child, to_parent = os.pipe()
    with warnings.catch_warnings():  # from 3.12 on: threads and fork are what this is about
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # the child: threads of the parent are not there
        wait_until(lambda: not shop.is_on(LOW), timeout_s=20, what="the rollback")
        os.write(to_parent, b"killed")
        os._exit(0)
    shop.api.tell(KILLED)
    assert os.read(from_child, 10) == b"killed"
    os.waitpid(child, 0)


def test_an_evaluation_costs_microseconds(shop: Shop) -> None:
    """Prints what it costs; nothing waits for the network, whatever the machine."""
    shop.knows(HALF)
    users = [who(str(n)) for n in range(2_000)]
    figures = {}
    for name, evaluate in (
        ("provider", lambda c: shop.provider.resolve_boolean_details("new-checkout", False, c)),
        ("client", lambda c: shop.client.get_boolean_value("new-checkout", False, c)),
    ):
        began_ns = time.perf_counter_ns()
        for context in users:
            evaluate(context)
        figures[name] = round((time.perf_counter_ns() - began_ns) / len(users))
    print(f"ns per evaluation: {json.dumps(figures)}")
    assert figures["provider"] < figures["client"]


@pytest.mark.parametrize("token", ["wall", "wrong"])
def test_the_api_wants_a_token(
    token: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that may read does; without it the service runs on its defaults, and its log says why."""
    is_heard = token == "wall"
    path = tmp_path / "tokens.yaml"
    write_tokens(path, {"wall": TokenEntry(Role.READ, hash_token("wall"))})
    api = FlagApi(Access(tokens=path))
    api.start()
    api.tell(HALF)
    provider = CoalmineProvider(api.url, "shop", token=token, first_answer_within_s=20)
    openfeature.set_provider_and_wait(provider, "tokens")
    found = openfeature.get_client("tokens").get_boolean_value("new-checkout", False, who(LOW))
    openfeature.shutdown()
    openfeature.clear_providers()
    api.stop()
    assert (found, provider.rules.is_heard) == (is_heard, is_heard)
    assert ("the API answers 401" in caplog.text) is not is_heard


def test_a_url_that_is_none_is_refused_at_once() -> None:
    """With what was expected and what was found."""
    with pytest.raises(ValueError, match="expected http://HOST"):
        CoalmineProvider("coalmine:8060", "shop")
