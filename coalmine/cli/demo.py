"""``coalmine demo``: a bad canary is rolled back, on real servers, before your eyes."""

from __future__ import annotations

import signal
import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from coalmine.cli.output import Exit, print_json, say

if TYPE_CHECKING:
    from coalmine.demo.scene import Options

_EXAMPLE = "Example: coalmine demo --once --json --headless"
_EXIT_CODES = (
    "Exit codes: 0 it ended as it should, 1 it did not, 2 wrong usage, 130 stopped before its end."
)


class Release(StrEnum):
    """Which build of 1.5.0 becomes the canary."""

    BAD = "bad"
    GOOD = "good"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog=f"{_EXAMPLE}. {_EXIT_CODES}")(demo)


def demo(
    *,
    release: Annotated[
        Release, typer.Option(help="A canary with two bugs, or one without.")
    ] = Release.BAD,
    once: Annotated[bool, typer.Option("--once", help="Exit after the timeline.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the timeline as one JSON object on stdout.")
    ] = False,
    headless: Annotated[bool, typer.Option("--headless", help="Open no browser.")] = False,
    rate: Annotated[
        float, typer.Option(min=20, max=2000, help="Customers' requests a second.")
    ] = 250,
    watch: Annotated[
        float, typer.Option(min=5, max=3600, help="Seconds to watch a good canary.")
    ] = 60,
    patience: Annotated[
        float, typer.Option(min=5, max=3600, help="Seconds a bad canary may take to be gone.")
    ] = 120,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Dashboard's port; a free one if not given."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Keep servers' data and logs in a new directory here."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the temporary directory at the end.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Which customers come.")] = 0,
) -> None:
    """Show a bad canary being rolled back: real servers, real HTTP, real crashes.

    Starts Kafka and Elasticsearch (or uses COALMINE_KAFKA and COALMINE_ELASTICSEARCH), a small
    shop that nobody instrumented, its customers, a deploy tool and all of Coalmine; deploys a
    canary; ends with the timeline, and at Ctrl-C with everything.
    """
    from coalmine.demo.scene import Options  # noqa: PLC0415 - other commands load no Kafka client

    options = Options(
        bad_release=release is Release.BAD,
        rate=rate,
        patience_s=patience,
        watch_s=watch,
        state=state,
        keep=keep,
        dashboard_port=port,
        seed=seed,
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    raise typer.Exit(_run(options, once=once, as_json=json, headless=headless))


def _run(options: Options, *, once: bool, as_json: bool, headless: bool) -> int:
    from coalmine.demo.scene import Scene  # noqa: PLC0415 - see above
    from coalmine.demo.screen import Screen  # noqa: PLC0415 - see above

    screen = Screen()
    ended_well: bool | None = None
    try:
        with Scene(options, screen) as scene:
            url = scene.set_up()
            screen.note(f"The dashboard: [bold link={url}]{url}[/]")
            if not headless:
                webbrowser.open(url)
            timeline, ended_well = scene.roll_out()
            if as_json:
                print_json(timeline)
            else:
                screen.show(timeline)
            screen.note_end(ended_well=ended_well)
            if not once:
                screen.note("Customers keep coming; Ctrl-C ends everything.")
                scene.stay_open()
    except KeyboardInterrupt:
        say("stopped: every process of the demo has ended")
        if ended_well is None:
            return Exit.STOPPED
    return Exit.OK if ended_well else Exit.FAILED


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
