"""The gate before the dashboard, without a browser: every way in, and every way that is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.clock import ManualClock
from contracts.config import Secret
from contracts.errors import ConfigError
from dashboard.access.attempts import MOST_OF_AN_ADDRESS
from dashboard.access.gate import COOKIE, SECURE_COOKIE, Gate
from dashboard.access.login_page import login_page, safe_target
from dashboard.access.settings import Access, Place, check_place, networks, session_key
from dashboard.access.users import Users, hash_password, read_users, write_users

PASSWORD = "right horse battery"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes cost a tenth of a second on purpose; there are many here."""
    monkeypatch.setattr("dashboard.access.users._METHOD", "scrypt:1024:8:1")


async def behind(scope: Any, _: Any, send: Any) -> None:
    """What the gate lets through to."""
    del scope
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"behind the gate"})


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A file with one user."""
    path = tmp_path / "users.yaml"
    write_users(path, {"alice": hash_password(Secret(PASSWORD))})
    return path


def client_of(access: Access, host: str = "127.0.0.1", client: str = "127.0.0.1") -> Any:
    """A browser before a gate; cookies stay between its requests."""
    gate: Any = Gate(behind, Place(host, 8050, access), ManualClock(now_ms=0))
    transport = httpx.ASGITransport(app=gate, client=(client, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8050")


async def login(client: httpx.AsyncClient, password: str = PASSWORD, **form: str) -> httpx.Response:
    """Send the form."""
    return await client.post("/login", data={"user": "alice", "password": password, **form})


async def test_a_stranger_is_asked_for_a_login(users: Path) -> None:
    """Pages lead to the login and back; data are refused; only the health is told."""
    async with client_of(Access(users=users)) as client:
        page = await client.get("/s/shop/r/2?x=1", headers={"accept": "text/html"})
        data = await client.post("/_dash-update-component", json={})
        health = await client.get("/healthz")
        form = await client.get(page.headers["location"])

    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=%2Fs%2Fshop%2Fr%2F2%3Fx%3D1"
    assert (data.status_code, health.status_code, form.status_code) == (401, 200, 200)
    assert 'value="/s/shop/r/2?x=1"' in form.text


async def test_login_and_logout(users: Path) -> None:
    """The right password opens, its cookie is closed to scripts, and a logout ends it for good."""
    async with client_of(Access(users=users)) as client:
        wrong = await login(client, "wrong horse battery")
        right = await login(client, next="/s/shop/r/2")
        inside = await client.get("/")
        who = (await client.get("/whoami")).json()
        cookie = client.cookies[COOKIE]
        await client.post("/logout")
        client.cookies.set(COOKIE, cookie, domain="127.0.0.1")
        stolen = await client.get("/")

    assert wrong.status_code == 401
    assert "do not fit" in wrong.text
    assert (right.status_code, right.headers["location"]) == (303, "/s/shop/r/2")
    assert {"httponly", "samesite=lax", "path=/"} <= set(
        right.headers["set-cookie"].lower().split("; ")
    )
    assert inside.text == "behind the gate"
    assert who == {"user": "alice", "role": "read", "can_sign_out": True}
    assert stolen.status_code == 401


async def test_a_new_password_and_a_removal_end_sessions(users: Path) -> None:
    """What is written into the file counts at once, for sessions under way too."""
    async with client_of(Access(users=users)) as client:
        await login(client)
        before = await client.get("/")
        write_users(users, {"alice": hash_password(Secret("another horse"))})
        changed = await client.get("/")
        await login(client, "another horse")
        again = await client.get("/")
        write_users(users, {})
        removed = await client.get("/")

    assert [r.status_code for r in (before, changed, again, removed)] == [200, 401, 200, 401]


async def test_forged_cookies_open_nothing(users: Path) -> None:
    """Neither garbage nor the cookie of another dashboard's key is taken."""
    async with client_of(Access(users=users)) as other:
        await login(other)
        foreign = other.cookies[COOKIE]
    async with client_of(Access(users=users)) as client:
        for cookie in (foreign, foreign[:-2], "x", ""):
            client.cookies.set(COOKIE, cookie, domain="127.0.0.1")
            assert (await client.get("/")).status_code == 401


async def test_guessing_is_slowed(users: Path) -> None:
    """After some failures even the right password must wait."""
    async with client_of(Access(users=users)) as client:
        for _ in range(MOST_OF_AN_ADDRESS):
            assert (await login(client, "guess")).status_code == 401
        assert (await login(client)).status_code == 429


async def test_guessing_behind_a_proxy_blocks_the_guesser_only(users: Path) -> None:
    """The address that counts is the one the proxy saw, not what its client claims before it."""
    access = Access(users=users, proxies=networks(["10.0.0.1"]))
    form = {"user": "bob", "password": "guess"}
    async with client_of(access, client="10.0.0.1") as client:
        for claim in range(MOST_OF_AN_ADDRESS):
            told = {"x-forwarded-for": f"192.0.2.{claim}, 198.51.100.7"}
            assert (await client.post("/login", data=form, headers=told)).status_code == 401
        told = {"x-forwarded-for": "192.0.2.99, 198.51.100.7"}
        blocked = await client.post("/login", data=form, headers=told)
        other = await client.post("/login", data=form, headers={"x-forwarded-for": "192.0.2.1"})

    assert (blocked.status_code, other.status_code) == (429, 401)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site", "origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://127.0.0.1:8050"}, 200),
        ({}, 200),
    ],
)
async def test_pages_of_other_sites_may_not_ask(headers: dict[str, str], status: int) -> None:
    """A request that another site's page makes a browser send is refused, login or not."""
    async with client_of(Access()) as client:
        found = await client.post("/_dash-update-component", json={}, headers=headers)

    assert found.status_code == status


