"""``coalmine webhook listen``: what it believes, what it answers, what it prints."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from coalmine.webhooks.receiver import new_secret, problem_of
from contracts.config import Secret
from contracts.errors import ConfigError

BODY = b'{"data":{"action":"rollback","service":"checkout","canary":"1.5.0","reason":"errors"}}'


def signed(secret: str, body: bytes = BODY, *, at_s: float | None = None) -> dict[str, str]:
    """The headers of a webhook of this moment."""
    seconds = int(time.time() if at_s is None else at_s)
    moment = datetime.fromtimestamp(seconds, UTC)
    return {
        "webhook-id": "checkout/1.5.0/canary/rollback",
        "webhook-timestamp": str(seconds),
        "webhook-signature": Webhook(secret).sign(
            "checkout/1.5.0/canary/rollback", moment, body.decode()
        ),
    }


def test_only_the_right_signature_is_believed_and_each_other_is_explained() -> None:
    """A wrong secret, a changed body, an old time, a missing header each have a sentence."""
    secret = new_secret()
    headers = signed(secret)
    assert problem_of(Secret(secret), headers, BODY) == ""
    assert "no signature fits" in problem_of(Secret(new_secret()), headers, BODY)
    assert "no signature fits" in problem_of(Secret(secret), headers, BODY + b" ")
    assert "five minutes" in problem_of(Secret(secret), signed(secret, at_s=1_000), BODY)
    assert "number of seconds" in problem_of(
        Secret(secret), {**headers, "webhook-timestamp": "soon"}, BODY
    )
    del headers["webhook-id"]
    assert problem_of(Secret(secret), headers, BODY) == "the header webhook-id is missing"


@pytest.mark.parametrize("broken", ["nonsense", "v1", "v1,a,b", "v1,é", "v1a,AAAA", "", " "])
def test_a_signature_that_is_none_crashes_nothing_and_hides_no_right_one(broken: str) -> None:
    """The stock library fails on these; beside a right signature they change nothing."""
    secret = new_secret()
    headers = signed(secret)
    right = headers["webhook-signature"]
    assert problem_of(Secret(secret), {**headers, "webhook-signature": broken}, BODY)
    both = {**headers, "webhook-signature": f"{broken} {right}"}
    assert problem_of(Secret(secret), both, BODY) == ""


def test_a_body_that_is_no_text_is_explained() -> None:
    """Bytes that are not UTF-8 are no webhook of ours."""
    secret = new_secret()
    assert problem_of(Secret(secret), signed(secret), b"\xff") == "the body is not UTF-8"


Post = Callable[[Mapping[str, str]], int]


def _listen(*arguments: str, secret: str, posts: Callable[[Post], None]) -> list[str]:
    """Lines that the command prints while ``posts`` runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "coalmine", "webhook", "listen", "--port", "0", *arguments],
        env={**os.environ, "TEST_SECRET": secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as listener:
        assert listener.stderr is not None
        port = int(listener.stderr.readline().split(":")[2].partition("/")[0])

        def post(headers: Mapping[str, str]) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", "/", BODY, dict(headers))
            status = connection.getresponse().status
            connection.close()
            return status

        posts(post)
        output, _ = listener.communicate(timeout=20)
        assert listener.returncode == 0
        return output.splitlines()


def test_what_verifies_is_taken_and_told_apart_from_a_repetition() -> None:
    """204 for a verified webhook, 401 for another; the second copy of an id is called that."""
    secret = new_secret()
    statuses: list[int] = []

    def posts(post: Post) -> None:
        for headers in (signed(secret), signed(secret), signed(new_secret())):
            statuses.append(post(headers))  # noqa: PERF401 - each after the other

    arguments = ("--secret-env", "TEST_SECRET", "--count", "3", "--json")
    lines = [json.loads(line) for line in _listen(*arguments, secret=secret, posts=posts)]
    assert statuses == [204, 204, 401]
    assert [(x["is_verified"], x["times_seen"], x["answered"]) for x in lines] == [
        (True, 1, 204),
        (True, 2, 204),
        (False, 2, 401),
    ]
    assert lines[0]["document"]["data"]["canary"] == "1.5.0"


def test_any_status_can_be_answered_to_try_out_retries(tmp_path: Path) -> None:
    """``--answer 500`` answers 500 to what verifies, and the line for people says so."""
    secret = new_secret()
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n", encoding="utf-8")
    statuses: list[int] = []
    (line,) = _listen(
        *("--secret-file", str(file), "--count", "1", "--answer", "500"),
        secret="",
        posts=lambda post: statuses.append(post(signed(secret))),
    )
    assert statuses == [500]
    assert "verified  answered 500" in line
    assert "rollback 1.5.0 of checkout  errors" in line


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_é"])
def test_a_secret_that_is_none_is_refused_at_once(text: str) -> None:
    """Before the first webhook comes."""
    from coalmine.webhooks.receiver import Listener  # noqa: PLC0415

    with pytest.raises(ConfigError, match="expected whsec_"):
        Listener(0, Secret(text), None, lambda _: None)
