"""Reading in pieces of any size equals reading at once; no input breaks a parser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest import multiline
from ingest.lines import LineSplitter
from ingest.multiline import Joined, Joiner, JoinRules
from ingest.parsers.base import Labels
from ingest.parsers.factory import parser_for
from ingest.prefixes import boundaries_of
from ingest.settings import FileSource, Format, SourceKind
from ingest.tracebacks.detect import find_traceback

LABELS = Labels(service="s", release="1")
CONTENT = st.lists(st.binary(max_size=40), max_size=30).map(b"\n".join)
PIECES = st.lists(st.integers(1, 30), max_size=60)
FRAGMENTS = [
    b"Traceback (most recent call last):",
    b'  File "a.py", line 1, in f',
    b"ValueError: x",
    b"",
    b"  + Exception Group Traceback (most recent call last):",
    b"During handling of the above exception, another exception occurred:",
    b"panic: x",
    b"goroutine 1 [running]:",
    b"main.main()",
    b"\tat a.b(C.java:1)",
    b"Caused by: x",
    b"Unhandled exception:",
    b"#0      main (file:///a.dart:1:1)",
    b"[1] log line",
    b"/srv/a.js:3",
    b"thread 'main' panicked at src/main.rs:1:2:",
    b"an ordinary line",
]
PREFIXES = [b"", b"[pid 1] ", b"[pid 2] ", b"[pid 2] [worker-7] ", b"10:00:01 ERROR "]
Marks = Callable[[Sequence[bytes], JoinRules], tuple[list[int], list[bool]]]
TRACES = st.lists(st.sampled_from(FRAGMENTS), max_size=25)


def pieces_of(content: bytes, sizes: list[int]) -> list[bytes]:
    """The content cut at the given sizes; the rest is the last piece."""
    pieces = []
    for size in sizes:
        pieces.append(content[:size])
        content = content[size:]
    return [*pieces, content]


@given(CONTENT, PIECES, st.integers(1, 50))
def test_pieces_do_not_matter_to_lines(content: bytes, sizes: list[int], limit: int) -> None:
    """Lines, offsets and cuts are the same however the bytes arrive."""
    at_once = LineSplitter(limit)
    whole = at_once.feed(content)
    splitter = LineSplitter(limit)
    lines: list[bytes] = []
    ends: list[int] = []
    cut: dict[int, int] = {}
    for piece in pieces_of(content, sizes):
        got = splitter.feed(piece)
        cut |= {len(lines) + i: n for i, n in got.cut.items()}
        lines += got.lines
        ends += got.ends

    assert (lines, ends, cut) == (whole.lines, whole.ends, whole.cut)
    assert splitter.flush() == at_once.flush()


def fed(lines: list[bytes], sizes: list[int]) -> list[Joined]:
    """The records of lines that come so many at a time; every line ends at its number."""
    joiner = Joiner(JoinRules())
    ends = list(range(1, len(lines) + 1))
    records = []
    at = 0
    for size in [*sizes, len(lines)]:
        records += joiner.feed(lines[at : at + size], ends[at : at + size])
        at += size
    return [*records, *joiner.flush()]


@given(TRACES, PIECES)
def test_pieces_do_not_matter_to_records(lines: list[bytes], sizes: list[int]) -> None:
    """A record is the same whether its lines come together or one by one."""
    assert fed(lines, sizes) == fed(lines, [])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from(PREFIXES), st.sampled_from(FRAGMENTS)), max_size=40), PIECES
)
def test_what_is_known_of_quiet_lines_spares_work_only(
    written: list[tuple[bytes, bytes]], sizes: list[int]
) -> None:
    """The records are the same where every line is looked at as if it could be of a trace."""
    lines = [prefix + said for prefix, said in written]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(multiline, "_FEW_LINES", 0)
        known = fed(lines, sizes)
        patched.setattr(multiline, "_marks", nothing_known)
        thorough = fed(lines, sizes)
    assert sorted(known) == sorted(thorough)


def nothing_known(
    lines: Sequence[bytes], rules: JoinRules, marks: Marks = multiline._marks
) -> tuple[list[int], list[bool]]:
    """As the joiner has it, but no line is known to be quiet."""
    suspects, is_quiet = marks(lines, rules)
    return suspects, [False] * len(is_quiet)


@given(TRACES)
def test_joining_keeps_every_line(lines: list[bytes]) -> None:
    """Joined or not, every line that is not blank is in exactly one record, in order."""
    records = fed(lines, [])

    kept = [line for record in records for line in record.line.split(b"\n") if line]
    assert kept == [line for line in lines if line]
    assert [r.end for r in records] == sorted(r.end for r in records)


_HEAD, _CALL = b"Traceback (most recent call last):", b'  File "a.py", line 1, in f'


@example(  # a line that another record held in doubt came after a later one of its writer
    [
        *[*[(b"", _HEAD)] * 5, *[(b"", b"ValueError: x")] * 2, (b"[pid 1] ", _CALL)],
        *[(b"[pid 2] ", _CALL), (b"[pid 1] ", _HEAD), *[(b"", _HEAD)] * 5],
        *[(b"[pid 2] ", _HEAD), (b"[pid 1] ", _HEAD)],
    ],
    39,
    [],
)
@example(  # the same, where the other record's prefix is longer
    [
        *[(b"", _HEAD), (b"[pid 2] ", b"[1] log line"), (b"[pid 2] ", b"")],
        *[(b"[pid 2] [worker-7] ", _HEAD), (b"[pid 2] ", _HEAD)],
    ],
    0,
    [],
)
@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(PREFIXES), st.sampled_from(FRAGMENTS)), max_size=40),
    st.integers(0, 300),
    PIECES,
)
def test_interleaved_lines_are_kept(
    written: list[tuple[bytes, bytes]], padding: int, sizes: list[int]
) -> None:
    """Every line of every writer is in one record, each writer's in order, in pieces or at once."""
    numbered = [
        (prefix, said + b" ~%d" % number if said else b"")
        for number, (prefix, said) in enumerate(written)
    ]
    ordinary = [(b"", b"GET /%d" % number) for number in range(padding)]
    lines = [prefix + said for prefix, said in [*numbered, *ordinary, *numbered]]
    records = fed(lines, sizes)

    said = [said for _, said in [*numbered, *ordinary, *numbered] if said]
    kept = [line for record in records for line in record.line.split(b"\n")]
    spans = sorted(span for record in records for span in record.spans)
    numbers = [line.rpartition(b"~")[2] for line in kept if b"~" in line]
    assert sorted(numbers) == sorted(text.rpartition(b"~")[2] for text in said if b"~" in text)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
    assert sorted(r.line for r in records) == sorted(r.line for r in fed(lines, []))
    ends: dict[bytes, list[int]] = {}
    for record in records:
        if boundaries := boundaries_of(record.line):
            ends.setdefault(boundaries[-1].writer, []).append(record.end)
    assert all(found == sorted(found) for found in ends.values())


