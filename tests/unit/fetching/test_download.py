"""A whole file at a URL: every byte of it or a fault, bounded, nothing of ours sent along."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from tests import picture_host as hosts
from tests.picture_host import Answering, Host, hosting, png
from worker.fetching import Fetcher, FetchFault, Limits

ALLOWED = [ip_network("127.0.0.1/32")]
MOST = 1_000_000
PICTURE = png(size=700_000)


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


def download(
    host: Host, answering: Answering, limits: Limits | None = None, most: int = MOST
) -> tuple[int | FetchFault, bytes]:
    host.table["/a.png"] = answering
    pieces: list[bytes] = []
    found = Fetcher(ALLOWED, limits=limits).download(f"{host.url}/a.png?Signature=s", pieces.append, most)
    return found, b"".join(pieces)


def no_http(error: str) -> FetchFault:
    return FetchFault("transient", f"its host answers nothing that can be read ({error})")


@pytest.mark.parametrize("answer", [hosts.serves, hosts.chunked], ids=["length", "chunks"])
def test_a_whole_file_comes_in_pieces(answer: Callable[[bytes], Answering], host: Host) -> None:
    """With one plain request, for no range of it."""
    assert download(host, answer(PICTURE)) == (len(PICTURE), PICTURE)
    ((path, headers),) = host.asked
    assert path == "/a.png?Signature=s"
    assert headers.keys() == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}


@pytest.mark.parametrize("size", [MOST, 0])
def test_the_bounds_belong_to_what_is_taken(size: int, host: Host) -> None:
    """A file of as many bytes as are allowed, and one of none."""
    assert download(host, hosts.says(200, bytes(size))) == (size, bytes(size))


@pytest.mark.parametrize("answering", [hosts.says, hosts.chunked], ids=["length", "chunks"])
def test_a_file_that_is_too_large_is_not_taken(answering: object, host: Host) -> None:
    """At once where its length is said, else when there is too much of it; that will not change."""
    body = bytes(MOST + 1)
    said = answering is hosts.says
    found, taken = download(host, hosts.says(200, body) if said else hosts.chunked(body))
    assert found == FetchFault("certain", "brings more than 1,000,000 bytes")
    assert (taken == b"") == said
    assert len(taken) <= MOST


def endless_chunks(handler: hosts.Handler) -> None:
    handler.answer(200, Content_Length="", Transfer_Encoding="chunked")
    while True:
        handler.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def test_a_file_without_end_is_cut_off(host: Host) -> None:
    """After as many bytes as are allowed."""
    found, taken = download(host, endless_chunks)
    assert found == FetchFault("certain", "brings more than 1,000,000 bytes")
    assert len(taken) <= MOST
    assert host.bytes_sent < 50_000_000


def cut(handler: hosts.Handler) -> None:
    handler.answer(200, PICTURE[:-1], Content_Length=str(len(PICTURE)))


def cut_in_a_chunk(handler: hosts.Handler) -> None:
    handler.answer(200, Content_Length="", Transfer_Encoding="chunked")
    handler.send(b"%x\r\n%b" % (len(PICTURE), PICTURE[:-1]))


def cut_between_chunks(handler: hosts.Handler) -> None:
    handler.answer(200, Content_Length="", Transfer_Encoding="chunked")
    handler.send(b"%x\r\n%b\r\n" % (len(PICTURE), PICTURE))


@pytest.mark.parametrize("answering", [cut, cut_in_a_chunk, cut_between_chunks])
def test_a_file_that_breaks_off_is_none(answering: Answering, host: Host) -> None:
    """Though a byte of it be missing, or only the chunk that ends it; another time it may be whole."""
    assert download(host, answering)[0] == no_http("IncompleteRead")


def test_a_file_without_a_length_is_none(host: Host) -> None:
    """Nobody could tell whether it broke off."""
    found, taken = download(host, hosts.says(200, PICTURE, Content_Length=""))
    words = "is answered without a length, so that nobody could tell a part of it"
    assert (found, taken) == (FetchFault("transient", words), b"")


def test_a_part_is_no_file(host: Host) -> None:
    """From a host that sends one though nobody asked for it."""
    part = hosts.says(206, PICTURE[:100], Content_Range=f"bytes 0-99/{len(PICTURE)}")
    found, taken = download(host, part)
    words = "is answered with a part of the file, and the whole was asked for"
    assert (found, taken) == (FetchFault("transient", words), b"")


def test_what_is_compressed_unasked_is_unpacked(host: Host) -> None:
    """As browsers do it; in any other coding it is of no use."""
    packed = gzip.compress(PICTURE)
    assert download(host, hosts.says(200, packed, Content_Encoding="gzip")) == (len(PICTURE), PICTURE)
    assert download(host, hosts.says(200, PICTURE, Content_Encoding="aws-chunked"))[1] == PICTURE
    found, taken = download(host, hosts.says(200, b"x" * 99, Content_Encoding="br"))
    words = "is answered in a compression that was not asked for"
    assert (found, taken) == (FetchFault("certain", words), b"")


def test_few_bytes_that_stand_for_very_many_are_cut_off(host: Host) -> None:
    """Without having all of them in memory."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(pack.compress(bytes(2**20)) for _ in range(200)) + pack.flush()
    tracemalloc.start()
    found, taken = download(host, hosts.says(200, bomb, Content_Encoding="gzip"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == FetchFault("certain", "brings more than 1,000,000 bytes")
    assert len(taken) <= MOST
    assert peak < 20_000_000


@pytest.mark.parametrize("body", [gzip.compress(PICTURE)[:-9], b"no gzip at all"], ids=["cut", "other"])
def test_what_cannot_be_unpacked_is_no_file(body: bytes, host: Host) -> None:
    """A compressed file that breaks off, though its packed length is right, and what is none."""
    found, _ = download(host, hosts.says(200, body, Content_Encoding="gzip"))
    assert isinstance(found, FetchFault)
    assert found.kind == "transient"


@pytest.mark.parametrize(
    "answering",
    [hosts.drips(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"), hosts.slow(20, hosts.serves(PICTURE))],
    ids=["drips", "silent"],
)
def test_time_is_bounded_as_a_whole(answering: Answering, host: Host) -> None:
    """A byte now and then extends nothing."""
    found, _ = download(host, answering, Limits(total_s=0.3))
    assert found == FetchFault("transient", "its host does not answer in time", of_host=True)


def test_silence_is_bounded_too(host: Host) -> None:
    """A large file may take long; a host that says nothing at all may not."""

    def stops(handler: hosts.Handler) -> None:
        handler.answer(200, PICTURE[:10], Content_Length=str(len(PICTURE)))
        handler.server.ended.wait()

    found, _ = download(host, stops, Limits(total_s=600, silence_s=0.2))
    assert found == FetchFault("transient", "its host does not answer in time", of_host=True)


def test_a_redirect_is_followed_to_public_addresses_only(host: Host) -> None:
    """What stands behind it is checked as the first URL was."""
    host.table["/b.png"] = hosts.serves(PICTURE)
    assert download(host, hosts.redirects("/b.png")) == (len(PICTURE), PICTURE)
    found, taken = download(host, hosts.redirects("http://127.0.0.2:8080/b.png"))
    words = "must be at a public address, and its host has none"
    assert (found, taken) == (FetchFault("forbidden", words), b"")


def test_who_refuses_is_asked_once_more(host: Host) -> None:
    """As another client; only then it is certain."""
    assert download(host, hosts.says(403))[0] == FetchFault("certain", "is answered HTTP 403", 403)
    assert len({headers["User-Agent"] for _, headers in host.asked}) == 2


@pytest.mark.parametrize("error", [OSError("the disk"), ValueError("the format")])
def test_what_the_sink_raises_is_no_fault_of_the_host(error: Exception, host: Host) -> None:
    """It is raised as it is, though the network has errors of the same classes."""
    host.table["/a.png"] = hosts.serves(PICTURE)

    def sink(piece: bytes) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        Fetcher(ALLOWED).download(f"{host.url}/a.png", sink, MOST)
    assert caught.value is error
