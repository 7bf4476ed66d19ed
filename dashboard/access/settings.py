"""How the dashboard is guarded, as the command was told; checked before it listens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from contracts.config import Secret, resolve_secret
from contracts.errors import ConfigError

_SOURCE = "coalmine dashboard"
_SHORTEST_KEY = 32

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Access:
    """Who may look.

    Without users and without a proxy that names them, everybody who reaches the address may: that
    is the default on loopback, and must be asked for anywhere else (``is_open``).
    """

    users: Path | None = None
    key_file: Path | None = None
    proxies: tuple[Network, ...] = ()
    """Whose forwarded headers are believed."""
    user_header: str = ""
    """Set by such a proxy: who has logged in there."""
    operators: frozenset[str] = frozenset()
    """Users whom such a proxy names and who may steer rollouts."""
    is_open: bool = False

    @property
    def has_login(self) -> bool:
        """Whether requests need a user."""
        return self.users is not None or bool(self.user_header)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the dashboard listens."""

    host: str
    port: int
    access: Access = field(default_factory=Access)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def check_place(place: Place) -> None:
    """Refuse what would show telemetry to strangers.

    Raises:
        ConfigError: another address than loopback without login; a header that nobody may set.
    """
    access = place.access
    if access.user_header and not access.proxies:
        raise ConfigError(_SOURCE, "--user-header needs --proxy: whose header is believed")
    if access.operators and not access.user_header:
        expected = "--operator needs --user-header; users of a file have roles (users add --role)"
        raise ConfigError(_SOURCE, expected)
    if access.user_header and access.users is not None:
        raise ConfigError(_SOURCE, "--users and --user-header exclude each other")
    if not place.is_loopback and not access.has_login and not access.is_open:
        expected = (
            f"whoever reaches {place.host} could read everything: give --users FILE (coalmine "
            "dashboard users add), or --user-header with --proxy, or say --open"
        )
        raise ConfigError(_SOURCE, expected)


def networks(texts: list[str]) -> tuple[Network, ...]:
    """Networks such as ``10.0.0.0/8``, or single addresses.

    Raises:
        ConfigError: a text that is none.
    """
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError as error:
            expected = "expected an address or a network such as 10.1.0.0/16"
            raise ConfigError(_SOURCE, expected, field="--proxy", value=text) from error
    return tuple(found)


def session_key(access: Access) -> Secret:
    """The key of the cookies: from its file, else one that lasts as long as the process.

    Raises:
        ConfigError: the file cannot be read, or its key is too short.
    """
    if access.key_file is None:
        return Secret(secrets.token_urlsafe(48))
    key = resolve_secret(f"${{file:{access.key_file}}}", source=_SOURCE, field="--key-file")
    if len(key.reveal()) < _SHORTEST_KEY:
        expected = f"expected {_SHORTEST_KEY} characters or more"
        raise ConfigError(str(access.key_file), expected)
    return key
