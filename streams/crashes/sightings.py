"""Crashes in columns → the groups they belong to, and one sighting per message and group.

A burst costs about as much as one crash: rows that hold the same crash are found by dictionary
codes, each different crash gets one fingerprint, and counts are one ``bincount``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts import arrow
from contracts.records import Crash, Frame, RecordKind
from contracts.results import CrashGroupSighting
from streams.crashes.group import NO_RULES, CrashGroup, group_of
from streams.crashes.rules import Rules
from streams.windows.ids import hashes_of

SAMPLE_STACKTRACE_BYTES = 16 * 1024
_SAMPLE_FRAMES = 128
_SAMPLE_MESSAGE = 4_096

Ints = npt.NDArray[np.int64]
Coded = tuple[Ints, list[str]]
"""A column as codes (n,) into its values."""
Grouped = tuple[Ints, list[CrashGroup]]
"""The number of each crash's group, (n,), and the groups by number."""

CRASH_COLUMNS = [
    *("service", "runtime", "exception_type", "exception_message", "stacktrace"),
    "frames",
]
"""What a crash is grouped by; the service, because a rule may be one service's."""
_FRAME_IDENTITY = ("module", "function", "file", "in_app")


def groups_of_batch(batch: pa.RecordBatch, rules: Rules = NO_RULES) -> Grouped:
    """The group of each crash; each different crash is fingerprinted once.

    Args:
        batch: n crashes, at least the columns ``CRASH_COLUMNS``.
        rules: a user's, which merge and split groups.

    Returns:
        The number of each row's group, (n,), and the groups by number, each fingerprint once, in
        the order of their first rows.
    """
    same = _same_crash(batch)
    first_rows = _first_rows(same)
    numbers: dict[str, int] = {}
    groups: list[CrashGroup] = []
    of_crash = np.zeros(len(first_rows), np.int64)
    for number, crash in enumerate(_nameless(batch, first_rows)):
        group = group_of(crash, rules)
        if group.fingerprint not in numbers:
            groups.append(group)
        of_crash[number] = numbers.setdefault(group.fingerprint, len(numbers))
    return of_crash[same], groups


def sightings(batch: pa.RecordBatch, grouped: Grouped, origins: Coded) -> list[CrashGroupSighting]:
    """One sighting for each message, service, group, release and arm, in order of first rows.

    The same message gives the same sightings, ids included, whatever is read together with it, so
    that a message read twice counts once. Only which of them have a sample depends on that: the
    first of each service, group and release.

    Args:
        batch: n crashes, all columns of ``contracts.arrow.schemas``.
        grouped: what ``groups_of_batch`` says of them.
        origins: the message of each crash: ``topic/partition/offset``.
    """
    if not batch.num_rows:
        return []
    of_row, groups = grouped
    labels = {name: _codes(batch.column(name)) for name in ("service", "release", "arm")}
    parts = [of_row, *(codes for codes, _ in labels.values())]
    same = _numbered([pa.array(codes) for codes in (origins[0], *parts)], batch.num_rows)
    rows = _first_rows(same)
    times = arrow.numbers(batch.column("time"))
    first, last = np.full(len(rows), times.max()), np.full(len(rows), times.min())
    np.minimum.at(first, same, times)
    np.maximum.at(last, same, times)
    counts = np.bincount(same).tolist()
    users = _users(batch.column("user"), same)
    found = []
    for number, row in enumerate(rows.tolist()):
        group, origin = groups[of_row[row]], origins[1][origins[0][row]]
        service, release, arm = (values[codes[row]] for codes, values in labels.values())
        found.append(
            CrashGroupSighting(
                id=_id(origin, service, group.fingerprint, release, arm),
                time=int(last[number]),
                first=int(first[number]),
                service=service,
                release=release,
                arm=arm,
                fingerprint=group.fingerprint,
                algorithm=group.algorithm,
                base=group.base,
                title=group.title,
                culprit=group.culprit,
                runtime=group.runtime,
                count=counts[number],
                users=users.get(number, []),
            )
        )
    _add_samples(found, batch, rows, grouped)
    return found


def _add_samples(
    found: list[CrashGroupSighting], batch: pa.RecordBatch, rows: Ints, grouped: Grouped
) -> None:
    """The crash in full to the first sighting of each service, group and release."""
    chosen: dict[tuple[str, str, str], int] = {}
    for number, seen in enumerate(found):
        chosen.setdefault((seen.service, seen.fingerprint, seen.release), number)
    numbers = [*chosen.values()]
    for number, crash in zip(numbers, _crashes(batch, rows[numbers]), strict=True):
        found[number].sample = _sample(crash)
        found[number].is_sampled = True
        group = grouped[1][grouped[0][rows[number]]]
        found[number].calls = [call.name for call in group.frames]


def _id(origin: str, service: str, fingerprint: str, release: str, arm: str) -> str:
    # quoted, an arm has no slash: no two sightings of a message get one id
    of_arm = f"+{quote(arm, safe='')}" if arm else ""
    return f"{origin}/{service}/{fingerprint}{of_arm}/{release}"


