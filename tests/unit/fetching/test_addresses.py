"""Which addresses a customer's URL may lead to."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from requests_hardened.ip_filter import InvalidIPAddress, get_ip_address

from worker.fetching.addresses import address_of, may_reach

PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # metadata
    "100.100.100.200",  # metadata, within the space of carriers' NAT
    "100.64.0.1",
    "192.0.0.192",
    "192.88.99.1",
    "168.63.129.16",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",  # NAT64 of private ones
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8",
    "2002:7f00:1::",  # 6to4
    "2002:808:808::",
    "2001::1",  # Teredo
    "2001:db8::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "5f00::1",
    "4000::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    """Also those of IPv4 that are written as IPv6, or translated by the network."""
    assert may_reach(address_of(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_other_address_may(address: str) -> None:
    """Neither this machine, its network, nor what stands for them in another notation."""
    assert not may_reach(address_of(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_known_filter_refuses_nothing_that_passes_here(address: str) -> None:
    """A second opinion: what requests-hardened refuses, this refuses as well."""
    try:
        get_ip_address(address, 80, allow_loopback=False)
    except InvalidIPAddress:
        assert not may_reach(address_of(address))


def test_a_setting_allows_more() -> None:
    """A network of its own, and only that; also where IPv6 stands for it."""
    allowed = [ip_network("127.0.0.0/8"), ip_network("fd00::/8")]
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1"):
        assert may_reach(address_of(address), allowed)
    for address in ("10.0.0.1", "::1", "169.254.169.254"):
        assert not may_reach(address_of(address), allowed)
