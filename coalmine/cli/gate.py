"""``coalmine gate``: a pipeline waits until a release is found healthy, or is not."""

from __future__ import annotations

import os
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.api.bodies import Start, Steer
from coalmine.api.states import State
from coalmine.cli.output import print_json, say
from coalmine.cli.state import StateDirectory, api
from coalmine.gate.junit import junit as junit_of
from coalmine.gate.reporting import (
    annotation,
    leave,
    leave_summary,
    section,
    system_of,
)
from coalmine.gate.reporting import (
    dotenv as dotenv_of,
)
from coalmine.gate.waiting import Code, Ending, OnInconclusive, Waiting, exit_code
from contracts.clock import SystemClock
from contracts.config import seconds
from contracts.errors import ConfigError, Recoverable
from contracts.results import Answer

if TYPE_CHECKING:
    from coalmine.api.client import ApiClient

_HELP_CODES = (
    "Exit codes: 0 promoted, or the phase was left; 1 regressed; 2 wrong usage or configuration; "
    "4 inconclusive, ended from outside, or not decided in time; 5 no data."
)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: coalmine gate checkout 1.5.0 --timeout 30m --junit gate.xml")(gate)


def _duration(text: str) -> float:
    found = seconds(text)
    if found is None:
        raise typer.BadParameter(f"expected a duration such as 30m or 90s, found {text!r}")
    return found


def gate(
    service: Annotated[str, typer.Argument(help="The service's name (service.name).")],
    release: Annotated[str, typer.Argument(help="The canary; with --flag, its variant.")],
    *,
    timeout: Annotated[
        float, typer.Option(parser=_duration, metavar="DURATION", help="How long to wait.")
    ] = "30m",  # type: ignore[assignment]  # the parser reads the default, too
    interval: Annotated[
        float, typer.Option(parser=_duration, metavar="DURATION", help="How often to ask.")
    ] = "5s",  # type: ignore[assignment]  # see above
    phase: Annotated[
        str, typer.Option(help="Wait for this phase alone: until it is left for the next one.")
    ] = "",
    inconclusive: Annotated[
        OnInconclusive,
        typer.Option(help="What to do when the time is up: hold also holds the rollout."),
    ] = OnInconclusive.FAIL,
    start: Annotated[bool, typer.Option("--start", help="Open the rollout first.")] = False,
    baseline: Annotated[
        str, typer.Option(help="With --start: the release beside it; by default the busiest.")
    ] = "",
    reason: Annotated[
        str, typer.Option(help="With --start: why; one is needed soon after a rollback of it.")
    ] = "",
    flag: Annotated[str, typer.Option(help="The feature flag whose variant is the canary.")] = "",
    junit: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write a test report of one case.")
    ] = None,
    dotenv: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write COALMINE_RESULT, _ROLLOUT and _PHASE."),
    ] = None,
    state: StateDirectory = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the last state as JSON.")] = False,
) -> None:
    """Wait until a rollout is promoted or rolled back, and say so by the exit code.

    Asks the API that COALMINE_API and COALMINE_API_TOKEN (or _TOKEN_FILE) name, else that of a
    running coalmine up. While it is away the gate waits on. GitHub Actions, GitLab CI and Jenkins
    are told in their own words.
    """
    for option, value in (("--baseline", baseline), ("--reason", reason)):
        if value and not start:
            raise ConfigError("coalmine gate", f"{option} needs --start", value=value)
    title = f"{service} {flag + ':' if flag else ''}{release}{' ' + phase if phase else ''}"
    system = system_of(os.environ)
    from coalmine.api.client import ApiClient  # noqa: PLC0415 - slow to import

    with ApiClient(api(state)) as client, section(system, f"Coalmine: {title}", sys.stderr):
        wanted = Start(service=service, canary=release, baseline=baseline, flag=flag, reason=reason)
        source = _Source(client, wanted, phase, is_starting=start)
        ending = Waiting(source, _say_at, SystemClock()).run(timeout, interval)
        code = exit_code(ending, inconclusive)
        if code == Code.INCONCLUSIVE and inconclusive is OnInconclusive.HOLD:
            _hold(client, wanted, ending)
    sys.stderr.write(annotation(system, title, ending, code) + "\n")
    leave_summary(os.environ, title, ending, code)
    if junit:
        leave(junit, junit_of(service, title.removeprefix(f"{service} "), ending, code))
    if dotenv:
        leave(dotenv, dotenv_of(ending))
    if as_json:
        print_json({"result": ending.result, "exit_code": code, "state": ending.state})
    raise typer.Exit(code)


gate.__doc__ = f"{gate.__doc__}\n\n{_HELP_CODES}"


class _Source:
    """Where the rollout stands; opens it first where asked to, however often that takes."""

    def __init__(self, client: ApiClient, wanted: Start, phase: str, *, is_starting: bool) -> None:
        self._client = client
        self._wanted = wanted
        self._phase = phase
        self._is_starting = is_starting
        self._key = f"gate-{uuid.uuid4()}"
        self._rollout = ""

    def __call__(self) -> State:
        if self._is_starting:
            answer = self._client.start(self._wanted, self._key)
            _check(answer)
            _say_at(answer.message)
            self._rollout, self._is_starting = answer.rollout, False
        wanted = self._wanted
        return self._client.verdict(
            wanted.service,
            wanted.canary,
            phase=self._phase,
            flag=wanted.flag,
            rollout=self._rollout,
        )


def _check(answer: Answer) -> None:
    if not answer.code.is_accepted:
        raise ConfigError("coalmine gate --start", f"{answer.code}: {answer.message}")


def _hold(client: ApiClient, wanted: Start, ending: Ending) -> None:
    """Best effort: the gate fails in any case."""
    reason = f"A gate was not decided within {ending.waited_s:.0f} s."
    steer = Steer(reason=reason, canary=wanted.canary, flag=wanted.flag)
    with suppress(Recoverable):
        answer = client.hold(wanted.service, steer, f"gate-{uuid.uuid4()}")
        _say_at(answer.message)


def _say_at(line: str) -> None:
    say(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}")
