"""Every route of the API over a board: what it answers, and what it sends."""

from __future__ import annotations

from typing import Any

import pytest

from coalmine.api.access import Access
from contracts.results import Answer, AnswerCode, RolloutCommand, RolloutStatus
from tests.support.results import (
    OPENED_AT,
    ROLLOUT,
    answer,
    decision,
    delivery,
    promoted,
    regressed,
    verdict,
)
from tests.unit.coalmine.api.conftest import Api
from tests.unit.coalmine.api.test_board import tell

LIST = "/v1/rollouts"
START = {"service": "checkout", "canary": "1.5.0", "baseline": "1.4.2", "reason": "build 7"}


def answering(code: AnswerCode) -> Any:
    """A judge that gives every command the same code."""

    def reply(command: RolloutCommand) -> Answer:
        return answer(code, id=command.id, action=command.action, service=command.service)

    return reply


async def test_a_start_is_sent_and_answered(api: Api) -> None:
    """The command says who asks; the judge's answer is the body."""
    api.judge.answers = answering(AnswerCode.ACCEPTED)
    async with api.client() as client:
        found = await client.post(LIST, json=START, headers={"idempotency-key": "build-7"})
    assert found.status_code == 201
    assert found.json()["rollout"] == ROLLOUT
    (command,) = api.judge.commands
    assert (command.id, command.requested_by) == ("ci/checkout/build-7", "ci")
    assert (command.canary, command.baseline, command.time) == ("1.5.0", "1.4.2", OPENED_AT)


async def test_the_same_key_is_one_request(api: Api) -> None:
    """A repetition gets the same answer and sends nothing; another request under it is refused."""
    api.judge.answers = answering(AnswerCode.ACCEPTED)
    headers = {"idempotency-key": "build-7"}
    async with api.client() as client:
        first = await client.post(LIST, json=START, headers=headers)
        again = await client.post(LIST, json=START, headers=headers)
        other = await client.post(LIST, json={**START, "canary": "1.6.0"}, headers=headers)
        abort = await client.post(f"{LIST}/checkout/abort", json={}, headers=headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert [other.status_code, abort.status_code] == [422, 422]
    assert len(api.judge.commands) == 1


@pytest.mark.parametrize(
    ("path", "body", "action"),
    [
        ("phase", {"phase": "all"}, "phase"),
        ("hold", {}, "hold"),
        ("resume", {}, "resume"),
        ("abort", {"reason": "wrong build"}, "abort"),
        ("override", {"action": "promote", "reason": "we know"}, "promote"),
        ("override", {"action": "rollback", "reason": "we know"}, "rollback"),
    ],
)
async def test_an_open_rollout_is_steered(
    api: Api, path: str, body: dict[str, str], action: str
) -> None:
    """Each word becomes one command; a service's name may hold a slash."""
    api.judge.answers = answering(AnswerCode.ACCEPTED)
    async with api.client() as client:
        found = await client.post(f"{LIST}/shop/checkout/{path}", json=body)
    assert found.status_code == 200, found.text
    (command,) = api.judge.commands
    assert (command.service, command.action) == ("shop/checkout", action)
    assert command.reason == body.get("reason", "")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (AnswerCode.ACCEPTED, 201),
        (AnswerCode.REPLACED, 201),
        (AnswerCode.ALREADY_OPEN, 200),
        (AnswerCode.NO_OPEN_ROLLOUT, 404),
        (AnswerCode.RUNNING_RELEASE, 409),
        (AnswerCode.COOLDOWN, 409),
        (AnswerCode.CLOCK_SKEW, 409),
        (AnswerCode.NOT_NOW, 409),
        (AnswerCode.UNKNOWN_PHASE, 422),
        (AnswerCode.REASON_MISSING, 422),
    ],
)
async def test_each_code_has_a_status(api: Api, code: AnswerCode, status: int) -> None:
    """And the answer is the body in any case."""
    api.judge.answers = answering(code)
    async with api.client() as client:
        found = await client.post(LIST, json=START)
    assert (found.status_code, found.json()["code"]) == (status, code)


