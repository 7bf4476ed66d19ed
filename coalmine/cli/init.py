"""``coalmine init``: a first policy, with its test, and the files around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.cli.asking import elasticsearch_client
from coalmine.cli.check import Kind, schema_of
from coalmine.cli.output import EXIT_CODES, print_json, say
from coalmine.cli.state import StateDirectory, servers
from contracts.clock import SystemClock
from contracts.errors import ConfigError, Fatal
from contracts.settings import ElasticsearchSettings

if TYPE_CHECKING:
    from coalmine.policies.suggesting import Seen

_SINCE_MS = 86_400_000
_COUNTERS = ("request", "request.bad")
_SCHEMAS = (Kind.POLICY, Kind.TESTS, Kind.ENDPOINTS, Kind.AGENT)
_RELEASES_TOLD = 3

Written = dict[Path, str]
"""File, below the directory, to its text."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    example = "Example: coalmine init --service checkout deploy/coalmine."
    app.command(epilog=f"{example} {EXIT_CODES}")(init)


def init(
    directory: Annotated[Path, typer.Argument(help="Where to write; made where missing.")] = Path(),
    service: Annotated[
        str, typer.Option(help="Write its policy; else one for all services.")
    ] = "*",
    state: StateDirectory = None,
    *,
    from_telemetry: Annotated[
        bool,
        typer.Option(
            "--from-telemetry",
            help="Write a policy for each service of the last day (or for --service), with figures "
            "that fit its traffic.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written.")] = False,
) -> None:
    """Write a commented policy with tests, and endpoints and agent where missing.

    Phases as at Facebook: checks, employees, a few machines, one cluster, everywhere. A policy that
    is there already is never overwritten.
    """
    from coalmine.policies import starting, suggesting  # noqa: PLC0415 - loads scipy

    seen = [suggesting.Seen(service=service)]
    if from_telemetry:
        seen = _seen(servers(state)[1], "" if service == "*" else service)
    written = _policies(seen)
    for path in written:
        if (directory / path).exists():
            raise ConfigError(str(directory / path), "is there already; it is not overwritten")
    others = {
        Path("endpoints.yaml"): starting.ENDPOINTS,
        Path("agent.yaml"): starting.agent_text(seen[0].service),
    }
    written |= {path: text for path, text in others.items() if not (directory / path).exists()}
    _write(directory, written)
    _write(directory, {Path(f"schemas/{kind}.schema.json"): schema_of(kind) for kind in _SCHEMAS})
    if as_json:
        print_json([str(directory / path) for path in written])
        return
    for path in written:
        typer.echo(str(directory / path))
    policies = directory / "policies"
    say(f"Next: coalmine check {policies}, coalmine test {policies}.")


def _policies(seen: list[Seen]) -> Written:
    from coalmine.policies.starting import (  # noqa: PLC0415 - loads scipy
        file_stem,
        policy_text,
        tests_text,
    )
    from coalmine.policies.suggesting import suggest  # noqa: PLC0415 - see above

    written: Written = {}
    for one in seen:
        stem = Path("policies") / file_stem(one.service)
        written[stem.with_name(f"{stem.name}.yaml")] = policy_text(one, suggest(one.flow))
        written[stem.with_name(f"{stem.name}.test.yaml")] = tests_text(one.service)
    return written


def _seen(settings: ElasticsearchSettings, service: str) -> list[Seen]:
    from coalmine.policies.observed import fetch_services  # noqa: PLC0415 - loads scipy
    from coalmine.policies.suggesting import Seen  # noqa: PLC0415 - see above
    from coalmine.policies.words import percent  # noqa: PLC0415 - see above

    now_ms = SystemClock().now_ms()
    with elasticsearch_client(settings) as client:
        found = fetch_services(
            client, _COUNTERS, since_ms=now_ms - _SINCE_MS, until_ms=now_ms, service=service
        )
    if not found:
        raise Fatal(f"telemetry shows no traffic of {service or 'any service'} in the last day")
    return [
        Seen(
            service=one.name,
            flow=one.flow(*_COUNTERS),
            releases=tuple(f"{r.name} ({percent(r.share)})" for r in one.releases[:_RELEASES_TOLD]),
        )
        for one in found
    ]


def _write(directory: Path, files: Written) -> None:
    for path, text in files.items():
        target = directory / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(str(target), f"cannot be written: {error}") from error
