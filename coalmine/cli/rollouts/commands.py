"""``coalmine rollout start``, ``hold``, ``resume``, ``phase`` and ``abort``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coalmine.cli.rollouts.asking import (
    EXIT_CODES,
    AsJson,
    By,
    CommandId,
    Reason,
    Service,
    State,
    ask_and_tell,
    command_of,
)
from contracts.errors import ConfigError
from contracts.results import RolloutCommandAction


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    examples: dict[Callable[..., None], str] = {
        start: "start checkout 1.5.0 --baseline 1.4.2",
        hold: 'hold checkout --reason "the database is being moved"',
        resume: "resume checkout",
        phase: "phase checkout cluster",
        abort: 'abort checkout --reason "wrong build"',
    }
    for command, example in examples.items():
        group.command(epilog=f"Example: coalmine rollout {example}. {EXIT_CODES}")(command)


def start(
    service: Service,
    release: Annotated[
        str | None, typer.Argument(help="Release under test (service.version).")
    ] = None,
    *,
    baseline: Annotated[
        str, typer.Option(help="Release beside it; the busiest one if not given.")
    ] = "",
    phase: Annotated[str, typer.Option(help="Where to begin; in the first phase by default.")] = "",
    flag: Annotated[
        str, typer.Option(help="A feature flag: its variants are compared, not releases.")
    ] = "",
    canary_variant: Annotated[str, typer.Option(help="With --flag: the variant under test.")] = "",
    baseline_variant: Annotated[str, typer.Option(help="With --flag: the variant beside it.")] = "",
    canary: Annotated[str, typer.Option(hidden=True, help="As RELEASE.")] = "",
    reason: Reason = "",
    by: By = "",
    command_id: CommandId = "",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Open a rollout: from now on the release is judged beside the baseline."""
    arms = _variants(flag, canary_variant, baseline_variant) if flag else None
    if arms is not None and (release or canary or baseline):
        raise ConfigError("--flag", "compares variants: name no release beside it", value=flag)
    if arms is None:
        arms = releases(release or "", canary, baseline, canary_variant or baseline_variant)
    command = command_of(
        service,
        RolloutCommandAction.START,
        by=by,
        command_id=command_id,
        canary=arms[0],
        baseline=arms[1],
        flag=flag,
        phase=phase,
        reason=reason,
    )
    ask_and_tell(command, state, as_json=as_json)


def phase(
    service: Service,
    name: Annotated[str, typer.Argument(metavar="PHASE", help="Of the policy, earlier or later.")],
    reason: Reason = "",
    by: By = "",
    command_id: CommandId = "",
    state: State = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Go to a phase, forward or back; its exposure goes out as a decision."""
    action = RolloutCommandAction.PHASE
    command = command_of(service, action, by=by, command_id=command_id, phase=name, reason=reason)
    ask_and_tell(command, state, as_json=as_json)


def _without_more(action: RolloutCommandAction, summary: str) -> Callable[..., None]:
    """A command that says no more than what is asked for, and why."""

    def command(
        service: Service,
        reason: Reason = "",
        by: By = "",
        command_id: CommandId = "",
        state: State = None,
        *,
        as_json: AsJson = False,
    ) -> None:
        asked = command_of(service, action, by=by, command_id=command_id, reason=reason)
        ask_and_tell(asked, state, as_json=as_json)

    command.__name__, command.__doc__ = action.value, summary
    return command


hold = _without_more(
    RolloutCommandAction.HOLD,
    "Stay in this phase until ``resume``, whatever the evidence says; rollbacks still fire.",
)
resume = _without_more(
    RolloutCommandAction.RESUME,
    "Let a rollout go on that was held, by a person or at the end of its phase.",
)
abort = _without_more(
    RolloutCommandAction.ABORT,
    "End the open rollout of a service without a decision; nothing is rolled back.",
)


def _variants(flag: str, canary: str, baseline: str) -> tuple[str, str]:
    for option, variant in (("--canary-variant", canary), ("--baseline-variant", baseline)):
        if not variant:
            raise ConfigError(option, f"expected a variant of {flag}, such as on or off")
    return canary, baseline


def releases(release: str, canary: str, baseline: str, variant: str) -> tuple[str, str]:
    """Canary and baseline of a rollout of releases; ``canary`` is what ``--canary`` says.

    Raises:
        ConfigError: none is named, or two; a ``variant`` without a flag.
    """
    if variant:
        raise ConfigError("--flag", "expected the flag that has this variant", value=variant)
    if release and canary and release != canary:
        raise ConfigError("--canary", f"another release than {release}", value=canary)
    if not release and not canary:
        raise ConfigError("RELEASE", "expected the release under test, or a --flag")
    return release or canary, baseline
