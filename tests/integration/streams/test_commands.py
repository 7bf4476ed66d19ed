"""Commands and changed policies on a real worker and a real Kafka, with a real kill."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from contracts import topics
from contracts.results import Answer, AnswerCode, RolloutCommand, RolloutCommandAction
from contracts.settings import KafkaSettings
from tests.integration.streams.conftest import WorkerProcess
from tests.support.stack import consume, produce, unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

START, HOLD = RolloutCommandAction.START, RolloutCommandAction.HOLD
PHASES = "phases: [{name: few}, {name: all}]\n"


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Policies of this module's worker, to be changed."""
    return tmp_path_factory.mktemp("changing")


class Deploying:
    """A deploy tool that commands one service, and what it was answered."""

    def __init__(self, kafka: KafkaSettings, name: str) -> None:
        self._kafka = kafka
        self.service = unique(name)

    def command(self, action: RolloutCommandAction, **fields: str) -> RolloutCommand:
        """A new one, of now."""
        now = time.time_ns() // 1_000_000
        return RolloutCommand(
            id=unique("command"), time=now, service=self.service, action=action, **fields
        )

    def send(self, *commands: RolloutCommand) -> None:
        """To the judge."""
        sent = [(self.service, msgspec.json.encode(command)) for command in commands]
        produce(self._kafka, topics.ROLLOUTS.name, sent)

    def answers(self) -> list[Answer]:
        """All that there are so far, in order."""
        found = [
            msgspec.json.decode(message.value, type=Answer)
            for message in consume(self._kafka, topics.ANSWERS.name, at_least=0)
        ]
        return [answer for answer in found if answer.service == self.service]

    def ask(self, command: RolloutCommand) -> AnswerCode:
        """Send one command, and wait for its answer."""
        self.send(command)
        wait_until(lambda: any(a.id == command.id for a in self.answers()), timeout_s=120)
        return next(a.code for a in self.answers() if a.id == command.id)


def test_commands_are_answered_once_each_although_they_come_twice_and_the_worker_is_killed(
    worker: WorkerProcess, kafka_settings: KafkaSettings
) -> None:
    """Whatever is repeated, an id has one answer, of the same bytes."""
    tool = Deploying(kafka_settings, "steered")
    start = tool.command(START, canary="2", baseline="1", requested_by="ann")
    hold = tool.command(HOLD, reason="lunch")
    refused = tool.command(START, canary="3", baseline="3")
    assert tool.ask(start) is AnswerCode.ACCEPTED
    worker.kill()
    tool.send(start, hold, refused, hold, start)
    worker.start()
    wait_until(lambda: len({a.id for a in tool.answers()}) == 3, timeout_s=120)
    wait_until(lambda: len(tool.answers()) >= 6, timeout_s=120)
    answers = tool.answers()
    by_id = {answer.id: answer for answer in answers}
    assert all(answer == by_id[answer.id] for answer in answers)
    assert [by_id[c.id].code for c in (start, hold, refused)] == [
        AnswerCode.ACCEPTED,
        AnswerCode.ACCEPTED,
        AnswerCode.RUNNING_RELEASE,
    ]
    assert by_id[start.id].requested_by == "ann"


def test_a_running_worker_takes_a_changed_policy_and_refuses_a_broken_one(
    worker: WorkerProcess, kafka_settings: KafkaSettings, policies: Path
) -> None:
    """The next rollout has the new phases; after a broken file, still."""
    tool = Deploying(kafka_settings, "reloaded")

    def is_accepted(canary: str) -> bool:
        command = tool.command(START, canary=canary, baseline="1", phase="all")
        return tool.ask(command) is AnswerCode.ACCEPTED

    assert not is_accepted("2")
    (policies / "all.yaml").write_text(PHASES, encoding="utf-8")
    wait_until(lambda: is_accepted("2"), timeout_s=120)
    (policies / "all.yaml").write_text(PHASES + "harm: often\n", encoding="utf-8")
    log = worker.log
    wait_until(lambda: "policies_refused" in log.read_text(encoding="utf-8"), timeout_s=120)
    assert tool.ask(tool.command(RolloutCommandAction.ABORT)) is AnswerCode.ACCEPTED
    assert is_accepted("3")
    (policies / "all.yaml").write_text(PHASES, encoding="utf-8")  # a worker starts with no other
