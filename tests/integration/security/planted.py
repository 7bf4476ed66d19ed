"""Secrets that a test plants where services and operators leave them, and looks for everywhere."""

from __future__ import annotations

import base64
import json
import random
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.redaction_rules import is_card


@dataclass(frozen=True)
class Planted:
    """Where a secret was put, and the words that no output may hold."""

    words: dict[str, str] = field(default_factory=dict)

    def word(self, place: str) -> str:
        """A new word, unlike anything else."""
        return self.words.setdefault(place, "zq" + secrets.token_hex(12))

    def token(self, prefix: str, length: int) -> str:
        """A new token of a known kind; its random part is looked for."""
        text = secrets.token_hex(length)[:length].upper()
        self.words[prefix] = text
        return prefix + text

    def card(self) -> str:
        """A new card number that passes the check of its digits."""
        chosen = random.SystemRandom()
        while not is_card(number := "4" + "".join(chosen.choices("0123456789", k=15))):
            pass
        self.words["card"] = number
        return number

    def found_in(self, data: bytes) -> list[str]:
        """The places whose words stand in ``data``, plainly or in base64."""
        return [place for place, word in self.words.items() if _holds(data, word.encode())]


def _holds(data: bytes, word: bytes) -> bool:
    if word in data:
        return True
    # in base64 a word stands in one of three ways, by where it begins
    return any(base64.b64encode(b"\0" * skipped + word)[4:-4] in data for skipped in range(3))


BASELINE_REQUESTS, REQUESTS = 1000, 3000


def plant(folder: Path, planted: Planted, service: str, now_ms: int) -> None:
    """Write logs, crash files and an access log full of secrets; only the baseline's requests."""
    (folder / "events.log").write_text(
        requests(range(BASELINE_REQUESTS), service, now_ms, planted), encoding="utf-8"
    )
    (folder / "bad.log").write_text(
        f"not json, token={planted.word('dead letter')}\n"
        f'{{"time": "half", "mail": "{planted.word("dead letter mail")}@example.com"}}\n',
        encoding="utf-8",
    )
    (folder / "app.log").write_text("\n".join([*messages(planted), ""]), encoding="utf-8")
    (folder / "crash.log").write_text(trace(planted), encoding="utf-8")


def requests(numbers: range, service: str, now_ms: int, planted: Planted) -> str:
    """Lines of requests, a hundred in a second, the last of them now."""
    start = now_ms - 10 * len(numbers)
    lines = [event(service, n, start + 10 * i, planted) for i, n in enumerate(numbers)]
    return "\n".join([*lines, ""])


def event(service: str, number: int, time: int, planted: Planted) -> str:
    """A request as JSON; the canary fails often, and some fields hold secrets."""
    is_canary = number % 4 == 0 and number > 1000
    fields: dict[str, object] = {
        "time": time,
        "service": service,
        "version": "2.0" if is_canary else "1.0",
        "status": 500 if number % (7 if is_canary else 101) == 0 else 200,
        "duration_ms": 5 + number % 90,
        "route": "/cart",
        "user": f"user-{number}",
    }
    if number % 500 == 3:
        fields["user"] = f"{planted.word('user')}@example.com"
        fields["session"] = f"Bearer {planted.word('session')}"
        fields["route"] = f"/reset?token={planted.word('route')}"
        fields["host"] = f"{planted.word('host')}@example.com"
    return json.dumps(fields).replace("@", "\\u0040")


def messages(planted: Planted) -> Iterable[str]:
    """Log lines as careless services write them."""
    key = [planted.word("key body") + "A" * 30 + "b+/1", planted.word("key end")]
    return [
        f"INFO login password={planted.word('password')} ok",
        f'DEBUG headers {{"Authorization": "Bearer {planted.word("bearer")}"}}',
        f"DEBUG curl -H 'X-Api-Key: {planted.word('api key')}' https://api.example.com/",
        f"ERROR connect postgres://app:{planted.word('url password')}@db:5432/shop failed",
        f"INFO pushed with {planted.token('ghp_', 36)}",
        f"INFO assumed {planted.token('AKIA', 16)}",
        f"INFO jwt eyJhbGciOiJIUzI1NiJ9.eyJ{planted.word('jwt')}.c2lnbmF0dXJl",
        f"INFO mail to {planted.word('mail')}@example.com",
        f"INFO paid with {planted.card()}",
        f"INFO Set-Cookie: sid={planted.word('cookie')}; Path=/",
        "-----BEGIN RSA PRIVATE KEY-----",
        *key,
        "-----END RSA PRIVATE KEY-----",
        "INFO customer cust-123456",
    ]


def trace(planted: Planted) -> str:
    """A traceback whose message and source lines hold secrets, and a dump of an environment."""
    return (
        "Traceback (most recent call last):\n"
        '  File "/srv/app.py", line 7, in pay\n'
        f"    charge(password='{planted.word('source line')}')\n"
        f"ValueError: no account {planted.word('exception')}@example.com, "
        f"DB_PASSWORD={planted.word('crash environment')}\n\n"
    )


def environment(planted: Planted) -> Mapping[str, str]:
    """What an operator sets for every process; the servers of the test ask for none of it."""
    return {
        "COALMINE_KAFKA_USER": "coalmine",
        "COALMINE_KAFKA_PASSWORD": planted.word("kafka password"),
        "COALMINE_ELASTICSEARCH_API_KEY": planted.word("elasticsearch key"),
        "DATABASE_URL": f"postgres://app:{planted.word('process environment')}@db/shop",
        "PLANTED_URL": f"http://127.0.0.1:9/{planted.word('webhook path')}",
        "PLANTED_SECRET": "whsec_" + base64.b64encode(planted.word("webhook").encode()).decode(),
    }
