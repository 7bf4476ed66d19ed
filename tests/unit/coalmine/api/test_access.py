"""The door of the API: every way in, and every way that is none."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from coalmine.api.access import Access, check_access
from coalmine.api.tokens import (
    LOCAL,
    Role,
    TokenEntry,
    Tokens,
    hash_token,
    local_tokens,
    new_token,
    read_tokens,
    write_tokens,
)
from contracts.errors import ConfigError
from contracts.kept_files import write_private
from dashboard.access.settings import Place
from tests.unit.coalmine.api.conftest import Api

LIST = "/v1/rollouts"
START = {"service": "checkout", "canary": "1.5.0"}


async def test_only_a_known_token_opens(api: Api) -> None:
    """None, a wrong one and another scheme are refused alike; the document of the API is public."""
    async with api.client("") as client:
        answers = [
            await client.get(LIST),
            await client.get(LIST, headers={"authorization": "Bearer nobody"}),
            await client.get(LIST, headers={"authorization": "Basic Y2k="}),
            await client.get(LIST, headers={"authorization": "Digest ci"}),
            await client.get(LIST, headers=[(b"authorization", b"Bearer \xff")]),
        ]
        document = await client.get("/openapi.json")
    assert [answer.status_code for answer in answers] == [401] * 5
    assert answers[0].headers["www-authenticate"].startswith("Bearer")
    assert document.status_code == 200


async def test_a_token_may_come_as_a_password(api: Api) -> None:
    """Tools that know no header put it into the address."""
    basic = base64.b64encode(b"anybody:ci").decode()
    async with api.client("") as client:
        answer = await client.get(LIST, headers={"authorization": f"Basic {basic}"})
    assert answer.status_code == 200


async def test_a_token_to_read_cannot_steer(api: Api) -> None:
    """It is told so; nothing is sent."""
    async with api.client("wall") as client:
        assert (await client.get(LIST)).status_code == 200
        answer = await client.post(LIST, json=START)
    assert answer.status_code == 403
    assert "operate" in answer.json()["error"]
    assert api.judge.commands == []


async def test_wrong_tokens_are_slowed_down(api: Api) -> None:
    """Ten in five minutes from one address; others, right tokens and later tries are not hit."""
    async with api.client("wrong") as client:
        statuses = [(await client.get(LIST)).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    async with api.client("wrong", address="10.0.0.9") as client:
        assert (await client.get(LIST)).status_code == 401
    async with api.client("ci") as client:
        assert (await client.get(LIST)).status_code == 200
    api.clock.advance(301)
    async with api.client("wrong") as client:
        assert (await client.get(LIST)).status_code == 401


async def test_a_removed_token_is_shut_out_at_once(api: Api, tokens: Path) -> None:
    """The file is read again when it changes; a broken one changes nothing."""
    async with api.client("ci") as client:
        write_private(tokens, "tokens: [")
        assert (await client.get(LIST)).status_code == 200
        write_tokens(tokens, {})
        assert (await client.get(LIST)).status_code == 401


async def test_an_open_api_answers_this_machine_alone() -> None:
    """No name of another host, and no page of another site: a browser would send both."""
    api = Api(Access(is_open=True))
    async with api.client("") as client:
        assert (await client.get(LIST)).status_code == 200
        for headers in (
            {"host": "evil.example:8060"},
            {"sec-fetch-site": "cross-site"},
            {"origin": "https://evil.example"},
        ):
            assert (await client.get(LIST, headers=headers)).status_code == 403, headers
        form = await client.post(LIST, content='{"service": "a"}')
    assert form.status_code == 415


@pytest.mark.parametrize(
    ("host", "access"),
    [
        ("127.0.0.1", Access()),
        ("0.0.0.0", Access(is_open=True)),  # noqa: S104 - is refused
        ("127.0.0.1", Access(tokens=Path("tokens.yaml"), is_open=True)),
    ],
)
def test_what_would_let_strangers_in_is_refused(host: str, access: Access) -> None:
    """Without tokens it must be asked for, and only on loopback."""
    with pytest.raises(ConfigError):
        check_access(Place(host, 8060), access)


def test_tokens_are_long_and_only_their_hash_is_kept(tmp_path: Path) -> None:
    """256 bits, another one each time; the file is its owner's alone."""
    made, path = new_token(), tmp_path / "tokens.yaml"
    write_tokens(path, {"ci": TokenEntry(Role.READ, hash_token(made.reveal()))})
    assert made != new_token()
    assert len(made.reveal()) > 43
    assert made.reveal() not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o077 == 0
    caller = Tokens(path).caller(made.reveal())
    assert caller is not None
    assert (caller.name, caller.role) == ("ci", Role.READ)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """A token that is not hashed is an error, and not shown."""
    path = tmp_path / "tokens.yaml"
    path.write_text("tokens: {ci: {role: read, sha256: hunter2}}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_tokens(path)
    assert caught.value.field == "tokens.ci.sha256"
    assert "hunter2" not in str(caught.value)


def test_the_local_token_is_made_once(tmp_path: Path) -> None:
    """Commands on this machine find it; the tokens of others stay."""
    tokens, token = tmp_path / "api" / "tokens.yaml", tmp_path / "api" / "token"
    local_tokens(tokens, token)
    made = token.read_text(encoding="utf-8")
    write_tokens(tokens, {**read_tokens(tokens), "ci": TokenEntry(Role.READ, hash_token("ci"))})
    local_tokens(tokens, token)
    assert token.read_text(encoding="utf-8") == made
    assert set(read_tokens(tokens)) == {LOCAL, "ci"}
    caller = Tokens(tokens).caller(made)
    assert caller is not None
    assert caller.role is Role.OPERATE
    token.unlink()
    local_tokens(tokens, token)
    assert Tokens(tokens).caller(token.read_text(encoding="utf-8")) is not None
    assert Tokens(tokens).caller(made) is None
