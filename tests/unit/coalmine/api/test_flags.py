"""What services are told of their flags."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from coalmine.api.access import Access
from coalmine.api.flag_board import FlagBoard
from contracts import topics
from contracts.errors import InvalidRecord
from contracts.flags import FlagState, FlagStates
from contracts.results import RolloutStatus
from tests.unit.coalmine.api.conftest import Api

PATH = "/v1/flags/shop"
HALF = FlagState(flag="new-cart", service="shop", canary="on", exposure=0.5, version=1)
KILLED = msgspec.structs.replace(HALF, exposure=0, status=RolloutStatus.ROLLING_BACK, version=3)


def tell(api: Api, *states: FlagState) -> None:
    """What comes from Kafka."""
    for state in states:
        api.board.take(topics.FLAGS.name, msgspec.json.encode(state))


async def test_a_service_is_told_its_flags_and_no_others(api: Api) -> None:
    """To whoever may read; a service without flags has an empty list."""
    tell(
        api,
        HALF,
        msgspec.structs.replace(HALF, flag="a"),
        msgspec.structs.replace(HALF, service="x"),
    )
    async with api.client("wall") as client:
        found = await client.get(PATH)
        nothing = await client.get("/v1/flags/team/unknown")
    states = msgspec.json.decode(found.content, type=FlagStates)
    assert (states.service, [state.flag for state in states.flags]) == ("shop", ["a", "new-cart"])
    assert nothing.json() == {"service": "team/unknown", "flags": []}


async def test_the_tag_stays_while_nothing_changes_for_services(api: Api) -> None:
    """Every look brings a new version of a state that says the same."""
    tell(api, HALF)
    async with api.client() as client:
        etag = (await client.get(PATH)).headers["etag"]
        tell(api, msgspec.structs.replace(HALF, version=2))
        same = await client.get(PATH, headers={"if-none-match": etag})
        tell(api, KILLED)
        other = await client.get(PATH, headers={"if-none-match": etag})
    assert (same.status_code, same.content) == (304, b"")
    assert (other.status_code, other.json()["flags"][0]["status"]) == (200, "rolling_back")


async def test_who_waits_is_told_at_once(api: Api) -> None:
    """Two that wait are both answered with the change, long before their time is over."""
    tell(api, HALF)
    async with api.client() as client:
        etag = (await client.get(PATH)).headers["etag"]
        began_s = time.monotonic()
        polls = [
            asyncio.create_task(client.get(f"{PATH}?wait=60", headers={"if-none-match": etag}))
            for _ in range(2)
        ]
        await asyncio.sleep(0.1)
        tell(api, msgspec.structs.replace(HALF, service="other"))
        assert not any(poll.done() for poll in polls)
        tell(api, KILLED)
        for poll in polls:
            assert (await poll).status_code == 200
    assert time.monotonic() - began_s < 60


async def test_who_waits_in_vain_is_told_so(api: Api) -> None:
    """304, or 503 where Kafka went away meanwhile: nobody knows whether it still holds."""
    async with api.client() as client:
        etag = (await client.get(PATH)).headers["etag"]
        poll = await client.get(f"{PATH}?wait=0.05", headers={"if-none-match": etag})
        assert poll.status_code == 304
        waiting = asyncio.create_task(
            client.get(f"{PATH}?wait=0.3", headers={"if-none-match": etag})
        )
        await asyncio.sleep(0.05)
        api.is_current = False
        assert (await waiting).status_code == 503
        assert (await client.get(PATH)).status_code == 503


async def test_a_token_is_asked_for(api: Api) -> None:
    """Unless the API is open; and nobody may wait for ever."""
    async with api.client(token="") as client:
        assert (await client.get(PATH)).status_code == 401
    async with Api(Access(is_open=True)).client(token="") as client:
        assert (await client.get(PATH)).status_code == 200
        assert (await client.get(f"{PATH}?wait=61")).status_code == 422


def test_an_older_copy_changes_nothing() -> None:
    """A worker that was wedged writes what it thought before."""
    board = FlagBoard()
    for state in (KILLED, HALF):
        board.take(msgspec.json.encode(state))
    told = msgspec.json.decode(board.told("shop").body, type=FlagStates)
    assert told.flags[0].is_killed


def test_a_board_forgets_what_it_heard_of_first() -> None:
    """When there are too many."""
    board = FlagBoard(most=2)
    for name in "abc":
        board.take(msgspec.json.encode(msgspec.structs.replace(HALF, flag=name)))
    told = msgspec.json.decode(board.told("shop").body, type=FlagStates)
    assert [state.flag for state in told.flags] == ["b", "c"]


def test_what_is_no_state_is_set_aside(api: Api) -> None:
    """With its reason."""
    with pytest.raises(InvalidRecord, match="not a known document"):
        api.board.take(topics.FLAGS.name, b"{}")
