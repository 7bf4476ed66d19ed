"""Free ports of the loopback interface."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
_RANGE = range(20_000, 30_000)
"""Below the ports that the system hands to clients, so that none of those takes one of ours."""


def free_port() -> int:
    """A port on which nothing listens now."""
    for _ in range(200):
        port = random.choice(_RANGE)  # noqa: S311 - not a secret
        if is_free(port):
            return port
    raise OSError(f"no free port between {_RANGE.start} and {_RANGE.stop}")


def preferred_port(port: int) -> int:
    """``port``, or a free one where something else listens on it."""
    return port if is_free(port) else free_port()


def is_free(port: int) -> bool:
    """Whether a server could listen on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def is_open(port: int, host: str = LOOPBACK) -> bool:
    """Whether something listens on this port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