async def test_a_judge_that_does_not_answer_is_told(tokens: Any) -> None:
    """504 with the command's id; the answer that comes later can be asked for."""
    api = Api(Access(tokens=tokens), patience_s=0.01)
    async with api.client() as client:
        late = await client.post(LIST, json=START)
        command = late.json()["command"]
        unknown = await client.get(f"/v1/answers/{command}")
        tell(api.board, answer(id=command))
        known = await client.get(f"/v1/answers/{command}")
    assert [late.status_code, unknown.status_code, known.status_code] == [504, 404, 200]


async def test_who_does_not_wait_gets_the_commands_id(api: Api) -> None:
    """RFC 7240's word for it."""
    async with api.client() as client:
        found = await client.post(LIST, json=START, headers={"prefer": "respond-async"})
    assert found.status_code == 202
    assert found.json() == {"command": api.judge.commands[0].id}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (LIST, {"service": "checkout"}),
        (LIST, {**START, "relase": "1.5.0"}),
        (LIST, {**START, "service": ""}),
        (LIST, []),
        (f"{LIST}/checkout/phase", {}),
        (f"{LIST}/checkout/override", {"action": "hold", "reason": "x"}),
        (f"{LIST}/checkout/override", {"action": "promote"}),
        (f"{LIST}/checkout/override", {"action": "promote", "reason": "  "}),
    ],
)
async def test_a_wrong_body_is_refused_in_one_sentence(api: Api, path: str, body: Any) -> None:
    """With the field; nothing is sent."""
    async with api.client() as client:
        found = await client.post(path, json=body)
    assert found.status_code == 422
    assert found.json()["error"].startswith("body: ")
    assert api.judge.commands == []


async def test_bodies_and_keys_are_bounded(api: Api) -> None:
    """Nobody fills the memory of the process, or an id of a document."""
    async with api.client() as client:
        large = await client.post(
            LIST, content=b"x" * 70_000, headers={"content-type": "application/json"}
        )
        key = await client.post(LIST, json=START, headers={"idempotency-key": "k" * 300})
    assert [large.status_code, key.status_code] == [413, 422]


async def test_what_is_out_of_date_is_not_told(api: Api) -> None:
    """While Kafka is away, or not yet read, the answer is 503 and when to come again."""
    tell(api.board, promoted())
    api.is_current = False
    async with api.client() as client:
        for path in (LIST, f"{LIST}/{ROLLOUT}", "/v1/verdict?service=checkout&release=1.5.0"):
            found = await client.get(path)
            assert (found.status_code, found.headers["retry-after"]) == (503, "2")
        assert (await client.post(LIST, json=START)).status_code == 503
        api.is_current, api.judge.is_away = True, True
        assert (await client.post(LIST, json=START)).status_code == 503


async def test_rollouts_are_listed_and_shown(api: Api) -> None:
    """The latest first, those under way alone where asked; one with all that is known of it."""
    tell(api.board, promoted(rollout="old", opened_at=1), regressed(), decision(), answer())
    async with api.client("wall") as client:
        every = (await client.get(LIST, params={"service": "checkout"})).json()["rollouts"]
        under_way = (await client.get(LIST, params={"open": "true"})).json()["rollouts"]
        one = (await client.get(f"{LIST}/{ROLLOUT}")).json()
        nothing = await client.get(f"{LIST}/none")
        wrong = await client.get(LIST, params={"limit": "0"})
    assert [state["rollout"] for state in every] == [ROLLOUT, "old"]
    assert [state["rollout"] for state in under_way] == [ROLLOUT]
    assert one["state"]["result"] == "regressed"
    assert one["verdict"]["service.name"] == "checkout"
    assert [found["id"] for found in one["decisions"] + one["answers"]] == [
        decision().id,
        answer().id,
    ]
    assert [nothing.status_code, wrong.status_code] == [404, 422]
    assert wrong.json()["error"].startswith("limit: ")


