"""``coalmine rollout``: open, steer, watch, list and end rollouts."""

from __future__ import annotations

import typer

from coalmine.cli.rollouts import audit, commands, history, overrides, status


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Open, steer, watch, list and end rollouts.")
    for module in (commands, overrides, status, history, audit):
        module.register(group)
    app.add_typer(group, name="rollout")
