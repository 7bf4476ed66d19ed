"""``coalmine rollout promote`` and ``rollback``: a person overrides the evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from coalmine.cli.output import print_json
from coalmine.cli.rollouts.asking import (
    EXIT_CODES,
    AsJson,
    By,
    CommandId,
    Service,
    State,
    ask_and_tell,
    command_of,
)
from coalmine.cli.rollouts.stored import latest
from coalmine.cli.state import servers
from contracts.errors import ConfigError, Fatal
from contracts.results import DecisionAction, RolloutCommand, RolloutCommandAction

Why = Annotated[str, typer.Option("--reason", help="Why, in one sentence; it is required.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the decision, and what goes out; ask for nothing.")
]
Endpoints = Annotated[
    Path | None, typer.Option(help="With --dry-run: the file of those who would be told.")
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    examples: dict[Callable[..., None], str] = {
        promote: 'promote checkout --reason "the errors are a test\'s"',
        rollback: 'rollback checkout --reason "customers call" --dry-run',
    }
    for command, example in examples.items():
        group.command(epilog=f"Example: coalmine rollout {example}. {EXIT_CODES}")(command)


def _overriding(action: RolloutCommandAction, summary: str) -> Callable[..., None]:
    """A command that overrides the evidence."""

    def command(
        service: Service,
        reason: Why = "",
        by: By = "",
        command_id: CommandId = "",
        endpoints: Endpoints = None,
        state: State = None,
        *,
        dry_run: DryRun = False,
        as_json: AsJson = False,
    ) -> None:
        if not reason.strip():
            raise ConfigError("--reason", f"a {action} against the evidence needs a reason")
        asked = command_of(service, action, by=by, command_id=command_id, reason=reason)
        if dry_run:
            _print_what_goes_out(asked, endpoints, state)
        else:
            ask_and_tell(asked, state, as_json=as_json)

    command.__name__, command.__doc__ = action.value, summary
    return command


promote = _overriding(
    RolloutCommandAction.PROMOTE,
    "Override: leave this phase for the next one, whatever the evidence says.",
)
rollback = _overriding(
    RolloutCommandAction.ROLLBACK,
    "Override: roll the release back, whatever the evidence says.",
)


def _print_what_goes_out(
    command: RolloutCommand, endpoints: Path | None, state: Path | None
) -> None:
    from coalmine.policies.webhooks import endpoints_of, told  # noqa: PLC0415 - loads the presets
    from coalmine.rollouts.overriding import decision_of  # noqa: PLC0415 - see above

    verdict = latest(servers(state)[1], command.service)
    if not verdict.status.is_open:
        raise Fatal(f"{command.service} has no open rollout: the last one is {verdict.status}")
    decision = decision_of(verdict, DecisionAction(command.action.value), command)
    named = endpoints_of(endpoints) if endpoints else []
    requests = [one for endpoint in named for one in told(endpoint, [decision])]
    print_json({"decision": decision, "told": requests})
