"""Ids of sessions and users as 64-bit hashes, whole columns at once.

An id is read in words of eight bytes, each mixed in by MurmurHash3's finalizer. A hash only has to
tell ids apart: what the sketches need of randomness they bring themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts import arrow

Hashes = npt.NDArray[np.uint64]

LONGEST = 256
"""Bytes of an id that count; ids are shorter."""
_WORD = 8
VIEW = np.dtype([("length", np.uint32), ("head", np.uint64), ("tail", np.uint32)])
"""A text that Arrow holds in place."""
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(_WORD + 1)], dtype=np.uint64)
"""What of a word belongs to an id that has n bytes left."""


_SHIFT = np.uint64(33)
_FACTORS = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_NOT_ASCII = np.uint64(0x8080808080808080)


def hashes_of(column: pa.StringArray | pa.StringViewArray) -> Hashes:
    """A hash of each id, shape (n,); what it is for a null has no meaning.

    Args:
        column: n ids, UTF-8, nulls allowed; the same id has the same hash in both types.

    >>> one = hashes_of(pa.array(["u1", "u2", None, "u1", ""]))
    >>> bool(one[0] == one[3]), len({int(h) for h in one[[0, 1, 4]]})
    (True, 3)
    """
    if not len(column):
        return np.zeros(0, dtype=np.uint64)
    if pa.types.is_string_view(column.type):
        texts = np.frombuffer(column.buffers()[1], VIEW)
        views = _Views.of(texts[column.offset :][: len(column)])
        if views.lengths.max() <= arrow.IN_PLACE_BYTES:
            return views.hashes()
        column = column.cast(pa.utf8())
    _, offsets, text = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset :][: len(column) + 1].astype(np.int64)
    lengths = np.minimum(np.diff(ends), LONGEST)
    words = _words(text, int(ends[-1]))
    found = lengths.astype(np.uint64)
    shortest = int(lengths.min())
    for start in range(0, int(lengths.max()), _WORD):
        if start < shortest:  # most often ids are about as long as one another
            left = np.minimum(lengths - start, _WORD)
            found = mixed(found ^ (words[ends[:-1] + start] & _MASKS[left]))
            continue
        rows = np.flatnonzero(lengths > start)
        left = np.minimum(lengths[rows] - start, _WORD)
        found[rows] = mixed(found[rows] ^ (words[ends[rows] + start] & _MASKS[left]))
    return found


def hashes_of_views(texts: npt.NDArray[np.void]) -> Hashes:
    """A hash of each id, shape (n,), of Arrow's views, ``VIEW`` (n,).

    Raises:
        ValueError: one stands outside of its view, is not ASCII, or is followed by anything but 0.
    """
    views = _Views.of(texts)
    if len(texts) and not views.are_plain():
        raise ValueError("not plain ids in place")
    return views.hashes()


class _Views(NamedTuple):
    """Texts as Arrow holds them in place: what they do not need of their 12 bytes is zero."""

    lengths: npt.NDArray[np.uint32]
    heads: Hashes
    """The first eight bytes."""
    tails: Hashes
    """The last four."""

    @classmethod
    def of(cls, texts: npt.NDArray[np.void]) -> _Views:
        lengths, heads = texts["length"].copy(), texts["head"].copy()
        return cls(lengths, heads, texts["tail"].astype(np.uint64))

    def are_plain(self) -> bool:
        """Whether all are ASCII and stand in place, with zeros behind."""
        shortest, longest = int(self.lengths.min()), int(self.lengths.max())
        if longest > arrow.IN_PLACE_BYTES:
            return False
        heads, tails = self.heads, self.tails
        lengths = self.lengths.astype(np.int64)
        if shortest == longest:  # most often ids are as long as one another
            heads, tails = np.bitwise_or.reduce(heads), np.bitwise_or.reduce(tails)
            lengths = lengths[0]
        of_head, of_tail = np.minimum(lengths, _WORD), np.maximum(lengths - _WORD, 0)
        beyond = (heads & (_NOT_ASCII | ~_MASKS[of_head])) | (
            tails & (_NOT_ASCII | ~_MASKS[of_tail])
        )
        return not np.any(beyond)

    def hashes(self) -> Hashes:
        """A hash of each, shape (n,)."""
        found = mixed(self.heads ^ self.lengths)
        longest = self.lengths.max(initial=0)
        longer = mixed(found ^ self.tails) if longest > _WORD else found
        if self.lengths.min(initial=longest) > _WORD:
            return longer
        is_long, is_some = self.lengths > _WORD, self.lengths > 0
        return np.where(is_long, longer, np.where(is_some, found, np.uint64(0)))


def _words(text: pa.Buffer | None, end: int) -> Hashes:
    """The eight bytes from each position of the text on, shape (end,)."""
    padded = np.zeros(end + _WORD, dtype=np.uint8)
    if text is not None:
        padded[:end] = np.frombuffer(text, np.uint8, end)
    words: Hashes = np.ndarray((end + 1,), np.uint64, padded, strides=(1,))
    return words


def mixed(values: Hashes) -> Hashes:
    """MurmurHash3's 64-bit finalizer of each value, shape (n,).

    Reference: Appleby, MurmurHash3, public domain, 2011.
    """
    found = values >> _SHIFT
    found ^= values
    for factor in _FACTORS:  # in place: memory is what this costs
        found *= factor
        found ^= found >> _SHIFT
    return found