async def test_a_verdict_has_the_shape_of_a_web_metric(api: Api) -> None:
    """Flat names that a jsonPath finds; a release without a rollout has no data, which is no
    error.
    """
    query = {"service": "checkout", "release": "1.5.0"}
    async with api.client("wall") as client:
        nothing = await client.get("/v1/verdict", params=query)
        tell(api.board, verdict(phase="all"))
        running = await client.get("/v1/verdict", params=query)
        phase = await client.get("/v1/verdict", params={**query, "phase": "employees"})
        tell(api.board, regressed())
        bad = await client.get("/v1/verdict", params=query)
        other = await client.get("/v1/verdict", params={**query, "rollout": "other"})
        missing = await client.get("/v1/verdict", params={"service": "checkout"})
    assert (nothing.status_code, nothing.json()["result"]) == (200, "no_data")
    assert [f.json()["result"] for f in (running, phase)] == ["inconclusive", "healthy"]
    found = bad.json()
    assert (found["result"], found["is_final"]) == ("regressed", True)
    assert (found["service"], found["release"]) == ("checkout", "1.5.0")
    assert (found["guilty_metric"], found["relative_risk"]["estimate"]) == ("error_rate", 1.2)
    assert other.json()["result"] == "no_data"
    assert missing.status_code == 422


async def test_a_decision_is_explained(api: Api) -> None:
    """With the rollout's last verdict and every attempt; its id holds slashes."""
    tell(api.board, regressed(), decision(), delivery(1), delivery(2))
    async with api.client("wall") as client:
        found = await client.get(f"/v1/decisions/{decision().id}")
        nothing = await client.get("/v1/decisions/none")
    assert found.status_code == 200
    assert found.json()["verdict"]["rollout"] == ROLLOUT
    assert [one["attempt"] for one in found.json()["deliveries"]] == [1, 2]
    assert nothing.status_code == 404


async def _hooks(api: Api, **hook: Any) -> dict[str, int]:
    """What each of Flagger's hooks is answered."""
    body = {"name": "checkout", "namespace": "prod", "phase": "Progressing", **hook}
    async with api.client("wall") as client:
        return {
            name: (await client.post(f"/v1/flagger/{name}", json=body)).status_code
            for name in ("rollback", "confirm-promotion", "rollout")
        }


NOTHING = {"rollback": 403, "confirm-promotion": 403, "rollout": 200}
BAD = {"rollback": 200, "confirm-promotion": 403, "rollout": 403}
GOOD = {"rollback": 403, "confirm-promotion": 200, "rollout": 200}


async def test_flagger_is_told_of_the_release_it_names(api: Api) -> None:
    """Nothing known and undecided: go on, do not promote; regressed: roll back; promoted: yes."""
    named = {"metadata": {"release": "1.5.0"}}
    assert await _hooks(api, **named) == NOTHING
    tell(api.board, verdict())
    assert await _hooks(api, **named) == NOTHING
    tell(api.board, regressed())
    assert await _hooks(api, **named) == BAD
    tell(api.board, promoted(rollout="b", canary="1.6.0"))
    assert await _hooks(api, metadata={"release": "1.6.0"}) == GOOD
    assert (
        await _hooks(api, name="cart", metadata={"service": "checkout", "release": "1.6.0"}) == GOOD
    )


async def test_flagger_is_not_told_of_the_revision_before(api: Api) -> None:
    """Where no release is named, an ended rollout counts only for the revision that saw it open."""
    tell(api.board, verdict())
    assert await _hooks(api, checksum="one") == NOTHING
    tell(api.board, regressed(status=RolloutStatus.ROLLED_BACK))
    assert await _hooks(api, checksum="one") == BAD
    assert await _hooks(api, checksum="two") == NOTHING
    tell(api.board, verdict(rollout="b", canary="1.6.0", opened_at=OPENED_AT + 1))
    assert await _hooks(api, checksum="two") == NOTHING
    tell(api.board, promoted(rollout="b", canary="1.6.0", opened_at=OPENED_AT + 1))
    assert await _hooks(api, checksum="two") == GOOD


async def test_the_document_describes_every_route(api: Api) -> None:
    """OpenAPI with typed bodies and answers; each reference leads somewhere, no page of another
    host is needed.
    """
    async with api.client("") as client:
        document = (await client.get("/openapi.json")).json()
        assert (
            await client.get("/docs", headers={"authorization": "Bearer ci"})
        ).status_code == 404
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    references = set(_references(document))
    assert references <= {f"#/components/schemas/{name}" for name in schemas}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            good = [r for status, r in operation["responses"].items() if status.startswith("2")]
            assert good, path
            assert all("$ref" in r["content"]["application/json"]["schema"] for r in good), path
            assert method == "get" or "requestBody" in operation, path
    assert schemas["State"]["properties"]["result"] == {"$ref": "#/components/schemas/Result"}


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []
