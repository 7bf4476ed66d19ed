"""Which addresses may be reached, and that one bad address refuses a name."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from alerting.addresses import ForbiddenAddressError, checked_addresses, is_permitted

EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize("text", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1"])
def test_public_addresses_need_no_leave(text: str) -> None:
    """What is public is a target."""
    assert is_permitted(ip_address(text), ())


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1",
        "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_private_addresses_need_leave(text: str) -> None:
    """Loopback and private ranges, hidden in IPv6 notations or not, only where allowed."""
    assert not is_permitted(ip_address(text), ())
    assert is_permitted(ip_address(text), EVERYTHING)


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fe80::1", "0.0.0.0", "::",  # noqa: S104 - an address to refuse
        "224.0.0.1", "255.255.255.255", "ff02::1", "100.100.100.200", "168.63.129.16",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd20:ce::254",
    ],
)  # fmt: skip
def test_metadata_services_are_never_a_target(text: str) -> None:
    """No configuration opens them."""
    assert not is_permitted(ip_address(text), EVERYTHING)


def test_leave_covers_only_the_networks_named() -> None:
    """One private network allowed is not all of them."""
    allowed = (ip_network("10.1.0.0/16"),)
    assert is_permitted(ip_address("10.1.2.3"), allowed)
    assert not is_permitted(ip_address("10.2.2.3"), allowed)


def test_one_bad_address_refuses_the_name() -> None:
    """A name with a public and a private address could be made to alternate: it is refused."""
    answers = [ip_address("93.184.216.34"), ip_address("127.0.0.1")]
    with pytest.raises(ForbiddenAddressError):
        checked_addresses("rebind.example", 443, (), lambda _host, _port: answers)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
def test_odd_spellings_of_loopback_are_seen_through(host: str) -> None:
    """What the resolver makes of the text is checked, not the text."""
    with pytest.raises(ForbiddenAddressError):
        checked_addresses(host, 80, ())
