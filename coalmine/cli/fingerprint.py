"""``coalmine fingerprint``: crash reports and logs to crash groups, with no server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from coalmine.cli.output import EXIT_CODES, print_table, say
from coalmine.cli.progress import counting
from contracts.crash_rules import load_crash_rules
from contracts.records import Frame
from streams.crashes.group import CrashGroup, analysed
from streams.crashes.rules import Rules

if TYPE_CHECKING:  # it loads pyarrow, and every command would wait for that
    from coalmine.crash_reading import Found

_TOLD_EACH = 1_000
_SHOWN_REFUSED = 20


class Source(msgspec.Struct, frozen=True):
    """Where a crash stood; ``line`` is its number where the file is one JSON array."""

    file: str
    line: int


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One frame; file and line where they are known."""

    module: str
    function: str
    in_app: bool
    file: str = ""
    line: int | None = None


class Fingerprinted(msgspec.Struct, frozen=True):
    """One crash as ``--json`` prints it; frames are outermost first."""

    group: str
    title: str
    runtime: str
    exception_type: str
    frames: list[Line]
    fingerprint_version: str
    source: Source


def register(app: typer.Typer) -> None:
    """Add ``fingerprint`` to the application."""
    app.command(epilog="Example: coalmine fingerprint crashes.jsonl.gz app.log --json")(fingerprint)


def fingerprint(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Crash reports (Coalmine's or Sentry's JSON, envelopes), crash files or logs, "
            "plain or compressed; - is standard input."
        ),
    ],
    *,
    rules: Annotated[
        Path | None, typer.Option(help="Rules of groups; see coalmine schema crash-rules.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each crash.")
    ] = False,
) -> None:
    """Group crashes by what broke, and print the groups.

    A record that cannot be read is told on stderr with its place, and the rest goes on.
    """
    groups: dict[str, tuple[CrashGroup, int]] = {}
    refused = _Refused()
    compiled = Rules(load_crash_rules(rules) if rules else None)
    with counting("crashes") as told:
        for number, found in enumerate(_all(files, refused), 1):
            group, chosen = analysed(found.crash, compiled)
            if as_json:
                _print(found, group, chosen.frames)
            else:
                first, count = groups.get(group.fingerprint, (group, 0))
                groups[group.fingerprint] = (first, count + 1)
            if number % _TOLD_EACH == 0:
                told(number)
    if not as_json:
        _print_groups(groups)
    refused.summary()


fingerprint.__doc__ = f"{fingerprint.__doc__}\n\n{EXIT_CODES}"


class _Refused:
    """Tells of unusable records: the first ones each, the rest as a number."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, file: str, line: int, reason: str) -> None:
        """One record that was passed over."""
        self._count += 1
        if self._count <= _SHOWN_REFUSED:
            say(f"coalmine: {file}:{line}: {reason}")

    def summary(self) -> None:
        """How many there were."""
        if self._count:
            records = "1 record" if self._count == 1 else f"{self._count:,} records"
            say(f"coalmine: {records} could not be read")


def _all(files: list[Path], refused: _Refused) -> Iterator[Found]:
    from coalmine.crash_reading import crashes_in  # noqa: PLC0415 - loads pyarrow

    for path in files:
        yield from crashes_in(path, refused)


def _print(found: Found, group: CrashGroup, frames: list[Frame]) -> None:
    crash = found.crash
    one = Fingerprinted(
        group=group.fingerprint,
        title=group.title,
        runtime=group.runtime,
        exception_type=crash.exception_type or group.title.partition(":")[0],
        frames=[Line(f.module, f.function, bool(f.in_app), f.file, f.line) for f in frames],
        fingerprint_version=group.algorithm,
        source=Source(found.file, found.line),
    )
    sys.stdout.write(msgspec.json.encode(one).decode() + "\n")


def _print_groups(groups: dict[str, tuple[CrashGroup, int]]) -> None:
    ordered = sorted(groups.values(), key=lambda found: -found[1])
    rows = [[str(count), g.fingerprint, g.title, g.culprit, g.runtime] for g, count in ordered]
    print_table(["crashes", "group", "title", "culprit", "runtime"], rows)