@pytest.mark.parametrize(
    ("host", "is_open", "status"),
    [
        ("localhost:8050", False, 200),
        ("[::1]:8050", False, 200),
        ("evil.example:8050", False, 403),
        ("", False, 403),
        ("monitor.example", True, 200),
    ],
)
async def test_a_name_that_only_leads_here_is_refused(
    host: str,
    is_open: bool,  # noqa: FBT001 - a case
    status: int,
) -> None:
    """Without a login a site cannot read the dashboard by pointing its own name at loopback."""
    async with client_of(Access(is_open=is_open)) as client:
        assert (await client.get("/", headers={"host": host})).status_code == status


async def test_a_proxy_names_the_user() -> None:
    """Its header counts; from anyone else it counts for nothing."""
    access = Access(proxies=networks(["10.0.0.0/8"]), user_header="x-forwarded-user")
    header = {"x-forwarded-user": "bob"}
    async with client_of(access, client="10.1.2.3") as proxy:
        named = await proxy.get("/whoami", headers=header)
        nameless = await proxy.get("/")
    async with client_of(access, client="192.0.2.1") as other:
        forged = await other.get("/", headers=header)

    assert named.json() == {"user": "bob", "role": "read", "can_sign_out": False}
    assert nameless.status_code == 401
    assert forged.status_code == 403


async def test_behind_tls_the_cookie_is_secure(users: Path) -> None:
    """A trusted proxy that says https gets a cookie that never travels without it."""
    access = Access(users=users, proxies=networks(["10.0.0.1"]))
    told = {"x-forwarded-proto": "https"}
    form = {"user": "alice", "password": PASSWORD}
    async with client_of(access, client="10.0.0.1") as proxy:
        secure = await proxy.post("/login", data=form, headers=told)
    async with client_of(access, client="10.0.0.2") as stranger:
        plain = await stranger.post("/login", data=form, headers=told)

    assert secure.headers["set-cookie"].startswith(f"{SECURE_COOKIE}=")
    assert "; Secure" in secure.headers["set-cookie"]
    assert "Secure" not in plain.headers["set-cookie"]


@pytest.mark.parametrize(
    ("host", "access", "words"),
    [
        ("0.0.0.0", Access(), "--users FILE"),  # noqa: S104 - the case
        ("192.0.2.1", Access(), "--users FILE"),
        ("monitor.example", Access(), "--users FILE"),
        ("127.0.0.1", Access(user_header="x-user"), "needs --proxy"),
    ],
)
def test_strangers_are_not_let_in_by_accident(host: str, access: Access, words: str) -> None:
    """Another address than loopback needs a login, or the plain word that it shall be open."""
    with pytest.raises(ConfigError, match=words):
        check_place(Place(host, 8050, access))


def test_what_may_be_listened_on(users: Path) -> None:
    """Loopback without login, anything with one, and anything when it was asked for."""
    check_place(Place("127.0.0.1", 1))
    check_place(Place("::1", 1))
    check_place(Place("0.0.0.0", 1, Access(users=users)))  # noqa: S104 - the case
    check_place(Place("0.0.0.0", 1, Access(is_open=True)))  # noqa: S104 - the case


def test_a_password_in_clear_is_refused_and_not_shown(tmp_path: Path) -> None:
    """Only hashes may stand in the file."""
    path = tmp_path / "users.yaml"
    path.write_text("users: {alice: hunter2}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_users(path)

    assert "coalmine dashboard users add" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_file_is_for_its_owner(users: Path) -> None:
    """Nobody else reads the hashes; an unknown user has no password."""
    known = Users(users)

    assert users.stat().st_mode & 0o777 == 0o600
    assert known.check("alice", Secret(PASSWORD))
    assert not known.check("bob", Secret(PASSWORD))
    assert not known.check("bob", Secret("nobody has this password"))


def test_keys_have_a_length(tmp_path: Path) -> None:
    """A key that can be guessed is refused; without a file each process has its own."""
    path = tmp_path / "key"
    path.write_text("short", encoding="utf-8")
    with pytest.raises(ConfigError, match="32 characters"):
        session_key(Access(key_file=path))

    assert session_key(Access()) != session_key(Access())


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/login", "x", "/a\r\nb"],
)
def test_a_login_leads_nowhere_else(target: str) -> None:
    """A link to the login cannot carry its reader away."""
    assert safe_target(target) == "/"


def test_the_login_page_escapes() -> None:
    """What was typed never becomes markup."""
    page = login_page('/"><script>', user='"><img>', error="<b>")

    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
