"""``coalmine up`` and ``coalmine down``: the whole stack, in the foreground or detached."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from coalmine.api.tokens import local_tokens
from coalmine.cli.output import EXIT_CODES, Exit, print_json, say
from coalmine.cli.progress import draw
from coalmine.cli.state import (
    Running,
    StateDirectory,
    api_files,
    find_running,
    is_held,
    only_one,
    state_directory,
    write_running,
    write_targets,
)
from coalmine.stack.local import LocalStack
from coalmine.stack.ports import LOOPBACK, preferred_port
from coalmine.stack.processes import Change, Event, Supervisor, parts_of
from coalmine.stack.topics import ensure_topics
from contracts.errors import Fatal
from contracts.settings import elasticsearch_settings, kafka_settings

_KAFKA_PORT = 9092
_ELASTICSEARCH_PORT = 9200
_API_PORT = 8060
_DOWN_TIMEOUT_S = 45.0
_DETACH_TIMEOUT_S = 600.0
"""A first start downloads 136 MB."""


def register(app: typer.Typer) -> None:
    """Add ``up`` and ``down`` to the application."""
    app.command(
        epilog="Example: coalmine up --policies policies/ --endpoints endpoints.yaml --agent a.yaml"
    )(up)
    app.command(epilog="Example: coalmine down")(down)


def up(
    policies: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Directory of policies.")
    ] = None,
    endpoints: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Who is told of decisions.")
    ] = None,
    agent: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="Also run an agent; may be repeated."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the dashboard.")] = 8050,
    state: StateDirectory = None,
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as JSON.")] = False,
) -> None:
    """Start Kafka, Elasticsearch and all of Coalmine on this machine.

    Servers named by COALMINE_KAFKA and COALMINE_ELASTICSEARCH are used instead of own ones.
    """
    state_dir = state_directory(state)
    if detach:
        running = _detach(state_dir, _without_detach(sys.argv[1:]))
        _print(running, as_json=as_json)
        return
    _stop_on_signals()
    with only_one(state_dir), ExitStack() as exits:
        variables = _servers(state_dir, exits)
        say("topics: " + (", ".join(ensure_topics(kafka_settings(variables))) or "all there"))
        api_port = preferred_port(_API_PORT)
        parts = parts_of(
            state_dir,
            policies=_absolute(policies),
            endpoints=_absolute(endpoints),
            agents=[path.absolute() for path in agent or []],
            dashboard_port=(dashboard_port := preferred_port(port)),
            api=(api_port, local_tokens(*api_files(state_dir))),
        )
        supervisor = Supervisor(parts, state_dir, environment=variables, on_change=_tell)
        exits.callback(supervisor.stop)
        supervisor.start()
        running = Running(
            pid=os.getpid(),
            kafka=kafka_settings(variables).bootstrap,
            elasticsearch=elasticsearch_settings(variables).url,
            dashboard=f"http://{LOOPBACK}:{dashboard_port}",
            api=f"http://{LOOPBACK}:{api_port}",
            health={part.name: part.health_port for part in parts if part.health_port},
        )
        targets = write_targets(state_dir, running.health)
        write_running(state_dir, running)
        _print(running, as_json=as_json)
        say(f"Targets of Prometheus are in {targets}; coalmine doctor asks each part.")
        say(f"Logs are in {state_dir / 'logs'}. Ctrl-C stops everything.")
        while True:
            signal.pause()


def down(state: StateDirectory = None) -> None:
    """Stop what coalmine up started here."""
    state_dir = state_directory(state)
    running = find_running(state_dir)
    if running is None:
        if is_held(state_dir):
            raise Fatal(f"Coalmine is still starting in {state_dir}: try again when it is up")
        say(f"Nothing runs in {state_dir}.")
        return
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_TIMEOUT_S
    while is_held(state_dir):
        if time.monotonic() > deadline:
            # Its guard ends the servers then, see coalmine.stack.guard.
            os.kill(running.pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    say("Stopped.")


down.__doc__ = f"{down.__doc__}\n\n{EXIT_CODES}"
up.__doc__ = f"{up.__doc__}\n\n{EXIT_CODES}"


@contextmanager
def _reported_stack(state_dir: Path, *, own_kafka: bool, own_search: bool) -> Iterator[LocalStack]:
    with draw() as report:
        stack = LocalStack(
            state_dir,
            preferred_port(_KAFKA_PORT),
            preferred_port(_ELASTICSEARCH_PORT),
            report=report,
        )
        stack.start(kafka=own_kafka, elasticsearch=own_search)
    try:
        yield stack
    finally:
        say("Stopping Kafka and Elasticsearch.")
        stack.stop()


def _servers(state_dir: Path, exits: ExitStack) -> dict[str, str]:
    """The environment that names both servers, started here unless it names them already."""
    variables = dict(os.environ)
    own_kafka = "COALMINE_KAFKA" not in variables
    own_search = "COALMINE_ELASTICSEARCH" not in variables
    if own_kafka or own_search:
        stack = exits.enter_context(
            _reported_stack(state_dir, own_kafka=own_kafka, own_search=own_search)
        )
        variables = stack.environment() | variables
    return variables


def _detach(state_dir: Path, arguments: list[str]) -> Running:
    if is_held(state_dir):
        raise Fatal(f"Coalmine already runs in {state_dir}: stop it with coalmine down")
    log = state_dir / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - this command again, without --detach
            [sys.executable, "-m", "coalmine", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + _DETACH_TIMEOUT_S
    while (running := find_running(state_dir)) is None:
        if child.poll() is not None:
            last = log.read_text(encoding="utf-8", errors="replace").strip()
            raise Fatal(f"it did not start, see {log}: {last[-2000:]}")
        if time.monotonic() > deadline:
            child.terminate()
            raise Fatal(f"it did not start within {_DETACH_TIMEOUT_S:g} s, see {log}")
        time.sleep(0.2)
    return running


def _without_detach(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if argument != "--detach"]


def _stop_on_signals() -> None:
    # As Ctrl-C does: the exception unwinds through every `with` on the way. SIGINT is named too,
    # because a shell without job control starts background commands with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None


def _print(running: Running, *, as_json: bool) -> None:
    if as_json:
        print_json(running)
        return
    say(f"Kafka          {running.kafka}")
    say(f"Elasticsearch  {running.elasticsearch}")
    say(f"Dashboard      {running.dashboard}")
    say(f"API            {running.api}")


def _tell(change: Change) -> None:
    again = f"starts again in {change.wait_s:g} s"
    match change.event:
        case Event.ENDED:
            why = " (too many dead letters)" if change.exit_code == Exit.DEAD_LETTERS else ""
            end = change.reason or f"ended with code {change.exit_code}{why}"
            say(f"{change.part}: {end}, {again}")
        case Event.REPLACED:
            say(f"{change.part}: {change.reason}: killed, {again}")
        case Event.UNWELL:
            say(f"{change.part}: {change.reason}")
        case _:
            say(f"{change.part}: {change.event}")
