"""Secrets are replaced before a record reaches the spool."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.arrow import batch_from_records, records_from_batch
from contracts.records import Crash, Event, Frame, LogLine, Record, RecordKind
from ingest.app import _redaction_key
from ingest.key_blocks import KeyBlocks
from ingest.redact import Redactor, redactor_of
from ingest.redaction_rules import is_card
from ingest.settings import AgentConfig, RedactionSettings

REDACTOR = redactor_of(RedactionSettings(), b"key")
SECRETS = {
    "password": [
        "password=hunter2horse",
        'login {"user":1,"db_password":"hunter2horse","x":1}',
        r'"{\"api_key\": \"hunter2horse\"}"',
        "{'secret': b'hunter2horse'}",
        "password=SecretStr('hunter2horse') given",
        "X-Api-Key: hunter2horse",
        "AWS_SECRET_ACCESS_KEY=hunter2horse",
        "Authorization: Basic hunter2horse",
        "<token>hunter2horse</token>",
        "/back?access_token=hunter2horse&page=1",
        "access_token%3Dhunter2horse",
    ],
    "bearer": ["sent bearer hunter2horse.abcdef.ghijkl"],
    "url_password": ["postgres://app:hunter2horse@db:5432/shop", "https://u:a@hunter2horse@h/x"],
    "cookie": ["Set-Cookie: sid=hunter2horse; Path=/"],
    "aws_key": ["using AKIAHUNTER2HORSEABCD today"],
    "github_token": ["clone with ghp_hunter2horseabcdefghijkl0123456789"],
    "service_token": ["glpat-hunter2horseabcdefghi"],
    "jwt": ["got eyJhunter2horse0.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"],
    "email": ["hunter2horse@example.com.", "hunter2horse%40example.com", "hunter2horse@größe.de,"],
    "card": ["paid by 4111 1111 1111 1111 12/29", "card_378282246310005;", "5555-5555-5555-4444"],
    "private_key": [
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2horse\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\\nhunter2horse",
    ],
}  # fmt: skip
HARMLESS = [
    "InvalidTokenError: expired signature",
    "prompt_tokens: 512, max_tokens=100",
    "password reset done",
    "lodash@4.17.21 and java.lang.Object@1b6d3586",
    "at 1795428000000, 4111111111111112, ratio 0.4111111111111111",
    "trace 0af7651916cd43dd8448eb211c80319c in a4111111111111111b",
    "GET /cart?page=2&sort=price",
    "the monkey took the key",
]


@pytest.mark.parametrize(("rule", "text"), [(r, t) for r, ts in SECRETS.items() for t in ts])
def test_a_secret_is_replaced_and_counted(rule: str, text: str) -> None:
    """Every kind of secret is found where people write it, and counted under its rule."""
    found: Counter[str] = Counter()
    clean = REDACTOR.text(f"before {text} after", found)

    assert f"[redacted:{rule}]" in clean
    assert not any(s in clean.replace("-", " ") for s in ("hunter2", "1111", "3782", "5555"))
    assert clean.startswith("before ")
    assert found == {rule: 1}


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_stays(text: str) -> None:
    """What only looks like a secret stays as it is."""
    found: Counter[str] = Counter()

    assert REDACTOR.text(text, found) == text
    assert not found


def records() -> list[tuple[RecordKind, Record]]:
    """One record of each kind with a secret in every text."""
    email, now = "alice@example.com", 1
    return [
        (
            RecordKind.EVENTS,
            Event(
                time=now, service="shop", release="1", host=f"h {email}", name=email,
                route=f"/u/{email}?token=hunter2", user=email, session=email, trace=email,
            ),
        ),
        (
            RecordKind.LOGS,
            LogLine(
                time=now, service="shop", release="1", severity=email, message=f"m {email}",
                trace=email, attributes={"password": "hunter2", email: "x", "note": email},
            ),
        ),
        (
            RecordKind.CRASHES,
            Crash(
                time=now, service="shop", release="1", runtime=email, exception_type=email,
                exception_message=f"no {email}", stacktrace=f"a\n{email}\nDB_PASSWORD=hunter2",
                frames=[Frame(module=email, function=email, file=email, line=3, in_app=True)],
                thread=email, user=email, session=email, trace=email,
            ),
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("case", records(), ids=lambda case: case[0].value)
def test_every_text_of_a_record_is_looked_at(case: tuple[RecordKind, Record]) -> None:
    """No column, attribute or frame is forgotten, and the columns keep their types."""
    kind, record = case
    plain = Event(time=2, service="shop", release="1", route="/a", user="u-1")
    rows = [record, plain] if kind is RecordKind.EVENTS else [record]
    found: Counter[str] = Counter()
    batch = REDACTOR.batch(batch_from_records(kind, rows), found)
    batch.validate(full=True)
    back = records_from_batch(kind, batch)

    assert "alice" not in repr(back)
    assert "hunter2" not in repr(back)
    assert found["email"] >= 5
    assert kind is not RecordKind.EVENTS or back[1] == plain


def test_who_is_who_stays_countable() -> None:
    """Users become pseudonyms: the same for the same key, different for different users."""
    people = ["alice@example.com", "bob@example.com", "alice@example.com", "user-7"]
    events = [Event(time=1, service="s", release="1", user=p) for p in people]

    def users(redactor: Redactor) -> list[str]:
        batch = redactor.batch(batch_from_records(RecordKind.EVENTS, events), Counter())
        names: list[str] = batch.column("user").to_pylist()
        return names

    alice, bob, again, plain = users(REDACTOR)

    assert alice.startswith("[redacted:email:")
    assert alice == again != bob
    assert plain == "user-7"
    assert users(redactor_of(RedactionSettings(), b"other"))[0] != alice
    assert users(redactor_of(RedactionSettings(), b"key"))[0] == alice


def test_a_code_still_means_one_value() -> None:
    """Two routes that become equal share one entry of the dictionary, as readers expect."""
    events = [Event(time=1, service="s", release="1", route=f"/u/{n}@example.com") for n in "abc"]
    batch = REDACTOR.batch(batch_from_records(RecordKind.EVENTS, events), Counter())

    assert batch.column("route").dictionary.to_pylist() == ["/u/[redacted:email]"]


def test_routes_have_no_query() -> None:
    """What follows a path is cut and counted; without the rule it stays."""
    event = Event(time=1, service="s", release="1", route="/cart?page=1")
    batch = batch_from_records(RecordKind.EVENTS, [event])
    kept = redactor_of(RedactionSettings(without=("query",)), b"key").batch(batch, Counter())
    found: Counter[str] = Counter()

    assert REDACTOR.batch(batch, found).column("route").to_pylist() == ["/cart"]
    assert found == {"query": 1}
    assert kept.column("route").to_pylist() == ["/cart?page=1"]


def test_rules_are_switched_off_and_added_by_name() -> None:
    """A rule in ``without`` does nothing; an own one replaces under its own name."""
    own = RedactionSettings(without=("email",), rules={"customer": "cust-[0-9]{6}"})
    found: Counter[str] = Counter()
    clean = redactor_of(own, b"k").text("cust-123456 a@example.com", found)

    assert clean == "[redacted:customer] a@example.com"
    assert found == {"customer": 1}


def test_nothing_is_done_without_rules() -> None:
    """With every rule off a batch stays as it is."""
    batch = batch_from_records(RecordKind.LOGS, [LogLine(time=1, service="s", release="1")])

    assert Redactor([], b"k", cuts_queries=False).batch(batch, Counter()).equals(batch)


def test_a_dead_letter_quotes_no_half_of_a_secret() -> None:
    """The detail of a line with a secret may quote its first half, so it is left out."""
    quoted = REDACTOR.rejected("alice@exam", b"\xff alice@example.com", Counter())

    assert quoted == {"detail": "[redacted:detail]", "line": b"\xff [redacted:email]"}
    assert REDACTOR.rejected("status x", b"status=x", Counter())["detail"] == "status x"


def test_a_key_is_covered_over_lines() -> None:
    """The body of a private key goes, the lines around it stay, and so does their number."""
    body = ["aB3/" * 16, "xY9+" * 16, "c2hvcnQ="]
    lines = ["start", "-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----", "go on"]
    raw = [text.encode() for text in lines]
    whole = KeyBlocks().cover((1, 2), raw)
    blocks = KeyBlocks()
    singly = [blocks.cover((1, 2), [line])[0] for line in raw]
    resumed = KeyBlocks().cover((1, 2), raw[3:])

    assert whole == singly
    assert [w == r for w, r in zip(whole, raw, strict=True)] == [1, 1, 0, 0, 0, 1, 1]
    assert resumed[:2] == [b"[redacted:private_key]"] * 2
    assert KeyBlocks().cover((1, 2), [b"ab01" * 16]) == [b"ab01" * 16]


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_any_text_is_taken(text: str) -> None:
    """No text breaks the redaction, and what was redacted is not redacted again."""
    once = REDACTOR.text(text, Counter())

    assert REDACTOR.text(once, Counter()) == once
    assert bool(REDACTOR.line(text.encode(), Counter())) == bool(text)


@given(st.integers(10**14, 10**15 - 1))
def test_check_digits_agree_with_their_definition(number: int) -> None:
    """Of the ten numbers that differ in the last digit exactly one can be a card."""
    cards = [d for d in range(10) if is_card(f"4{number}{d}")]

    assert len(cards) <= 1 if len(f"4{number}0") != 16 else len(cards) == 1


@pytest.mark.parametrize(
    "unit", ["a@", "a.", "password=", "1 ", "4111 ", "eyJ", "-----BEGIN PRIVATE KEY-----", "://:"]
)
def test_time_grows_with_the_length_only(unit: str) -> None:
    """A text made to hurt regular expressions costs at most a few times an ordinary one's work."""

    def cost(length: int) -> float:
        text = (unit * length)[:length]
        began = time.process_time()
        REDACTOR.text(text, Counter())
        return time.process_time() - began

    cost(1000)
    short, long = cost(20_000), cost(400_000)
    assert long < 20 * 10 * max(short, 0.002)


def test_the_key_of_pseudonyms_stays(tmp_path: Path) -> None:
    """An agent keeps its key, for its owner only; a configured one comes from its reference."""
    own = AgentConfig(state_dir=tmp_path)
    first = _redaction_key(own, tmp_path / "agent.yaml")
    (tmp_path / "shared").write_text("of all agents", encoding="utf-8")
    shared = RedactionSettings(key=f"${{file:{tmp_path / 'shared'}}}")
    configured = AgentConfig(state_dir=tmp_path, redaction=shared)

    assert _redaction_key(own, tmp_path / "agent.yaml") == first
    assert (tmp_path / "redaction.key").stat().st_mode & 0o777 == 0o600
    assert len(first) == 64
    assert _redaction_key(configured, tmp_path / "agent.yaml") == b"of all agents"
