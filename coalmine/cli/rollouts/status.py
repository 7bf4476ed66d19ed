"""``coalmine rollout status`` and ``list``."""

from __future__ import annotations

import re
import sys
import time
from enum import IntEnum
from typing import Annotated, Any, Self

import typer

from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from coalmine.cli.rollouts import stored
from coalmine.cli.rollouts.asking import AsJson, Service, State
from coalmine.cli.state import servers
from coalmine.rollouts import drawing
from contracts.errors import Recoverable
from contracts.journal import printable_lines
from contracts.results import RolloutStatus, Verdict
from contracts.settings import ElasticsearchSettings

_EVERY_S = 1.0
_FIGURES = re.compile(r"[\d.,]+")


class WatchExit(IntEnum):
    """How a rollout ended that was watched."""

    PROMOTED = 0
    ROLLED_BACK = 1
    ENDED = 4


_STATUS_EXIT = (
    "Exit codes: 0 shown, or with --watch promoted, 1 failed, or with --watch rolled back, "
    "2 wrong usage or configuration, 4 with --watch ended without a decision."
)


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    group.command(epilog=f"Example: coalmine rollout status checkout --watch. {_STATUS_EXIT}")(
        status
    )
    group.command("list", epilog=f"Example: coalmine rollout list --open. {EXIT_CODES}")(
        list_rollouts
    )


def status(
    service: Service,
    state: State = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until the rollout ends; else look once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the latest rollout of a service: its phases, its evidence, and why it stands there."""
    settings = servers(state)[1]
    if watch:
        raise SystemExit(_watch(settings, service, as_json=as_json))
    found = stored.latest_document(settings, service)
    if as_json:
        print_json(found)
    elif sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

        Console().print(drawing.draw(stored.verdict_of(found)))
    else:
        print_table(["field", "value"], drawing.facts(stored.verdict_of(found)))


def list_rollouts(
    service: Annotated[str, typer.Option(help="Only those of this service.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    state: State = None,
    *,
    only_open: Annotated[bool, typer.Option("--open", help="Only those under way.")] = False,
    as_json: AsJson = False,
) -> None:
    """List rollouts, the latest first."""
    found = stored.find(servers(state)[1], service=service, limit=limit, only_open=only_open)
    if as_json:
        print_json(found)
        return
    columns = ["service", "canary", "baseline", "phase", "status", "outcome", "evidence", "opened"]
    print_table(columns, [_row(verdict) for verdict in found])


def exit_of(status: RolloutStatus) -> WatchExit:
    """What a rollout's end means to a script."""
    if status is RolloutStatus.PROMOTED:
        return WatchExit.PROMOTED
    return WatchExit.ROLLED_BACK if status is RolloutStatus.ROLLED_BACK else WatchExit.ENDED


def _watch(settings: ElasticsearchSettings, service: str, *, as_json: bool) -> WatchExit:
    """Show every look until the rollout that was open at first has ended."""
    verdict = stored.latest(settings, service)
    rollout = verdict.rollout
    show = _Lines(as_json=as_json) if as_json or not sys.stdout.isatty() else _Live()
    with show:
        while True:
            show(verdict)
            if not verdict.status.is_open:
                return exit_of(verdict.status)
            time.sleep(_EVERY_S)
            newer = _next(settings, service, verdict)
            if newer.rollout != rollout:  # it was replaced: the last word on it is its own
                newer = stored.looks(settings, rollout)[-1]
            verdict = newer


def _next(settings: ElasticsearchSettings, service: str, known: Verdict) -> Verdict:
    """The verdict as it is now; the known one while Elasticsearch does not answer."""
    try:
        return stored.latest(settings, service)
    except Recoverable as error:
        say(f"coalmine: {error}")
        return known


class _Lines:
    """A line, or a JSON document, whenever something changed: for pipes and logs."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last: object = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, verdict: Verdict) -> None:
        held = _FIGURES.sub("", verdict.held_because)  # "so far 12 s" is no news
        seen = (verdict.phase, verdict.status, verdict.outcome, held)
        if seen == self._last:
            return
        self._last = seen
        if self._as_json:
            print_json(verdict)
        else:
            sys.stdout.write(printable_lines(drawing.line(verdict)) + "\n")
        sys.stdout.flush()


class _Live:
    """The whole rollout, drawn anew at every look."""

    def __init__(self) -> None:
        from rich.live import Live  # noqa: PLC0415 - only a terminal needs it

        self._live = Live(auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def __call__(self, verdict: Verdict) -> None:
        self._live.update(drawing.draw(verdict), refresh=True)


def _row(verdict: dict[str, Any]) -> list[str]:
    return [
        str(verdict.get("service.name", "")),
        str(verdict.get("canary", "")),
        str(verdict.get("baseline", "")),
        str(verdict.get("phase", "")),
        str(verdict.get("status", "")),
        str(verdict.get("outcome", "")),
        f"{verdict.get('evidence_log10', 0.0):.2f}/{verdict.get('rollback_at_log10', 0.0):.2f}",
        drawing.when(verdict.get("opened_at")),
    ]
