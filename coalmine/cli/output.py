"""How every command speaks: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum

import msgspec
import typer

from contracts.errors import CoalmineError
from contracts.journal import printable, printable_lines


class Exit(IntEnum):
    """Exit codes of every command, as its help says them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DEAD_LETTERS = 3
    STOPPED = 130


EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."


def say(message: str) -> None:
    """Lines for people, on stderr; what a log smuggled in cannot move a terminal's cursor."""
    typer.echo(printable_lines(message), err=True)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    document = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    sys.stdout.write(document.decode() + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: drawn on a terminal, tab-separated in a pipe."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            sys.stdout.write("\t".join(map(printable, row)) + "\n")
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        # as Text: a plain string would be read as markup
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns Coalmine's own errors into one sentence on stderr and an exit code."""
    try:
        yield
    except CoalmineError as error:
        say(f"coalmine: {error}")
        raise SystemExit(error.exit_code) from None
