"""What every benchmark with sides does around its runs: choose, tell, and write the figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import typer

from benchmarks.throughput.load import ROOT

BUILD = ROOT / "build" / "bench"


class Named(Protocol):
    """Whatever is chosen by its name."""

    @property
    def name(self) -> str:
        """Its name on the command line."""


NamedT = TypeVar("NamedT", bound=Named)


def chosen(sides: Sequence[NamedT], names: list[str] | None) -> list[NamedT]:
    """The sides of these names, or all."""
    known = {side.name: side for side in sides}
    if unknown := set(names or ()) - known.keys():
        raise typer.BadParameter(f"{', '.join(unknown)}: expected some of {', '.join(known)}")
    return [known[name] for name in names] if names else list(sides)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def publish(figures: msgspec.Struct, text: str, path: Path) -> None:
    """Print the figures, and write them as indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    print(text)
