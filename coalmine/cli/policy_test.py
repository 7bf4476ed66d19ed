"""``coalmine test``: unit tests of policies, written in YAML beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.cli.output import Exit, print_json, say
from contracts.errors import ConfigError
from contracts.journal import printable_lines

if TYPE_CHECKING:
    from coalmine.policies.suite import Tested

_EPILOG = (
    "Example: coalmine test policies/ --junit build/policies.xml. "
    "Exit codes: 0 all tests hold, 1 a test does not, 2 wrong usage or configuration."
)


def register(app: typer.Typer) -> None:
    """Add ``test`` to the application."""
    app.command("test", epilog=_EPILOG)(run_tests)


def run_tests(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="Files *.test.yaml, or their directories.")
    ],
    *,
    only: Annotated[str, typer.Option("-k", help="Only tests whose name holds this.")] = "",
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit document to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Run the unit tests of policies, with no server: given traffic or events, what is decided."""
    from coalmine.policies import suite  # noqa: PLC0415 - loads scipy

    tested: list[Tested] = []
    for path in suite.files_of(paths):
        of_file = suite.run_file(path, only)
        tested += of_file
        if not as_json:
            _print(of_file)
    if junit:
        _write(junit, suite.junit(tested))
    failed = sum(not one.passed for one in tested)
    if as_json:
        print_json(tested)
    else:
        say(f"{len(tested) - failed} of {len(tested)} tests hold.")
    if failed:
        raise SystemExit(Exit.FAILED)


def _print(tested: Sequence[Tested]) -> None:
    for one in tested:
        sign = "ok  " if one.passed else "FAIL"
        typer.echo(printable_lines(f"{sign}  {one.file}: {one.name} ({one.took_s:.1f} s)"))
        if one.passed:
            continue
        for difference in one.differences:
            typer.echo(printable_lines(f"      {difference}"))
        decisions = ", ".join(one.decisions) or "no decision"
        typer.echo(printable_lines(f"      {decisions}; in phase {one.phase or '–'}: {one.reason}"))


def _write(path: Path, document: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document, encoding="utf-8")
    except OSError as error:
        raise ConfigError("--junit", f"cannot be written: {error}", value=str(path)) from error
