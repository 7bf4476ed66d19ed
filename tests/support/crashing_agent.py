"""Runs the agent and kills it with SIGKILL at a named point of its work.

``python -m tests.support.crashing_agent POINT COUNT CONFIG``: the process dies when it comes to
POINT for the COUNT-th time. The points are wrapped around the agent's functions from outside, so
that nothing in the agent knows of them.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest.app import run


@dataclass(frozen=True, slots=True)
class Point:
    """Before or after a function is called, perhaps only while another one runs."""

    where: str
    """``module:function`` or ``module:Class.method``."""
    is_before: bool = True
    within: str = ""
    """Counts only while this function runs, in any thread."""


SPOOL = "ingest.spool:Spool"
CHECKPOINT = "ingest.checkpoint:Checkpoint"
WATCHER = "ingest.watch:Watcher"
INTAKE = "ingest.receiver.intake:Intake._spool"

POINTS = {
    "read, nothing spooled": Point("ingest.agent:Agent._take", is_before=False),
    "spool: before the file": Point(f"{SPOOL}.append"),
    "spool: written, not synced": Point("os:fsync", within=f"{SPOOL}.append"),
    "spool: synced, not renamed": Point("os:replace", within=f"{SPOOL}.append"),
    "spool: renamed, folder not synced": Point(
        "ingest.files:sync_directory", within=f"{SPOOL}.append"
    ),
    "spool: entry complete": Point(f"{SPOOL}.append", is_before=False),
    "send: before the first message": Point("ingest.sink:KafkaSink.deliver"),
    "send: messages handed over": Point("ingest.sink:_await_all"),
    "send: a round acknowledged": Point("ingest.sink:_await_all", is_before=False),
    "acknowledge: before it is noted": Point("ingest.sink:KafkaSink.deliver", is_before=False),
    "acknowledge: noted in memory": Point(f"{CHECKPOINT}.advance", is_before=False),
    "checkpoint: written, not synced": Point("os:fsync", within=f"{CHECKPOINT}.save"),
    "checkpoint: synced, not renamed": Point("os:replace", within=f"{CHECKPOINT}.save"),
    "checkpoint: complete, entries not deleted": Point(f"{SPOOL}.remove"),
    "checkpoint: in the middle of deleting": Point(
        "os:unlink", is_before=False, within=f"{SPOOL}.remove"
    ),
    "rotate: opened, not noted": Point(f"{WATCHER}.look", is_before=False),
    "rotate: truncation seen": Point(f"{WATCHER}._follow_copy"),
    "rotate: copy opened": Point(f"{WATCHER}._follow_copy", is_before=False),
    "rotate: rotated files looked for": Point(f"{WATCHER}._adopt_rotated"),
    "start: spool recovered": Point(f"{SPOOL}.recover", is_before=False),
}

RECEIVER_POINTS = {
    "receive: taken, not spooled": Point(INTAKE),
    "receive: written, not synced": Point("os:fsync", within=INTAKE),
    "receive: spooled, not answered": Point("ingest.writer:EntryWriter.write", is_before=False),
    "receive: in Kafka, not noted": Point("ingest.sink:KafkaSink.deliver", is_before=False),
    "receive: noted, not deleted": Point(f"{SPOOL}.remove"),
}
"""Of an agent that receives over HTTP."""


class Trap:
    """From its making on, the process dies at the ``count``-th visit of ``point``."""

    def __init__(self, point: Point, count: int) -> None:
        self._left = count
        self._running = 0 if point.within else 1
        _wrap(point.where, self._before if point.is_before else self._after)
        if point.within:
            _wrap(point.within, self._during)

    def _visit(self) -> None:
        self._left -= bool(self._running)
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _before(self, function: Callable[[], Any]) -> Any:
        self._visit()
        return function()

    def _after(self, function: Callable[[], Any]) -> Any:
        result = function()
        self._visit()
        return result

    def _during(self, function: Callable[[], Any]) -> Any:
        self._running += 1
        try:
            return function()
        finally:
            self._running -= 1


def _wrap(where: str, wrapper: Callable[[Callable[[], Any]], Any]) -> None:
    """Put ``wrapper`` around each call of the function that ``where`` names."""
    module, _, name = where.partition(":")
    owner: Any = import_module(module)
    *owners, last = name.split(".")
    for part in owners:
        owner = getattr(owner, part)
    function = getattr(owner, last)

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        return wrapper(functools.partial(function, *args, **options))

    setattr(owner, last, call)


def main() -> None:
    """See the module."""
    name, count, config = sys.argv[1:]
    Trap({**POINTS, **RECEIVER_POINTS}[name], int(count))
    run(Path(config))


if __name__ == "__main__":
    main()
