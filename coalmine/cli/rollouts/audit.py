"""``coalmine rollout audit``: a rollout's evidence computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coalmine.cli.output import Exit, print_json, print_table
from coalmine.cli.rollouts import stored
from coalmine.cli.rollouts.asking import AsJson, State
from coalmine.cli.state import servers
from contracts.errors import ConfigError
from contracts.policy import Policy, load_policy


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command(
        epilog="Example: coalmine rollout audit checkout-1.5.0-20261123T101500.250 "
        "--policy policies/checkout.yaml. Exit codes: 0 the same, 1 different, "
        "2 wrong usage or configuration."
    )(audit)


def audit(
    rollout: Annotated[
        str, typer.Argument(help="The rollout's id, as rollout list --json has it.")
    ],
    policy: Annotated[
        Path | None, typer.Option(help="Policy it was opened with; by default an empty one.")
    ] = None,
    state: State = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Compute a rollout's evidence again from its stored windows, and compare."""
    from streams.judge.audit import audit as recompute  # noqa: PLC0415 - loads scipy

    rules = load_policy(policy) if policy else Policy()
    verdicts = stored.looks(servers(state)[1], rollout)
    if verdicts[-1].policy_hash != rules.content_hash():
        raise ConfigError(
            str(policy or "the empty policy"),
            f"the rollout was opened with the policy {verdicts[-1].policy_hash}",
            value=rules.content_hash(),
        )
    rows = recompute(rules, verdicts)
    if as_json:
        print_json(rows)
    else:
        print_table(
            ["metric", "windows", "stored log10", "recomputed log10", ""],
            [
                [
                    r.name,
                    str(r.windows),
                    repr(r.stored),
                    repr(r.recomputed),
                    "same" if r.agrees else "DIFFERENT",
                ]
                for r in rows
            ],
        )
    if not all(row.agrees for row in rows):
        raise SystemExit(Exit.FAILED)
