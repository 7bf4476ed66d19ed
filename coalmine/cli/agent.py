"""``coalmine agent``: runs the shipping agent; ``coalmine agent fsck`` looks into its spool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coalmine.cli.output import EXIT_CODES, Exit, print_json, print_table, say
from coalmine.cli.rooms import LOOPBACK, HealthHost, HealthPort, health_address
from coalmine.stack.preflight import check_kafka
from contracts import journal
from contracts.errors import ConfigError
from contracts.settings import kafka_settings

ConfigFile = Annotated[
    Path | None, typer.Option("--config", dir_okay=False, help="The agent's YAML file.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
    group.callback(epilog="Example: coalmine agent --config agent.yaml")(agent)
    group.command(epilog="Example: coalmine agent fsck --config agent.yaml --json")(fsck)
    app.add_typer(group, name="agent", rich_help_panel="Parts of the stack")


def agent(
    context: typer.Context,
    config: ConfigFile = None,
    health_port: HealthPort = None,
    health_host: HealthHost = LOOPBACK,
) -> None:
    """Ship log files, crash reports and host statistics of this machine to Kafka."""
    if context.invoked_subcommand is not None:
        return
    from ingest.app import run  # noqa: PLC0415 - coalmine --help must not load pyarrow

    journal.configure()
    check_kafka(kafka_settings())
    run(_needed(config), health_address(health_host, health_port))


def fsck(
    config: ConfigFile = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", file_okay=False, help="Its state_dir, instead of --config."),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what an agent's spool holds and what was set aside, with the reasons.

    Changes nothing; the agent may run meanwhile. Fails when something was set aside or is damaged.
    """
    from ingest.fsck import inspect  # noqa: PLC0415 - as above
    from ingest.settings import load_agent_config  # noqa: PLC0415 - as above

    report = inspect(state or load_agent_config(_needed(config)).state_dir)
    if as_json:
        print_json(report)
    else:
        waiting = [("waits", entry) for entry in report.waiting]
        aside = [("set aside", entry) for entry in report.quarantined]
        rows = [
            [state, str(e.seq), str(e.last_seq), str(e.records), str(e.bytes), e.problem]
            for state, e in [*waiting, *aside]
        ]
        print_table(["entry", "first seq", "last seq", "records", "bytes", "problem"], rows)
        for problem in report.problems:
            say(f"coalmine: {problem}")
    if not report.is_sound:
        raise typer.Exit(Exit.FAILED)


def _needed(config: Path | None) -> Path:
    if config is None:
        raise ConfigError("coalmine agent", "expected the agent's file", field="--config")
    return config


for _command in (agent, fsck):
    _command.__doc__ = f"{_command.__doc__}\n\n{EXIT_CODES}"
