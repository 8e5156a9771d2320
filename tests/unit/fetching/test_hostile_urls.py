"""URLs that lead to where no request of ours may go: no connection is made, whatever the way there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from tests.picture_host import Host, hosting, jpg, redirects, serves
from worker.fetching import Fetched, Fetcher, FetchFault

ALLOWED = [ip_network("127.0.0.1/32")]


@pytest.fixture
def host() -> Iterator[Host]:
    """A host that must hear nothing."""
    with hosting(ok_jpg=serves(jpg())) as host:
        yield host


def fetch(url: str, allowed: Any = ()) -> Fetched | FetchFault:
    return Fetcher(allowed).beginning(url, lambda head: 1000, 5000)


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "user:password@127.0.0.1",
        "example.com@127.0.0.1",
        "example.com%40@127.0.0.1",
        "127%2e0%2e0%2e1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
    ],
)
def test_a_host_that_is_this_machine_is_not_asked(name: str, host: Host) -> None:
    """In no notation, with no user in front of it."""
    found = fetch(f"http://{name}:{host.server_port}/ok.jpg")
    assert isinstance(found, FetchFault)
    assert found.kind in ("forbidden", "certain")
    assert "127" not in found.words
    assert host.connections == 0


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://169.254.169.254/latest/meta-data/", "forbidden"),
        ("http://100.100.100.200/latest/meta-data/", "forbidden"),
        ("http://[fd00:ec2::254]/", "forbidden"),
        ("http://[fe80::1%25lo]/", "forbidden"),
        ("http://224.0.0.1/", "forbidden"),
        ("file:///etc/passwd", "forbidden"),
        ("ftp://example.com/a.jpg", "forbidden"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "forbidden"),
        ("http://8.8.8.8:6379/", "forbidden"),
        ("https://8.8.8.8:25/", "forbidden"),
        ("//8.8.8.8/a.jpg", "certain"),
        ("http://", "certain"),
        ("http:///a.jpg", "certain"),
        ("http://example..com/a.jpg", "certain"),
        (f"http://{'a' * 64}.com/", "certain"),
        ("http://8.8.8.8:99999/", "certain"),
        ("http://[8.8.8.8/", "certain"),
        ("", "certain"),
    ],
)
def test_no_connection_is_tried(url: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other schemes, ports of other protocols, addresses that are not public, and what is no URL."""

    def connect(self: socket.socket, address: object) -> None:
        raise AssertionError(f"it connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    found = fetch(url)
    assert isinstance(found, FetchFault)
    assert found.kind == kind


class Resolver:
    """A resolver whose answers change from one call to the next."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    def getaddrinfo(self, host: str, port: int, *_: object, **__: object) -> list[Any]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (family[":" in each], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (each, port)) for each in answer
        ]


def test_a_name_that_changes_its_address_after_the_check_is_resolved_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the very address that was checked."""
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    found = fetch(f"http://shop.example:{host.server_port}/ok.jpg", ALLOWED)
    assert isinstance(found, Fetched)
    assert resolver.asked == 1
    assert host.asked[0][1]["Host"] == f"shop.example:{host.server_port}"


def test_of_several_addresses_only_those_that_may_be_are_tried(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private address among public ones is passed over, in whichever place it stands."""
    tried = []

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError

    resolver = Resolver(["127.0.0.1", "93.184.216.34", "10.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", connect)
    found = fetch(f"http://shop.example:{host.server_port}/ok.jpg")
    assert isinstance(found, FetchFault)
    assert (found.kind, found.of_host) == ("transient", True)
    assert tried == ["93.184.216.34"]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/ok.jpg",
        "http://[::1]:{port}/ok.jpg",
        "//127.0.0.2:{port}/ok.jpg",
        "http://2130706434:{port}/ok.jpg",
        "http://localhost.:{port}@127.0.0.2:{port}/ok.jpg",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_a_redirect_to_what_may_not_be_reached_is_not_followed(location: str, host: Host) -> None:
    """Each target is checked anew; the first host is one that a setting allows."""
    host.table["/away"] = redirects(location.format(port=host.server_port))
    found = fetch(f"{host.url}/away", ALLOWED)
    assert isinstance(found, FetchFault)
    assert found.kind == "forbidden"
    assert host.paths() == ["/away"]


def test_a_redirect_that_resolves_to_another_address_is_checked_anew(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same name may have another address by then."""
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    host.table["/away"] = redirects("/ok.jpg")
    found = fetch(f"http://shop.example:{host.server_port}/away", ALLOWED)
    assert isinstance(found, FetchFault)
    assert found.kind == "forbidden"
    assert host.paths() == ["/away"]
