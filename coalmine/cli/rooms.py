"""The commands that run one room each, in the foreground, until SIGTERM or Ctrl-C.

The rooms are imported inside the commands: ``coalmine --help`` must not load Faust and pandas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coalmine.cli.output import EXIT_CODES
from coalmine.stack.preflight import check_elasticsearch, check_kafka
from contracts import journal
from contracts.settings import elasticsearch_settings, kafka_settings

_RUNS = f"Runs until SIGTERM or Ctrl-C. {EXIT_CODES}"
_DEFAULT_STATE = Path("state")

Policies = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Directory of policies; see coalmine schema."),
]
State = Annotated[Path, typer.Option("--state", help="Directory for what this process keeps.")]
ConfigFile = Annotated[Path, typer.Option("--config", dir_okay=False, help="YAML file.")]


def register(app: typer.Typer) -> None:
    """Add the rooms' commands to the application."""
    panel = "Parts of the stack"
    app.command(epilog="Example: coalmine agent --config agent.yaml", rich_help_panel=panel)(agent)
    app.command(
        epilog="Example: coalmine worker --policies policies/ --state state/worker",
        rich_help_panel=panel,
    )(worker)
    app.command(epilog="Example: coalmine indexer", rich_help_panel=panel)(indexer)
    app.command(epilog="Example: coalmine alerter --config endpoints.yaml", rich_help_panel=panel)(
        alerter
    )
    app.command(epilog="Example: coalmine dashboard --port 8050", rich_help_panel=panel)(dashboard)


def agent(config: ConfigFile) -> None:
    """Ship log files, crash reports and host statistics of this machine to Kafka."""
    from ingest.app import run  # noqa: PLC0415 - see the module

    journal.configure()
    check_kafka(kafka_settings())
    run(config)


def worker(policies: Policies = None, state: State = _DEFAULT_STATE / "worker") -> None:
    """Count what each release does and judge its rollout (the Faust worker)."""
    from streams.app import run  # noqa: PLC0415 - see the module

    journal.configure()
    check_kafka(kafka_settings())
    run(policies, _made(state))


def indexer(state: State = _DEFAULT_STATE / "indexer") -> None:
    """Copy results from Kafka to Elasticsearch."""
    from streams.index.app import run  # noqa: PLC0415 - see the module

    journal.configure()
    check_kafka(kafka_settings())
    check_elasticsearch(elasticsearch_settings())
    run(_made(state))


def alerter(config: ConfigFile) -> None:
    """Send decisions to the endpoints of a file as signed webhooks."""
    from alerting.app import run  # noqa: PLC0415 - see the module

    journal.configure()
    check_kafka(kafka_settings())
    run(config)


def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8050,
) -> None:
    """Show the health of releases in a browser."""
    from dashboard.app import run  # noqa: PLC0415 - see the module

    journal.configure()
    check_elasticsearch(elasticsearch_settings())
    run(host, port)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory.absolute()


for _command in (agent, worker, indexer, alerter, dashboard):
    _command.__doc__ = f"{_command.__doc__}\n\n{_RUNS}"
