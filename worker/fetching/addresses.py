"""Which addresses a customer's URL may lead to: public ones, and those that a setting allows. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NEVER_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "192.0.0.0/24",  # protocol assignments; some versions of Python have it public
            "192.88.99.0/24",  # relays of 6to4
            "168.63.129.16/32",  # Azure's services for its own machines, within public space
        ),
    )
)
_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that is given out. What is beyond is local, reserved, or IPv4 in disguise."""

_NEVER_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
            "2001:db8::/32",
            "2002::/16",  # 6to4: the IPv4 address that it stands for may be private
            "3fff::/20",
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


def address_of(text: str) -> Address:
    """An address as the resolver writes it, without the scope of a link-local one.

    Raises:
        ValueError: it is none.
    """
    return ipaddress.ip_address(text.partition("%")[0])


def may_reach(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """Whether a connection to this address may be opened for a customer's URL."""
    plain = _unwrapped(address)
    if any(plain in network or address in network for network in allowed):
        return True
    return _is_public(plain)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that is reached through an IPv6 one, where it is a mapped or a translated one."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:  # what a resolver gives in a network without IPv4
            return IPv4Address(address.packed[-4:])
    return address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NEVER_V4)
    return address in _UNICAST and not any(address in network for network in _NEVER_V6)
