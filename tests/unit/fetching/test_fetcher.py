"""The beginning of a file at a URL: as few bytes as it takes, in bounded time, nothing of ours sent along."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests import picture_host as hosts
from tests.picture_host import Answering, Host, hosting, jpg, serves
from worker.fetching import Fetched, Fetcher, FetchFault, Limits

ALLOWED = [ip_network("127.0.0.1/32")]
BRIEF = Limits(total_s=0.3)
COUNT_TO = 500_000
CERTIFICATE = Path(__file__).parents[2] / "data" / "tls" / "server.pem"


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


def fetch(host: Host, answering: Answering, *, least: int = 1000, limits: Limits | None = None) -> object:
    host.table["/a.jpg"] = answering
    fetcher = Fetcher(ALLOWED, limits=limits)
    return fetcher.beginning(f"{host.url}/a.jpg", lambda head: least, COUNT_TO)


def transient(words: str, status: int | None = None, *, of_host: bool = False) -> FetchFault:
    return FetchFault("transient", words, status, of_host)


PICTURE = jpg(size=200_000)


def test_of_a_host_that_knows_ranges_no_more_is_sent_than_is_needed(host: Host) -> None:
    """One request for the first bytes, which also tells the size."""
    assert fetch(host, serves(PICTURE)) == Fetched(PICTURE[:1000], 200_000, False)
    assert host.bytes_sent == 1000
    assert len(host.asked) == 1


def test_it_goes_on_until_there_is_enough(host: Host) -> None:
    """Only for what is not there yet, and not beyond the end."""
    host.table["/a.jpg"] = serves(PICTURE)
    steps = {0: 1000, 1000: 5000, 5000: 300_000}
    found = Fetcher(ALLOWED).beginning(f"{host.url}/a.jpg", lambda head: steps.get(len(head), 0), COUNT_TO)
    assert found == Fetched(PICTURE, 200_000, True)
    assert [headers["Range"] for _, headers in host.asked] == [
        "bytes=0-999",
        "bytes=1000-4999",
        "bytes=5000-199999",
    ]


def test_a_file_that_is_shorter_comes_whole(host: Host) -> None:
    """With or without ranges."""
    short = PICTURE[:600]
    assert fetch(host, serves(short)) == Fetched(short, 600, True)
    assert fetch(host, hosts.ignores_ranges(short)) == Fetched(short, 600, True)


def test_a_host_that_ignores_the_range_is_cut_off(host: Host) -> None:
    """What it goes on sending is not read; its Content-Length tells the size."""
    whole = jpg(size=50_000_000)
    assert fetch(host, hosts.ignores_ranges(whole)) == Fetched(whole[:1000], 50_000_000, False)


def test_a_size_that_nobody_says_is_counted_up_to_a_bound(host: Host) -> None:
    """To the end where it comes before that."""
    assert fetch(host, hosts.chunked(PICTURE)) == Fetched(PICTURE[:1000], 200_000, False)
    found = fetch(host, hosts.endless)
    assert isinstance(found, Fetched)
    assert (len(found.head), found.size) == (1000, COUNT_TO)


@pytest.mark.parametrize(
    "content_range",
    ["bytes 5-1004/200000", "bytes 0-999/*", "pixels 0-999/200000", "", "bytes 0-999/" + "9" * 30],
)
def test_a_part_that_was_not_asked_for_is_not_taken(content_range: str, host: Host) -> None:
    """The whole is asked for instead."""

    def answer(handler: hosts.Handler) -> None:
        if "Range" in handler.headers:
            handler.answer(206, b"x" * 1000, Content_Range=content_range)
        else:
            handler.answer(200, PICTURE)

    assert fetch(host, answer) == Fetched(PICTURE[:1000], 200_000, False)


def test_nothing_of_ours_is_sent_along(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a plain fetcher asks; proxies, credentials and certificates of the environment are not heeded."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    host.table["/away"] = hosts.says(302, Location="/a.jpg", Set_Cookie="a=b")
    host.table["/a.jpg"] = serves(PICTURE)
    url = f"http://user:password@127.0.0.1:{host.server_port}/away#fragment"
    assert isinstance(Fetcher(ALLOWED).beginning(url, lambda head: 100, COUNT_TO), Fetched)
    for _, headers in host.asked:
        assert headers.keys() == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection", "Range"}
        assert headers["Accept"] == "*/*"
        assert headers["Accept-Encoding"] == "identity"
        assert "aigc" not in headers["User-Agent"].lower()
        assert "python" not in headers["User-Agent"].lower()
    assert host.paths() == ["/away", "/a.jpg"]


def test_a_path_beyond_ascii_is_encoded(host: Host) -> None:
    """As browsers do; what is encoded already stays."""
    host.table["/%E5%89%AF%20x.jpg"] = serves(PICTURE)
    found = Fetcher(ALLOWED).beginning(f"{host.url}/副%20x.jpg?q=é", lambda head: 10, COUNT_TO)
    assert isinstance(found, Fetched)
    assert host.paths() == ["/%E5%89%AF%20x.jpg?q=%C3%A9"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_redirects_are_followed(status: int, host: Host) -> None:
    """And no fourth; a place that is written without its host is on the same one."""
    host.table["/1"] = hosts.redirects("2", status)
    host.table["/2"] = hosts.redirects(f"{host.url}/3", status)
    host.table["/3"] = hosts.redirects("/a.jpg", status)
    host.table["/a.jpg"] = serves(PICTURE)
    host.table["/0"] = hosts.redirects("/1")
    fetcher = Fetcher(ALLOWED)
    assert isinstance(fetcher.beginning(f"{host.url}/1", lambda head: 10, COUNT_TO), Fetched)
    found = fetcher.beginning(f"{host.url}/0", lambda head: 10, COUNT_TO)
    assert found == FetchFault("certain", "leads to more than 3 redirects")


@pytest.mark.parametrize("status", [401, 404, 410, 451, 204, 300])
def test_some_statuses_will_not_change(status: int, host: Host) -> None:
    """They are certain, and asked for once."""
    assert fetch(host, hosts.says(status)) == FetchFault("certain", f"is answered HTTP {status}", status)
    assert len(host.asked) == 1


@pytest.mark.parametrize("status", [202, 408, 425, 429, 500, 502, 503, 504, 599])
def test_others_may(status: int, host: Host) -> None:
    """The host, or a gateway, has trouble of its own."""
    assert fetch(host, hosts.says(status)) == transient(f"is answered HTTP {status}", status)


@pytest.mark.parametrize(
    ("status", "given", "wait_s"), [(429, "7", 7.0), (503, "later", None), (500, "7", None)]
)
def test_a_host_may_say_when_to_ask_again(status: int, given: str, wait_s: float | None, host: Host) -> None:
    """With the statuses that say that it has too much to do."""
    found = fetch(host, hosts.says(status, Retry_After=given))
    assert isinstance(found, FetchFault)
    assert (found.kind, found.retry_after_s) == ("transient", wait_s)


def test_who_refuses_is_asked_once_more_as_plainly_as_can_be(host: Host) -> None:
    """Without a range and by another user agent: some refuse either. Only then it is certain."""
    assert fetch(host, hosts.says(403)) == FetchFault("certain", "is answered HTTP 403", 403)
    assert len({headers["User-Agent"] for _, headers in host.asked}) == 2
    assert ["Range" in headers for _, headers in host.asked] == [True, False]

    def refuses_ranges(handler: hosts.Handler) -> None:
        handler.answer(403) if "Range" in handler.headers else handler.answer(200, PICTURE)

    assert fetch(host, refuses_ranges) == Fetched(PICTURE[:1000], 200_000, False)


def test_an_empty_file_is_no_range_that_cannot_be_had(host: Host) -> None:
    """A host that knows ranges answers 416 for it."""

    def empty(handler: hosts.Handler) -> None:
        if "Range" in handler.headers:
            handler.answer(416, Content_Range="bytes */0")
        else:
            handler.answer(200)

    assert fetch(host, empty) == Fetched(b"", 0, True)


def test_what_is_compressed_unasked_is_looked_at_unpacked(host: Host) -> None:
    """Its size is not known then; of a coding that nobody knows nothing is."""
    packed = hosts.says(200, gzip.compress(PICTURE), Content_Encoding="gzip")
    assert fetch(host, packed) == Fetched(PICTURE[:1000], None, False)
    assert fetch(host, hosts.says(200, b"x" * 99, Content_Encoding="br")) == Fetched(b"", None, False)
    left_over = hosts.says(200, PICTURE, Content_Encoding="aws-chunked")
    assert fetch(host, left_over) == Fetched(PICTURE[:1000], 200_000, False)


@pytest.mark.parametrize(
    "answering",
    [
        hosts.drips(b""),
        hosts.drips(b"HTTP/1.1 200 OK\r\nX-A: "),
        hosts.drips(b"HTTP/1.1 200 OK\r\n\r\n"),
        hosts.drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"),
        hosts.slow(5, serves(PICTURE)),
        hosts.slow(0.2, hosts.redirects("/a.jpg")),
    ],
    ids=["status", "header", "body", "chunk", "silence", "redirects"],
)
def test_time_is_bounded_as_a_whole(answering: Answering, host: Host) -> None:
    """A byte now and then extends nothing, and neither does a redirect."""
    found = fetch(host, answering, limits=BRIEF)
    assert found == transient("its host does not answer in time", of_host=True)


def test_headers_are_bounded(host: Host) -> None:
    """Those without end are cut off."""
    found = fetch(host, hosts.long_headers)
    assert found == transient("its host answers nothing that can be read (HTTPException)")
    assert host.bytes_sent < 10_000_000


def test_what_breaks_off_may_be_whole_another_time(host: Host) -> None:
    """A body that is shorter than was said, and what is no HTTP."""

    def breaks_off(handler: hosts.Handler) -> None:
        handler.answer(200, b"x" * 10, Content_Length="5000")

    assert fetch(host, breaks_off) == transient("its host answers nothing that can be read (IncompleteRead)")

    def no_http(handler: hosts.Handler) -> None:
        handler.send(b"220 smtp.example ESMTP\r\n")

    assert fetch(host, no_http) == transient("its host answers nothing that can be read (BadStatusLine)")


def test_nobody_there_is_the_hosts_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port at which nobody listens, and a name that does not resolve."""
    fetcher = Fetcher(ALLOWED)
    found = fetcher.beginning("http://127.0.0.1:2/a.jpg", lambda head: 10, COUNT_TO)
    assert found == transient("its host cannot be reached (Connection refused)", of_host=True)

    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    found = fetcher.beginning("http://no-such-host.invalid/a.jpg", lambda head: 10, COUNT_TO)
    assert found == transient("its host's name cannot be resolved", of_host=True)


def test_a_certificate_has_to_be_valid_for_the_name(host: Host) -> None:
    """One that nobody vouches for is refused, and one of another name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    host.socket = context.wrap_socket(host.socket, server_side=True)
    host.table["/a.jpg"] = serves(PICTURE)
    trusting = Fetcher(ALLOWED, trust=ssl.create_default_context(cafile=CERTIFICATE))
    right, wrong = (f"https://{name}:{host.server_port}/a.jpg" for name in ("127.0.0.1", "localhost"))
    assert trusting.beginning(right, lambda head: 10, COUNT_TO) == Fetched(PICTURE[:10], 200_000, False)
    for fetcher, url in ((Fetcher(ALLOWED), right), (trusting, wrong)):
        found = fetcher.beginning(url, lambda head: 10, COUNT_TO)
        assert isinstance(found, FetchFault)
        assert (found.kind, found.of_host) == ("transient", True)
        assert found.words.startswith("its host's certificate is not valid")
