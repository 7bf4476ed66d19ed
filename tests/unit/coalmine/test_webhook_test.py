"""``coalmine webhook test``: what is sent, what is not, how an answer is explained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from typer.testing import CliRunner

from alerting.conversing import Exchange
from alerting.integrations.conversation import Answer, Refused, Retry
from coalmine.cli.main import build
from coalmine.webhooks.explain import explained
from tests.support.alerting import Receiver, free_port, listen, new_secret, receiver
from tests.unit.alerting.support import endpoint

__all__ = ["listen", "receiver"]

Answers = Callable[[Receiver], tuple[int, dict[str, str]]]
Make = Callable[[Answers], Receiver]
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The command on an endpoint of these fields: its exit code, stdout and stderr."""
    monkeypatch.setenv("TEST_SECRET", new_secret())

    def invoke(entry: dict[str, Any], *arguments: str) -> Any:
        file = tmp_path / "endpoints.yaml"
        made = {"name": "tool", "secret": "${env:TEST_SECRET}", "allow_private": True, **entry}
        file.write_text(yaml.safe_dump({"endpoints": [made]}), encoding="utf-8")
        words = ["webhook", "test", "tool", "--endpoints", str(file), *arguments]
        return CliRunner().invoke(build(), words)

    yield invoke
    structlog.reset_defaults()  # the command has set up its own log


def test_a_sample_is_sent_signed_and_its_taking_is_told(run: Run, receiver: Make) -> None:
    """One request, about a release that does not exist; exit code 0."""
    tool = receiver(lambda _: (204, {}))
    done = run({"url": tool.url}, "--json")
    (hit,) = tool.hits
    assert done.exit_code == 0
    assert json.loads(hit.body)["data"]["service"] == "coalmine-webhook-test"
    assert hit.headers["webhook-signature"].startswith("v1,")
    assert json.loads(done.stdout)["explanation"][0].startswith("tool took it: 204 after")


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (401, {}, "same secret"),
        (404, {}, "nothing at this path"),
        (410, {}, "it is gone"),
        (307, {"location": "http://127.0.0.1/elsewhere"}, "give the final address"),
        (429, {"retry-after": "7"}, "Retry-After 7"),
        (503, {}, "would try again"),
    ],
)
def test_a_refusal_is_explained(
    run: Run, receiver: Make, status: int, headers: dict[str, str], expected: str
) -> None:
    """Each with what to do about it, and exit code 1."""
    tool = receiver(lambda _: (status, headers))
    done = run({"url": tool.url})
    assert done.exit_code == 1
    assert f"did not take it: http {status}" in done.stderr
    assert expected in done.stderr


def test_what_is_unreachable_is_explained(run: Run) -> None:
    """A closed port, a name that is none, and an address that is not allowed."""
    closed = f"http://127.0.0.1:{free_port()}/hook"
    assert "Nothing accepted the connection to 127.0.0.1" in run({"url": closed}).stderr
    assert "has no address here" in run({"url": "http://no.such.invalid/"}).stderr
    refused = run({"url": closed, "allow_private": False})
    assert refused.exit_code == 1
    assert "allow_private names" in refused.stderr


@pytest.mark.parametrize("failure", ["tls", "timeout", "protocol", "command: OSError"])
def test_every_other_failure_has_a_sentence(failure: str) -> None:
    """With what would follow."""
    exchange = Exchange(Retry(failure), Answer(failure=failure))
    said, then = explained(endpoint(), exchange)
    assert said.endswith(".")
    assert "try again" in then
    assert "call people" in explained(endpoint(), Exchange(Refused("http 400"), Answer(400)))[-1]


def test_a_dry_run_sends_nothing_and_shows_no_secret(run: Run, receiver: Make) -> None:
    """The requests as they would be, credentials as ***."""
    tool = receiver(lambda _: (200, {}))
    entry = {"url": tool.url, "preset": "jenkins-build", "options": {"job": "roll/back"}}
    done = run({**entry, "secret": "${env:LOGIN}"}, "--dry-run")
    assert "LOGIN is not set" in str(done.exception or done.stderr)
    done = run({"url": tool.url, "preset": "jenkins-gwt"}, "--dry-run")
    assert done.exit_code == 0
    assert tool.hits == []
    assert f"POST {tool.url}/generic-webhook-trigger/invoke" in done.stdout
    assert "authorization: ***" in done.stdout


def test_what_would_act_is_held_back_until_it_is_asked_for(run: Run, receiver: Make) -> None:
    """A job is started by a test only with ``--act``."""
    tool = receiver(lambda _: (200, {}))
    entry = {"url": tool.url, "preset": "jenkins-gwt"}
    held_back = run(entry)
    assert held_back.exit_code == 0
    assert "Nothing was sent to tool" in held_back.stderr
    assert tool.hits == []
    assert run(entry, "--act").exit_code == 0
    assert [hit.path for hit in tool.hits] == ["/hook/generic-webhook-trigger/invoke"]


def test_what_a_tool_would_misunderstand_is_not_sent(run: Run, receiver: Make) -> None:
    """A call for people starts no job, not even by hand."""
    tool = receiver(lambda _: (200, {}))
    done = run({"url": tool.url, "preset": "jenkins-gwt"}, "--action", "escalate", "--act")
    assert "jenkins-gwt acts on" in str(done.exception)
    assert tool.hits == []


def test_an_endpoint_that_is_not_there_is_a_configuration_error(run: Run) -> None:
    """Exit code 2, with the names that there are."""
    done = run({"url": "http://127.0.0.1/", "name": "other"})
    assert "expected one of other" in str(done.exception)
