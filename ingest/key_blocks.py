"""Private keys that a log shows line by line: each line is a record, none is a key by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.files import FileKey
from ingest.redaction_rules import mark

_COVER = mark("private_key").encode()
_BEGIN = b"PRIVATE KEY"
_BODY = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}|\A[A-Za-z0-9+/]{1,16}={0,2}\r?\Z")
_HEADER = re.compile(rb"\A(?:Proc-Type|DEK-Info|Comment|Version): |\A\s*\Z")
# as RFC 7468 wraps a key; a digest in hexadecimal digits has no such mixture
_WRAPPED = re.compile(rb"(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9+/]{64}\r?")
_WRAPPED_LENGTHS = frozenset({64, 65})
_MAX_LINES = 200


class KeyBlocks:
    """Covers the lines of private keys, file by file.

    A key begins at its ``BEGIN`` line, or at a line as keys are wrapped (an agent that starts anew
    within a key sees no ``BEGIN``), and ends at the first line that does not look like its body.
    """

    def __init__(self) -> None:
        self._lines_left: dict[FileKey, int] = {}

    def cover(self, file: FileKey, lines: Sequence[bytes]) -> Sequence[bytes]:
        """``lines`` of one file, in order, with the bodies of keys replaced; as many as given."""
        if file not in self._lines_left and not _may_begin(lines):
            return lines
        return [self._covered(file, line) for line in lines]

    def _covered(self, file: FileKey, line: bytes) -> bytes:
        left = self._lines_left.pop(file, 0)
        if _BEGIN in line:
            if b"-----END" not in line:
                self._lines_left[file] = _MAX_LINES
            return line
        if not left and not _is_wrapped(line):
            return line
        covered, count = _BODY.subn(_COVER, line)
        if count or _HEADER.match(line):
            self._lines_left[file] = (left or _MAX_LINES) - 1
        return covered


def _may_begin(lines: Sequence[bytes]) -> bool:
    if not _WRAPPED_LENGTHS.isdisjoint(map(len, lines)) and any(map(_is_wrapped, lines)):
        return True
    return _BEGIN in b"\n".join(lines)


def _is_wrapped(line: bytes) -> bool:
    return len(line) in _WRAPPED_LENGTHS and _WRAPPED.fullmatch(line) is not None
