"""Bytes of table values: a service's whole state in one compact value."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import msgspec

from contracts.config import Seconds
from streams.judge.service_state import ServiceState


def _decode_seconds(as_type: type[Any], value: object) -> object:
    if as_type is Seconds and isinstance(value, int | float):
        return Seconds(value)
    raise NotImplementedError(f"no decoder for {as_type}")


_encoder = msgspec.msgpack.Encoder(enc_hook=float)
_decoder = msgspec.msgpack.Decoder(ServiceState, dec_hook=_decode_seconds)


def encode_state(state: ServiceState) -> bytes:
    """MessagePack of the state."""
    return _encoder.encode(state)


def decode_state(value: bytes) -> ServiceState:
    """The state that ``encode_state`` wrote."""
    return _decoder.decode(value)


class _Held(NamedTuple):
    version: int
    size: int
    state: ServiceState


class DecodedStates:
    """States as objects, of the services that were used last.

    As objects they take ten times the memory of their bytes and more, so only so many are held as
    have ``room`` bytes when encoded; decoding one anew costs less than one look at it.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._size = 0

    def get(self, service: bytes, version: int) -> ServiceState | None:
        """The state, if it is held in this version."""
        held = self._held.get(service)
        if held is None or held.version != version:
            return None
        self._held.move_to_end(service)
        return held.state

    def hold(self, service: bytes, version: int, state: ServiceState, size: int) -> None:
        """Hold a state whose bytes are so many; those that were not used for longest make room."""
        self.drop(service)
        self._held[service] = _Held(version, size, state)
        self._size += size
        while self._size > self._room:
            self.drop(next(iter(self._held)))

    def drop(self, service: bytes) -> None:
        """Forget a state, if it is held."""
        if held := self._held.pop(service, None):
            self._size -= held.size
