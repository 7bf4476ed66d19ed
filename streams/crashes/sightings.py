"""Crashes of one telemetry message → one sighting per group and release."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts.records import Crash, Frame
from contracts.results import CrashGroupSighting
from streams.crashes.group import NO_RULES, CrashGroup, group_of
from streams.crashes.rules import Rules

SAMPLE_STACKTRACE_BYTES = 16 * 1024
_SAMPLE_FRAMES = 128
_SAMPLE_MESSAGE = 4_096

_GroupKey = tuple[Any, ...]

CRASH_COLUMNS = ["runtime", "exception_type", "exception_message", "stacktrace", "frames"]
"""What a crash is grouped by."""


def groups_of_batch(
    batch: pa.RecordBatch, rules: Rules = NO_RULES
) -> tuple[npt.NDArray[np.int64], list[CrashGroup]]:
    """The crash groups of a batch: for each row (n,) the number of its group, and the groups."""
    groups: dict[str, tuple[int, CrashGroup]] = {}
    known: dict[_GroupKey, CrashGroup] = {}
    columns = [batch.column(name).to_pylist() for name in CRASH_COLUMNS]
    services = batch.column("service").to_pylist() if "service" in batch.schema.names else None
    codes = []
    rows = zip(*columns, services or [""] * batch.num_rows, strict=True)
    for runtime, of_type, message, stacktrace, frames, service in rows:
        crash = Crash(
            time=0,
            service=service or "",
            release="",
            runtime=runtime or "",
            exception_type=of_type or "",
            exception_message=message or "",
            stacktrace=stacktrace or "",
            frames=[Frame(**frame) for frame in frames or []],
        )
        key = _same_crash(crash)
        group = known.get(key) or known.setdefault(key, group_of(crash, rules))
        codes.append(groups.setdefault(group.fingerprint, (len(groups), group))[0])
    return np.array(codes, dtype=np.int64), [group for _, group in groups.values()]


def sightings(
    crashes: Iterable[Crash],
    *,
    topic: str,
    partition: int,
    offset: int,
    rules: Rules = NO_RULES,
) -> list[CrashGroupSighting]:
    """One sighting per service, group and release among the crashes of one Kafka message.

    A burst of identical crashes is fingerprinted once. The same message gives the same sightings,
    ids included, so that a message read twice counts once.

    Args:
        crashes: records of the message, in its order.
        topic: where the message stands.
        partition: where the message stands.
        offset: where the message stands.
        rules: a user's, which merge and split groups.
    """
    groups: dict[_GroupKey, CrashGroup] = {}
    seen: dict[tuple[str, str, str], CrashGroupSighting] = {}
    for crash in crashes:
        key = _same_crash(crash)
        group = groups.get(key)
        if group is None:
            group = groups[key] = group_of(crash, rules)
        identity = (crash.service, group.fingerprint, crash.release)
        sighting = seen.get(identity)
        if sighting is None:
            origin = f"{topic}/{partition}/{offset}"
            seen[identity] = _first_sighting(crash, group, origin)
        else:
            sighting.count += 1
            sighting.time = max(sighting.time, crash.time)
            sighting.first = min(sighting.first, crash.time)
    return list(seen.values())


def _same_crash(crash: Crash) -> _GroupKey:
    frames = tuple((f.module, f.function, f.file, f.in_app) for f in crash.frames)
    return (
        crash.service,
        crash.runtime,
        crash.exception_type,
        crash.exception_message,
        crash.stacktrace,
        frames,
    )


def _first_sighting(crash: Crash, group: CrashGroup, origin: str) -> CrashGroupSighting:
    return CrashGroupSighting(
        id=f"{origin}/{crash.service}/{group.fingerprint}/{crash.release}",
        time=crash.time,
        first=crash.time,
        service=crash.service,
        release=crash.release,
        fingerprint=group.fingerprint,
        algorithm=group.algorithm,
        title=group.title,
        culprit=group.culprit,
        runtime=group.runtime,
        count=1,
        merged_from=group.merged_from,
        sample=_sample(crash),
    )


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
