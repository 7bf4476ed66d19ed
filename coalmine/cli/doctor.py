"""``coalmine doctor``: looks at each part of the stack and says what to do about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from coalmine.cli.output import Exit, print_json
from coalmine.cli.state import StateDirectory, environment, find_running, state_directory
from coalmine.stack.health import Health, Level, examine, process_health
from contracts.settings import elasticsearch_settings, kafka_settings

_SIGNS = {Level.OK: "ok  ", Level.WARN: "warn", Level.FAIL: "FAIL"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: coalmine doctor --json")(doctor)


def doctor(
    state: StateDirectory = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Explain each part of the stack: what is well, what is not, and what to do.

    Exit codes: 0 nothing fails (warnings may be there), 1 something fails, 2 wrong configuration.
    """
    state_dir = state_directory(state)
    variables = environment(state_dir)
    running = find_running(state_dir)
    is_expected = running is not None or "COALMINE_KAFKA" in variables
    findings = examine(
        kafka_settings(variables),
        elasticsearch_settings(variables),
        state_dir=state_dir,
        is_expected=is_expected,
    )
    if running is not None:
        findings += [process_health(part, port) for part, port in running.health.items()]
    if as_json:
        print_json(findings)
    else:
        _show(findings, state_dir)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _show(findings: list[Health], state_dir: Path) -> None:
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        line = f"{_SIGNS[finding.level]}  {finding.part:<{width}}  {finding.found}"
        sys.stdout.write(line + "\n")
        if finding.fix:
            sys.stdout.write(f"      {'':<{width}}  → {finding.fix}\n")
    sys.stdout.write(f"      {'state':<{width}}  {state_dir}\n")
