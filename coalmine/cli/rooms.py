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
from health.address import Address

_RUNS = f"Runs until SIGTERM or Ctrl-C. {EXIT_CODES}"
_STAGE_RUNS = f"{_RUNS[:-1]}, 3 too many dead letters."
_DEFAULT_STATE = Path("state")

Policies = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Directory of policies; see coalmine schema."),
]
State = Annotated[Path, typer.Option("--state", help="Directory for what this process keeps.")]
HealthPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        envvar="COALMINE_HEALTH_PORT",
        help="Port of /healthz, /readyz and /metrics; 0 takes a free one, none is opened without.",
    ),
]
HealthHost = Annotated[
    str, typer.Option(envvar="COALMINE_HEALTH_HOST", help="Address of that port.")
]
LOOPBACK = "127.0.0.1"
ConfigFile = Annotated[Path, typer.Option("--config", dir_okay=False, help="YAML file.")]


def register(app: typer.Typer) -> None:
    """Add the rooms' commands to the application."""
    panel = "Parts of the stack"
    app.command(
        epilog="Example: coalmine worker --policies policies/ --state state/worker",
        rich_help_panel=panel,
    )(worker)
    app.command(epilog="Example: coalmine indexer", rich_help_panel=panel)(indexer)
    app.command(epilog="Example: coalmine alerter --config endpoints.yaml", rich_help_panel=panel)(
        alerter
    )


def worker(
    policies: Policies = None,
    state: State = _DEFAULT_STATE / "worker",
    health_port: HealthPort = None,
    health_host: HealthHost = LOOPBACK,
) -> None:
    """Count what each release does and judge its rollout (the Faust worker)."""
    from streams.app import run  # noqa: PLC0415 - see the module

    journal.configure()
    check_kafka(kafka_settings())
    run(policies, _made(state), health_address(health_host, health_port))


def indexer(
    state: State = _DEFAULT_STATE / "indexer",
    health_port: HealthPort = None,
    health_host: HealthHost = LOOPBACK,
) -> None:
    """Copy results from Kafka to Elasticsearch."""
    from streams.index.app import run  # noqa: PLC0415 - see the module

    journal.configure()
    check_kafka(kafka_settings())
    check_elasticsearch(elasticsearch_settings())
    run(_made(state), health_address(health_host, health_port))


def alerter(
    config: ConfigFile, health_port: HealthPort = None, health_host: HealthHost = LOOPBACK
) -> None:
    """Send decisions to the endpoints of a file as signed webhooks."""
    from alerting.app import run  # noqa: PLC0415 - see the module

    journal.configure()
    check_kafka(kafka_settings())
    run(config, health_address(health_host, health_port))


def health_address(host: str, port: int | None) -> Address | None:
    """Where a process tells of its health; None where it was not asked to."""
    return None if port is None else Address(host, port)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory.absolute()


for _command in (alerter,):
    _command.__doc__ = f"{_command.__doc__}\n\n{_RUNS}"
for _stage in (worker, indexer):
    _stage.__doc__ = f"{_stage.__doc__}\n\n{_STAGE_RUNS}"
