"""Bodies of requests as SDKs compress them, never larger than allowed."""

from __future__ import annotations

from types import ModuleType

import cramjam

from contracts.errors import InvalidRecord

_CODECS: dict[str, ModuleType] = {
    "gzip": cramjam.gzip,
    "x-gzip": cramjam.gzip,
    "deflate": cramjam.zlib,
    "br": cramjam.brotli,
    "zstd": cramjam.zstd,
}
ENCODINGS = ", ".join(_CODECS)
_NO_ROOM = "failed to write whole buffer"


class TooLargeError(Exception):
    """A body beyond the limit, as sent or once decompressed."""


class UnknownEncodingError(Exception):
    """A compression that nobody here knows."""


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before the sender compressed it.

    Args:
        body: as it came.
        encoding: the request's ``Content-Encoding``.
        limit: largest result, bytes; no more than this is ever held.

    Raises:
        TooLargeError: the result would be larger.
        UnknownEncodingError: another compression than ``ENCODINGS``.
        InvalidRecord: it is not compressed like this, or cut.

    >>> import zlib
    >>> decompressed(zlib.compress(b"hello"), "deflate", 5)
    b'hello'
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    codec = _CODECS.get(name)
    if codec is None:
        raise UnknownEncodingError(name)
    room = bytearray(limit)  # zeroes that nobody touches take no memory
    try:
        size = codec.decompress_into(body, room)
    except cramjam.DecompressionError as error:
        if _NO_ROOM in str(error):
            raise TooLargeError from error
        raise InvalidRecord("body cannot be decompressed", f"{name}: {error}") from error
    return bytes(memoryview(room)[:size])
