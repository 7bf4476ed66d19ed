"""The ``coalmine`` command: one application, each group of commands in a module of its own."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from coalmine.cli.output import Exit, plain_errors, say

_MODULES = (
    "demo",
    "up",
    "doctor",
    "agent",
    "rooms",
    "dashboard",
    "api",
    "rollouts",
    "gate",
    "explain",
    "webhook",
    "crashes",
    "releases",
    "init",
    "check",
    "policy_test",
    "policy",
    "topics",
    "deadletters",
    "replay",
    "fingerprint",
    "templates",
    "calibrate",
    "power",
)
"""Each has ``register(app)``; the order is that of ``coalmine --help``."""


def build() -> typer.Typer:
    """The application with all its commands."""
    app = typer.Typer(
        name="coalmine",
        help="Watches releases while they roll out, and rolls bad ones back.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback()(_options)
    for name in _MODULES:
        import_module(f"coalmine.cli.{name}").register(app)
    return app


def main() -> None:
    """Entry point; a user's mistake ends in one sentence, never in a traceback."""
    with plain_errors():
        try:
            build()()
        except KeyboardInterrupt:
            say("coalmine: stopped")
            sys.exit(Exit.STOPPED)


def _print_version(is_wanted: bool) -> None:  # noqa: FBT001 - the shape of a typer callback
    if is_wanted:
        typer.echo(version("coalmine"))
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass
