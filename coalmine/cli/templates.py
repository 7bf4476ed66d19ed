"""``coalmine templates``: log lines to what they have in common, with no server."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from coalmine.cli.output import EXIT_CODES, print_table
from coalmine.cli.progress import counting

if TYPE_CHECKING:
    from coalmine.template_reading import MinedFiles

_EXAMPLE_SHOWN = 160
_LINES_AT_ONCE = 4_096


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line as ``--json`` prints it; ``file`` where there are several."""

    line: int
    template_id: str
    template: str
    file: str = ""


def register(app: typer.Typer) -> None:
    """Add ``templates`` to the application."""
    app.command(epilog="Example: coalmine templates app.log old.log.gz --json")(templates)


def templates(
    files: Annotated[
        list[Path],
        typer.Argument(help="Log lines, raw or messages alone, plain or compressed; - is stdin."),
    ],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each line.")
    ] = False,
) -> None:
    """Find what log lines have in common, and print these templates, the commonest first.

    What varies is <*>. Where most lines begin with a time, host, process or level, that header is
    no part of the template. A template keeps its id wherever it is found again.
    """
    from coalmine.template_reading import MinedFiles  # noqa: PLC0415 - loads pyarrow

    with closing(MinedFiles()) as mined:
        with counting("lines") as progress:
            for path in files:
                mined.add(path, progress)
        if as_json:
            _print_lines(mined, names_files=len(files) > 1)
        else:
            _print_templates(mined)


templates.__doc__ = f"{templates.__doc__}\n\n{EXIT_CODES}"


def _print_lines(mined: MinedFiles, *, names_files: bool) -> None:
    encoder = msgspec.json.Encoder()
    waiting: list[Line] = []
    for path, line, template in mined.assigned():
        waiting.append(Line(line, template.id, template.text, str(path) if names_files else ""))
        if len(waiting) == _LINES_AT_ONCE:
            sys.stdout.write(encoder.encode_lines(waiting).decode())
            waiting.clear()
    sys.stdout.write(encoder.encode_lines(waiting).decode())


def _print_templates(mined: MinedFiles) -> None:
    rows = [
        [
            f"{row.template.count:,}",
            f"{row.template.count / mined.lines:.2%}",
            row.template.id,
            row.template.text,
            row.example[:_EXAMPLE_SHOWN],
        ]
        for row in mined.table()
    ]
    print_table(["lines", "share", "id", "template", "example"], rows)