SOURCES = [
    FileSource(paths=["x"]),
    FileSource(paths=["x"], kind=SourceKind.LOGS),
    FileSource(paths=["x"], format=Format.COMBINED),
    FileSource(paths=["x"], kind=SourceKind.LOGS, format=Format.LOGFMT),
    FileSource(paths=["x"], kind=SourceKind.LOGS, format=Format.PLAIN),
    FileSource(
        paths=["x"],
        kind=SourceKind.LOGS,
        format=Format.REGEX,
        pattern=r"(?P<time>\S*) (?P<message>.*)",
    ),
]
JSONISH = st.dictionaries(
    st.sampled_from(["time", "status", "user", "service", "http", "duration_ms", "ok", "x"]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dictionaries(st.sampled_from(["name", "id", "route"]), st.integers(), max_size=2),
).map(lambda fields: repr(fields).replace("'", '"').encode())


@given(st.sampled_from(SOURCES), st.lists(st.binary(max_size=60) | JSONISH, max_size=8))
def test_no_line_breaks_a_parser(source: FileSource, lines: list[bytes]) -> None:
    """Every line is a record or is rejected with a reason, whatever bytes it has."""
    parsed = parser_for(source).parse(lines, LABELS, 1)

    assert len(parsed.records) + len(parsed.rejected) == len(lines)
    assert all(r.reason for r in parsed.rejected)


@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=20), max_size=20))
def test_no_text_breaks_the_trace_parsers(lines: list[bytes]) -> None:
    """Any mixture of trace fragments is a failure or is none; it never raises."""
    text = b"\n".join(lines).decode("utf-8", "backslashreplace")

    found = find_traceback(text)

    assert found is None or found.runtime
