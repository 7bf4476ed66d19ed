"""``coalmine rollout`` with a real worker and indexer: every command is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from coalmine.cli.main import build
from coalmine.cli.rollouts.asking import AnswerExit, command_of
from coalmine.cli.sending import ask
from contracts.results import AnswerCode, RolloutCommand, RolloutCommandAction
from contracts.settings import KafkaSettings
from tests.integration.streams.conftest import WorkerProcess
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

Rollout = Callable[..., Result]
"""Runs ``coalmine rollout`` with these arguments."""


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phases."""
    directory = tmp_path_factory.mktemp("policies")
    text = "phases:\n- {name: machines, exposure: 0.1}\n- {name: cluster, exposure: 0.5}\n"
    (directory / "all.yaml").write_text(text, encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def rollout(
    worker: WorkerProcess,
    indexer: WorkerProcess,
    kafka_settings: KafkaSettings,
    stack_environment: Mapping[str, str],
) -> Rollout:
    """The command, on the servers of this run, once the worker answers."""
    assert worker.process
    assert indexer.process
    first = _command(RolloutCommandAction.ABORT, unique("first"))
    assert ask(first, kafka_settings, within_s=120)

    def run(*arguments: str) -> Result:
        return CliRunner(env=stack_environment).invoke(build(), ["rollout", *arguments])

    def until_answered(*arguments: str) -> Result:
        """A busy machine may take longer than ten seconds: the same id is the same command."""
        is_reading = arguments[0] in {"status", "history"} or "--dry-run" in arguments
        own_id = () if is_reading or "--id" in arguments else ("--id", unique("command"))
        done = run(*arguments, *own_id)
        for _ in range(0 if is_reading else 6):
            if done.exit_code != AnswerExit.UNANSWERED:
                break
            done = run(*arguments, *own_id)
        return done

    return until_answered


def _command(action: RolloutCommandAction, service: str) -> RolloutCommand:
    return command_of(service, action, by="ann", command_id="", canary="2", baseline="1")


def _coded(done: Result) -> tuple[int, str]:
    answer = json.loads(done.stdout)["answer"]
    return done.exit_code, answer["code"]


def _status(rollout: Rollout, service: str, status: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def reached() -> bool:
        done = rollout("status", service, "--json")
        found[:] = [json.loads(done.stdout)] if done.exit_code == 0 else []
        return bool(found) and found[0]["status"] == status

    wait_until(reached, 60, status)
    return found[0]


def test_a_rollout_is_steered_by_people(rollout: Rollout, tmp_path: Path) -> None:
    """Open, hold, override, end: each command has its answer and its exit code, a command that
    comes twice is one, and all of it is in the history.
    """
    service = unique("steered")
    opened = ("start", service, "1.5.0", "--baseline", "1.4.2", "--by", "ann", "--json")
    first = rollout(*opened, "--id", f"{service}-1")
    assert _coded(first) == (0, "accepted")
    again = rollout(*opened, "--id", f"{service}-1")
    assert json.loads(again.stdout)["answer"] == json.loads(first.stdout)["answer"]
    assert _coded(rollout("phase", service, "moon", "--json")) == (1, "unknown_phase")
    held = rollout("hold", service, "--reason", "lunch", "--by", "bob")
    assert (held.exit_code, held.stderr) == (0, "1.5.0 is held in phase machines.\n")
    endpoints = tmp_path / "endpoints.yaml"
    endpoint = '{name: a, url: "https://example.com/", secret: "${env:NONE}", actions: [promote]}'
    endpoints.write_text(f"endpoints: [{endpoint}]\n", encoding="utf-8")
    assert "lunch" in _status(rollout, service, "holding")["held_because"]
    override = ("promote", service, "--reason", "it is well")
    tried = rollout(*override, "--dry-run", "--endpoints", str(endpoints))
    [told] = json.loads(tried.stdout)["told"]
    assert told["body"]["data"]["action"] == "promote"
    assert json.loads(tried.stdout)["decision"]["next_phase"] == "cluster"
    assert _coded(rollout(*override, "--json")) == (0, "accepted")
    back = rollout("rollback", service, "--reason", "customers call", "--json")
    assert _coded(back) == (0, "accepted")
    assert _coded(rollout("abort", service, "--reason", "enough", "--json")) == (0, "accepted")
    assert "enough" in _status(rollout, service, "aborted")["reason"]
    _check_history(rollout, service)


def _check_history(rollout: Rollout, service: str) -> None:
    steps: list[dict[str, Any]] = []

    def is_complete() -> bool:
        done = rollout("history", service, "--json")
        steps[:] = json.loads(done.stdout) if done.exit_code == 0 else []
        return len(steps) >= 9

    wait_until(is_complete, 60, "everything is stored")
    asked = [s["what"] for s in steps if s["kind"] == "answer"]
    assert asked == ["start", "phase", "hold", "promote", "rollback", "abort"]
    decided = [(s["what"], s["who"] != "coalmine") for s in steps if s["kind"] == "decision"]
    assert decided == [("promote", True), ("rollback", True), ("aborted", True)]
    assert [s["time"] for s in steps] == sorted(s["time"] for s in steps)
    watched = rollout("status", service, "--watch")
    assert (watched.exit_code, "aborted" in watched.stdout) == (4, True)


def test_a_flag_is_a_rollout_of_its_variants(rollout: Rollout) -> None:
    """Its arms are variants, not releases."""
    service = unique("flagged")
    variants = ("--canary-variant", "on", "--baseline-variant", "off")
    done = rollout("start", service, "--flag", "cart", *variants, "--json")
    assert _coded(done) == (0, "accepted")
    answer = json.loads(done.stdout)["answer"]
    assert (answer["flag"], answer["canary"], answer["baseline"]) == ("cart", "on", "off")


@pytest.mark.usefixtures("rollout")
def test_the_command_stands_where_nobody_answers(kafka_settings: KafkaSettings) -> None:
    """Who does not wait gets no answer, and the command is taken all the same."""
    service = unique("unanswered")
    start = _command(RolloutCommandAction.START, service)
    assert ask(start, kafka_settings, within_s=0) is None
    again = ask(start, kafka_settings, within_s=60)
    assert again is not None
    assert again.code is AnswerCode.ACCEPTED