def _users(column: pa.Array, same: Ints) -> dict[int, list[int]]:
    """Hashes of the distinct users behind each number, 63 bits each, ascending."""
    known = np.flatnonzero(arrow.numbers(column.is_valid()))
    if not len(known):
        return {}
    hashes = (hashes_of(column)[known] >> np.uint64(1)).astype(np.int64)
    users, of_row = np.unique(hashes, return_inverse=True)
    pairs = np.unique(same[known] * len(users) + of_row)
    found: dict[int, list[int]] = {}
    owners, numbers = pairs // len(users), pairs % len(users)
    for number, user in zip(owners.tolist(), users[numbers].tolist(), strict=True):
        found.setdefault(number, []).append(user)
    return found


def _codes(column: pa.Array) -> Coded:
    """Codes (n,) into the column's values; a null is an empty text."""
    values = [value or "" for value in column.dictionary.to_pylist()]
    return arrow.numbers(column.indices, null=len(values)).astype(np.int64), [*values, ""]


def _same_crash(batch: pa.RecordBatch) -> Ints:
    """A number for each row, (n,): rows with the same number hold the same crash.

    Numbers ascend from 0 in the order of their first rows.
    """
    columns = [batch.column(name) for name in CRASH_COLUMNS[:-1]]
    columns.append(_same_frames(batch.column("frames")))
    return _numbered(columns, batch.num_rows)


def _same_frames(frames: pa.ListArray) -> pa.Array:
    """Bytes for each row that are equal where its frames are."""
    lengths = arrow.numbers(frames.value_lengths(), null=0)
    calls = frames.flatten()  # what stands under a null is left out
    fields = dict(zip(calls.type.names, calls.flatten(), strict=True))
    numbers = _numbered([fields[name] for name in _FRAME_IDENTITY], len(calls)).astype(np.int32)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32) * numbers.itemsize
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(numbers)]
    return pa.Array.from_buffers(pa.binary(), len(frames), buffers)


def _numbered(columns: list[pa.Array], rows: int) -> Ints:
    """A number for each row, (n,): the same where all columns are, ascending from 0."""
    key: Ints = np.zeros(rows, np.int64)
    for column in columns:
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()  # noqa: PLW2901 - the same values
        codes = arrow.numbers(column.indices, null=-1).astype(np.int64) + 1
        key = key * (len(column.dictionary) + 1) + codes
        key = arrow.numbers(pa.array(key).dictionary_encode().indices).astype(np.int64)
    return key


def _first_rows(numbers: Ints) -> Ints:
    """The first row of each number, (m,); numbers ascend from 0 without a gap."""
    first = np.zeros(int(numbers.max(initial=-1)) + 1, np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return first


def _nameless(batch: pa.RecordBatch, rows: Ints) -> Iterator[Crash]:
    """What tells the groups of some rows, which ascend: crashes of no release and no time."""
    some = _chosen(batch.select(CRASH_COLUMNS), rows)
    columns = [some.column(name).to_pylist() for name in CRASH_COLUMNS]
    for service, runtime, of_type, message, stacktrace, frames in zip(*columns, strict=True):
        yield Crash(
            time=0,
            service=service or "",
            release="",
            runtime=runtime or "",
            exception_type=of_type or "",
            exception_message=message or "",
            stacktrace=stacktrace or "",
            frames=[Frame(**frame) for frame in frames or [] if frame],
        )


def _chosen(batch: pa.RecordBatch, rows: Ints) -> pa.RecordBatch:
    is_chosen = np.zeros(batch.num_rows, np.bool_)
    is_chosen[rows] = True
    return arrow.where(batch, pa.array(is_chosen))


def _crashes(batch: pa.RecordBatch, rows: Ints) -> list[Crash]:
    """The crashes of some rows, which ascend."""
    return [
        record
        for record in arrow.records_from_batch(RecordKind.CRASHES, _chosen(batch, rows))
        if isinstance(record, Crash)
    ]


def _sample(crash: Crash) -> dict[str, Any]:
    """The crash in full but bounded, by its JSON names."""
    bounded = msgspec.structs.replace(
        crash,
        stacktrace=_middle_cut(crash.stacktrace, SAMPLE_STACKTRACE_BYTES),
        exception_message=crash.exception_message[:_SAMPLE_MESSAGE],
        frames=crash.frames[-_SAMPLE_FRAMES:],
    )
    sample: dict[str, Any] = msgspec.to_builtins(bounded)
    return sample


def _middle_cut(text: str, limit_bytes: int) -> str:
    """Both ends of a text that is too long: one names the exception, the other the culprit."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit_bytes:
        return text
    mark = b"\n... cut ...\n"
    half = (limit_bytes - len(mark)) // 2
    return (raw[:half] + mark + raw[-half:]).decode("utf-8", "ignore")
