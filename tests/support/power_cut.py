"""What a disk may hold after a power cut: records writes, then makes every state they could leave.

What was not synced may be there or not: the data of a file wholly, by half or not at all, and any
subset of a folder's changes since the folder's own last sync, as far as they can stand alone.
"""

from __future__ import annotations

import builtins
import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

_MOST_AT_ONE_MOMENT = 64


@dataclass(frozen=True, slots=True)
class Op:
    """One recorded step.

    Args:
        kind: ``create``, ``data`` (what the file holds now), ``sync``, ``rename``, ``unlink``,
            ``sync folder``, or ``mark`` for something that happened elsewhere.
        path: of the file or folder.
        file: number of the file, which outlives renames.
        to: the new name.
        data: of the file.
        mark: what happened.
    """

    kind: str
    path: Path
    file: int = 0
    to: Path = Path()
    data: bytes = b""
    mark: Any = None


@dataclass(frozen=True, slots=True)
class Disk:
    """One state after a cut: the files, and everything that was marked before."""

    files: dict[Path, bytes]
    marks: list[Any]


class Recorder:
    """Records what is done to the files below ``folder`` while ``recording``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers: dict[Path, int] = {}
        self._seen: dict[int, bytes] = {}
        self.ops: list[Op] = []

    def mark(self, value: object) -> None:
        """Note that something happened elsewhere at this moment, for example a delivery."""
        self.ops.append(Op("mark", self._folder, mark=value))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note every step; everything goes to the real disk too."""
        with ExitStack() as stack:
            # what pathlib calls as well; its own ``open`` is another one
            for owner, name in (
                (builtins, "open"),
                (Path, "open"),
                (os, "replace"),
                (os, "rename"),
                (os, "unlink"),
            ):
                function = getattr(owner, name)
                stack.enter_context(patch.object(owner, name, self._noted(name, function)))
            sync = os.fsync
            stack.enter_context(patch("os.fsync", lambda fd: self._synced(fd, sync)))
            yield

    def _noted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, *args: Any, **options: Any) -> Any:
            path = Path(file) if isinstance(file, str | Path) else Path()
            if self._folder not in path.parents:
                return function(file, *args, **options)
            if name in ("replace", "rename"):
                self._note_data(path)
            existed = path.exists()
            result = function(file, *args, **options)
            if name == "open" and args and "w" in args[0]:
                self._numbers[path] = len(self.ops) + 1
                self.ops.append(Op("create", path, self._numbers[path]))
            elif name in ("replace", "rename"):
                to = Path(args[0])
                self._numbers[to] = self._numbers.pop(path)
                self.ops.append(Op("rename", path, self._numbers[to], to=to))
            elif name == "unlink" and existed:
                self.ops.append(Op("unlink", path, self._numbers.pop(path)))
            return result

        return call

    def _synced(self, fd: int, sync: Callable[[int], None]) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        sync(fd)
        if path.is_dir():
            self.ops.append(Op("sync folder", path))
        else:
            self._note_data(path)
            self.ops.append(Op("sync", path, self._numbers[path]))

    def _note_data(self, path: Path) -> None:
        number, data = self._numbers[path], path.read_bytes()
        if self._seen.get(number) != data:
            self._seen[number] = data
            self.ops.append(Op("data", path, number, data=data))


def disks_after(ops: Sequence[Op], chosen: random.Random) -> Iterator[Disk]:
    """Every state, up to 64 for each moment, in which a cut after the last of ``ops`` leaves it."""
    marks = [op.mark for op in ops if op.kind == "mark"]
    durable, doubtful = _split(ops)
    certain = {id(op) for op in durable}
    contents = _contents(ops)
    choices: list[Sequence[Any]] = [(True, False)] * len(doubtful)
    files = sorted({op.file for op in doubtful if len(contents[op.file]) > 1})
    choices += [contents[file] for file in files]
    every = itertools.product(*choices)
    for picked in _some(every, choices, chosen):
        kept = certain | {id(op) for op, is_kept in zip(doubtful, picked, strict=False) if is_kept}
        data = {file: variants[-1] for file, variants in contents.items()}
        data |= dict(zip(files, picked[len(doubtful) :], strict=True))
        names = _names([op for op in ops if id(op) in kept])
        yield Disk({path: data[file] for path, file in names.items()}, marks)


def _some(
    every: Iterator[tuple[Any, ...]], choices: Sequence[Sequence[Any]], chosen: random.Random
) -> Iterator[tuple[Any, ...]]:
    count = 1
    for choice in choices:
        count *= len(choice)
    if count <= _MOST_AT_ONE_MOMENT:
        yield from every
        return
    for _ in range(_MOST_AT_ONE_MOMENT):
        yield tuple(chosen.choice(choice) for choice in choices)


def _split(ops: Sequence[Op]) -> tuple[list[Op], list[Op]]:
    """Changes of names before the last sync of their folder, and those after it."""
    durable: list[Op] = []
    doubtful: list[Op] = []
    for op in ops:
        if op.kind in ("create", "rename", "unlink"):
            doubtful.append(op)
        elif op.kind == "sync folder":
            durable += [d for d in doubtful if d.path.parent == op.path]
            doubtful = [d for d in doubtful if d.path.parent != op.path]
    return durable, doubtful


def _contents(ops: Sequence[Op]) -> dict[int, tuple[bytes, ...]]:
    """What each file may hold, the newest last: one value where it was synced."""
    found: dict[int, tuple[bytes, ...]] = {}
    for op in ops:
        if op.kind == "create":
            found[op.file] = (b"",)
        elif op.kind == "data":
            found[op.file] = (b"", op.data[: len(op.data) // 2], op.data)
        elif op.kind == "sync":
            found[op.file] = found[op.file][-1:]
    return found


def _names(ops: Sequence[Op]) -> dict[Path, int]:
    """Names after these changes; one that lacks what it builds on has no effect."""
    names: dict[Path, int] = {}
    for op in ops:
        if op.kind == "create":
            names[op.path] = op.file
        elif op.kind == "rename":
            # the new name can be durable while the old one's end is not: both then name the file
            names.pop(op.path, None)
            names[op.to] = op.file
        elif names.get(op.path) == op.file:
            del names[op.path]
    return names
