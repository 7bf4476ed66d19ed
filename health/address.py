"""Where a process tells of its health; apart, because the command knows it and loads no more."""

from __future__ import annotations

from typing import NamedTuple


class Address(NamedTuple):
    """Host and port to listen on; port 0 takes a free one."""

    host: str
    port: int
