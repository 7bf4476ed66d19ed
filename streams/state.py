"""Bytes of table values: a service's whole state in one compact value."""

from __future__ import annotations

from typing import Any

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
