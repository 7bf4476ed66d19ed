"""zstd at once, where a batch says how large it was before it was compressed.

aiokafka decompresses into a buffer that it does not know the size of, block by block, and copies
what came out: a third more time than the whole at once. What the agent writes says its size, as
does whatever compresses a batch at once; what does not goes the library's way.
"""

from __future__ import annotations

import sys
import threading

import zstandard
from aiokafka import codec
from aiokafka.record.default_records import DefaultRecordBatch

_LARGEST = 64_000_000
"""Bytes that are taken at a batch's word; no batch of ours has so many."""


class _Own(threading.local):
    """A decompressor for each thread: they are not to be shared, and dear to make."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor()


_own = _Own()


def zstd_decode(payload: bytes) -> bytes:
    """What was compressed.

    >>> zstd_decode(zstandard.compress(b"one ") + zstandard.compress(b"other"))
    b'one other'
    """
    try:
        if 0 < zstandard.frame_content_size(payload) <= _LARGEST:
            found: bytes = _own.zstd.decompress(payload, allow_extra_data=False)
            return found
    except zstandard.ZstdError:  # more frames than one, or none
        pass
    decoded: bytes = codec.zstd_decode(payload)
    return decoded


def install() -> None:
    """Have aiokafka read batches so; there is no public way."""
    sys.modules[DefaultRecordBatch.__module__].zstd_decode = zstd_decode  # type: ignore[attr-defined]
