"""Where an agent listens for SDKs, from whom it takes records and how much."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from contracts.config import Seconds
from contracts.errors import ConfigError
from health.address import Address

_LISTEN = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^\s:\[\]]+):(?P<port>\d{1,5})")
_ORIGIN = re.compile(r"\*|https?://[^/\s*]+")
_SMALLEST_BODY = 1024


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the agent's file; unknown words in it are errors."""


class Project(_Section, frozen=True):
    """What the records of one Sentry project get where they say nothing themselves."""

    service: str = ""
    release: str = ""
    arm: str = ""


class ReceiverSettings(_Section, frozen=True):
    """The local HTTP receiver; without this section nothing listens."""

    listen: str = "127.0.0.1:4318"
    """``host:port``; 4318 is where OpenTelemetry's SDKs look first."""
    open: bool = False
    """Whether it may listen beyond this machine without ``keys``."""
    keys: tuple[str, ...] = ()
    """``${env:NAME}`` or ``${file:/path}``: who does not name one of them is refused."""
    origins: tuple[str, ...] = ("*",)
    """Web sites whose pages may send, for example ``https://shop.example.com``; ``*`` is any."""
    max_body_bytes: int = 10 * 1024 * 1024
    """Of one request, also once decompressed."""
    max_connections: int = 200
    timeout: Seconds = Seconds(10.0)
    """For a client to send its request; an idle connection ends after so long too."""
    service: str = ""
    release: str = ""
    projects: dict[str, Project] = {}
    """By the number at the end of a Sentry address (DSN)."""

    @property
    def address(self) -> Address:
        """Where to listen."""
        host, _, port = self.listen.rpartition(":")
        return Address(host.strip("[]"), int(port))


def check_receiver(receiver: ReceiverSettings, path: str) -> None:
    """Refuse what cannot work.

    Raises:
        ConfigError: one sentence with file, field, value and what was expected.
    """
    match = _LISTEN.fullmatch(receiver.listen)
    if match is None or int(match["port"]) > 65_535:
        expected = "expected host:port, for example 127.0.0.1:4318"
        raise ConfigError(path, expected, field="receiver.listen", value=receiver.listen)
    if not (is_loopback(receiver.address.host) or receiver.keys or receiver.open):
        expected = "beyond this machine it listens only with keys, or with open: true"
        raise ConfigError(path, expected, field="receiver.listen", value=receiver.listen)
    for index, origin in enumerate(receiver.origins):
        if not _ORIGIN.fullmatch(origin):
            expected = "expected * or a site such as https://shop.example.com"
            raise ConfigError(path, expected, field=f"receiver.origins[{index}]", value=origin)
    limits = {
        "max_body_bytes": (receiver.max_body_bytes, _SMALLEST_BODY, 256 * 1024 * 1024),
        "max_connections": (receiver.max_connections, 1, 10_000),
        "timeout": (float(receiver.timeout), 0.1, 600),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            expected = f"expected {low} to {high}"
            raise ConfigError(path, expected, field=f"receiver.{name}", value=value)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
