"""What the commands of ``coalmine rollout`` share: a command is sent, and its answer told."""

from __future__ import annotations

import getpass
import uuid
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from coalmine.cli.output import print_json, say
from coalmine.cli.sending import ANSWER_WITHIN_S, ask
from coalmine.cli.state import StateDirectory, servers
from contracts.clock import SystemClock
from contracts.results import Answer, RolloutCommand, RolloutCommandAction

Service = Annotated[str, typer.Argument(help="The service's name (service.name).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why, in one sentence, for those who read it later.")]
By = Annotated[str, typer.Option("--by", help="Who asks; by default your login name.")]
CommandId = Annotated[
    str, typer.Option("--id", help="The same id twice is one request; by default a new one.")
]
State = StateDirectory

EXIT_CODES = (
    "Exit codes: 0 accepted, 1 refused, 2 wrong usage or configuration, 4 no worker answered "
    "within ten seconds: the command stands, and will be taken."
)


class AnswerExit(IntEnum):
    """Exit codes of what waits for an answer."""

    ACCEPTED = 0
    REFUSED = 1
    UNANSWERED = 4


def command_of(
    service: str, action: RolloutCommandAction, *, by: str, command_id: str, **fields: str
) -> RolloutCommand:
    """A command of this moment."""
    return RolloutCommand(
        id=command_id or str(uuid.uuid4()),
        time=SystemClock().now_ms(),
        service=service,
        action=action,
        requested_by=by or _login(),
        **fields,
    )


def ask_and_tell(command: RolloutCommand, state: Path | None, *, as_json: bool) -> None:
    """Send a command, wait for its answer, and end with the exit code that it has.

    Raises:
        ConfigError: the broker refuses us, or we its certificate.
        Recoverable: Kafka does not answer.
    """
    answer = ask(command, servers(state)[0])
    if as_json:
        print_json({"command": command, "answer": answer})
    else:
        say(sentence_of(command, answer))
    code = exit_of(answer)
    if code is not AnswerExit.ACCEPTED:
        raise SystemExit(code)


def sentence_of(command: RolloutCommand, answer: Answer | None) -> str:
    """What a person is told."""
    if answer is None:
        return (
            f"coalmine: no worker answered within {ANSWER_WITHIN_S:g} s; the command "
            f"({command.action} {command.service}) stands and will be taken by the next one"
        )
    return answer.message if answer.code.is_accepted else f"coalmine: {answer.message}"


def exit_of(answer: Answer | None) -> AnswerExit:
    """0 accepted, 1 refused, 4 unanswered."""
    if answer is None:
        return AnswerExit.UNANSWERED
    return AnswerExit.ACCEPTED if answer.code.is_accepted else AnswerExit.REFUSED


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return "cli"
