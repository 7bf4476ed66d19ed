"""``coalmine rollout history``: the audit trail of a service."""

from __future__ import annotations

from typing import Annotated

import typer

from coalmine.cli.output import EXIT_CODES, print_json, print_table
from coalmine.cli.rollouts import stored
from coalmine.cli.rollouts.asking import AsJson, Service, State
from coalmine.cli.state import servers
from coalmine.rollouts.drawing import when
from coalmine.rollouts.trail import Step
from contracts.errors import Fatal


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command(epilog=f"Example: coalmine rollout history checkout --limit 20. {EXIT_CODES}")(
        history
    )


def history(
    service: Service,
    rollout: Annotated[str, typer.Option(help="Only this one, by its id.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 200,
    state: State = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Tell what was asked, decided and delivered, by whom and why, in order of time."""
    steps = stored.history(servers(state)[1], service, rollout)[-limit:]
    if not steps:
        raise Fatal(f"nothing was asked, decided or delivered of {rollout or service}")
    if as_json:
        print_json(steps)
        return
    columns = ["time", "kind", "what", "phase", "outcome", "who", "why"]
    print_table(columns, [_row(step) for step in steps])


def _row(step: Step) -> list[str]:
    return [
        when(step.time),
        step.kind.value,
        step.what,
        step.phase,
        step.outcome,
        step.who,
        step.reason,
    ]
