"""Where a webhook may go: every address that a name has is checked, and only those are used.

A name that can be made to point inside (a rebinding resolver, a stale record) must not turn
Coalmine into a way in. So: link-local and other special ranges never, cloud metadata services
never, private ranges only where the endpoint allows them; and one bad address refuses the name.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from alerting.settings import Network

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[Address]]

_NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local: the metadata services of most clouds
        "168.63.129.16/32",  # Azure's host
        "100.100.100.200/32",  # Alibaba's metadata service
        "192.0.0.0/24",  # Oracle's metadata service and protocol assignments
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fd00:ec2::/32",  # Amazon's metadata service
        "fd20:ce::254/128",  # Google's
        "fe80::/10",
        "ff00::/8",
    )
)
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_CARRIER = ip_network("100.64.0.0/10")


class ForbiddenAddressError(Exception):
    """The target is in a range that this endpoint may not reach."""


def checked_addresses(
    host: str, port: int, allowed: Sequence[Network], resolve: Resolve | None = None
) -> Sequence[Address]:
    """All addresses of ``host``, each of them permitted.

    Raises:
        ForbiddenAddressError: one of them is not.
        OSError: the name has none, or the resolver does not answer.
    """
    addresses = (resolve or resolve_name)(host, port)
    for address in addresses:
        if not is_permitted(address, allowed):
            raise ForbiddenAddressError(f"{address} is not a permitted target")
    return addresses


def is_permitted(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether a connection to ``address`` may be made.

    >>> is_permitted(ip_address("93.184.216.34"), [])
    True
    >>> is_permitted(ip_address("10.1.2.3"), []), is_permitted(ip_address("::ffff:127.0.0.1"), [])
    (False, False)
    """
    address = _meant(address)
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    if address.is_global and not (address.version == 4 and address in _CARRIER):
        return True
    return any(address in network for network in allowed if network.version == address.version)


def resolve_name(host: str, port: int) -> Sequence[Address]:
    """The system's answer, each address once, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 notation hides, if it hides one."""
    if not isinstance(address, IPv6Address):
        return address
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
