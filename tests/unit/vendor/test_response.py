"""The reader of answers: what it takes for an answer, and after which the connection may be used again."""

from __future__ import annotations

import http.client
import io
from itertools import pairwise
from typing import Any, cast

import pytest
from httptools import HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.outcome import Reply
from worker.vendor import strict
from worker.vendor.message import ANSWER_MAX_BYTES, HEAD_MAX_BYTES, INTERIM_MAX, LINES_MAX, BadAnswerError
from worker.vendor.response import ResponseReader


class File:
    """What http.client reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def read(data: bytes, cuts: set[int] | None = None) -> tuple[Reply, bool]:
    """What a reader makes of these bytes, in pieces, and of their end."""
    reader = ResponseReader()
    edges = sorted({cut % (len(data) + 1) for cut in cuts or ()} | {0, len(data)})
    for start, end in pairwise(edges):
        if found := reader.add(data[start:end]):
            return found
    found = reader.add(b"")
    assert found
    return found


def chunked(body: bytes, size: int, extension: bytes, trailer: bytes) -> bytes:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%X%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return framed + b"0%b\r\n%b\r\n" % (extension, trailer)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A proper answer, framed in one of the three ways."""
    body = draw(st.binary(max_size=200))
    lines = draw(
        st.lists(
            st.sampled_from(
                [b"Date: Fri, 15 Jan 2027 08:00:00 GMT", b"retry-after:3", b"Set-Cookie: a", b"X-Empty:"]
            )
        )
    )
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        extension, trailer = draw(st.sampled_from([b"", b";a=b"])), draw(st.sampled_from([b"", b"X: y\r\n"]))
        body = chunked(body, draw(st.integers(1, 50)), extension, trailer)
    status = draw(st.sampled_from([b"200 OK", b"200", b"429 Slow down", b"503 ", b"302 Found"]))
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"]))
    return interim + b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", b""]) + body


@given(answers(), st.sets(st.integers(0, 2000)))
def test_it_reads_what_http_client_reads(data: bytes, cuts: set[int]) -> None:
    """Whatever the pieces that it arrives in."""
    theirs = http.client.HTTPResponse(cast(Any, File(data)), method="POST")
    theirs.begin()
    reply, clean = read(data, cuts)
    expected = Reply(
        theirs.status, theirs.read(), theirs.headers.get("Retry-After"), theirs.headers.get("Date")
    )
    assert reply == expected
    assert clean is not theirs.will_close


@given(st.data(), answers(), st.sets(st.integers(0, 2000)))
def test_damage_neither_hangs_it_nor_passes_for_clean(
    data: st.DataObject, answer: bytes, cuts: set[int]
) -> None:
    """Bytes lost, added and changed: an answer or an error; clean only with not a byte too many or few."""
    start = data.draw(st.integers(0, len(answer)))
    end = data.draw(st.integers(start, min(len(answer), start + 20)))
    noise = data.draw(st.binary(max_size=20) | st.sampled_from([b"\r\n", b"\n", b": ", b"0", b"chunked"]))
    damaged = answer[:start] + noise + answer[end:]
    in_pieces, in_one = attempt(damaged, cuts), attempt(damaged)
    assert (in_pieces and in_pieces[0]) == (in_one and in_one[0])
    if in_one and in_one[1]:
        assert not in_one[0].truncated
        assert attempt(damaged[:-1]) != in_one != attempt(damaged + b"x")


def attempt(data: bytes, cuts: set[int] | None = None) -> tuple[Reply, bool] | None:
    try:
        return read(data, cuts)
    except (BadAnswerError, ConnectionError):
        return None


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = b"1\r\nx\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 1\r\n\r\nx",
        OK + b"content-length:1\r\nConnection: Keep-Alive\r\n\r\nx",
        OK + b"Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 1\r\n\r\nx",
        OK + b"Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
    ],
    ids=["plain", "keep-alive", "cookies", "chunked", "interim"],
)
def test_an_ordinary_answer_leaves_a_clean_connection(data: bytes) -> None:
    """The next request may follow."""
    reply, clean = read(data)
    assert (reply.body, reply.truncated, clean) == (b"x", False, True)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (OK + b"Content-Length: 1\r\n\r\nxy", b"x"),
        (OK + b"Content-Length: 1\r\nConnection: close\r\n\r\nx", b"x"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", b"x"),
        (OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
        (OK + b"Content-Length: 1\r\n folded\r\n\r\nx", b"x"),
        (OK + b"Content-Length: 1\r\nno colon\r\n\r\nx", b"x"),
        (OK + b"Content-Length: 1\r\nspace : before\r\n\r\nx", b"x"),
        (OK + b"\r\nx", b"x"),
        (OK + b"Connection: keep-alive\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (OK + b"Connection: keep-alive, close\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS, b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"\r\n", b"x"),
        (b"\r\n" + OK + b"Content-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 103 Early\r\n\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n", b""),
        (b"HTTP/1.1 101 Switching\r\nContent-Length: 1\r\n\r\n", b""),
    ],
    ids=[
        "surplus",
        "close",
        "two-lengths",
        "both",
        "folded",
        "no-colon",
        "space",
        "no-length",
        "two-connections",
        "two-tokens",
        "chunked-twice",
        "surplus-line-end",
        "line-end-before",
        "line-end-between",
        "1.0",
        "204",
        "101",
    ],
)
def test_after_anything_odd_the_connection_is_closed(data: bytes, body: bytes) -> None:
    """The answer counts; what might follow it cannot be told apart from it for certain."""
    reply, clean = read(data)
    assert (reply.body, reply.truncated, clean) == (body, False, False)


@pytest.mark.parametrize(
    ("rest", "body"),
    [
        (b"Content-Length: 3\r\n\r\nxy", b"xy"),
        (b"Content-Length: -1\r\n\r\nxy", b""),
        (b"Content-Length: 1_0\r\n\r\nxy", b""),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nxy", b""),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * LINES_MAX, b""),
    ],
    ids=["short", "negative", "underscore", "huge", "coding", "hex", "overlong", "no-last-chunk", "trailer"],
)
def test_a_body_that_cannot_be_told_whole_is_truncated(rest: bytes, body: bytes) -> None:
    """With its status, and with what was read of it."""
    reply, clean = read(OK + rest)
    assert (reply.status, reply.body, reply.truncated, clean) == (200, body, True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 0200 OK\r\n\r\n",
        OK + b"a: " + b"x" * 2 * HEAD_MAX_BYTES,
        OK + b"a: b\r\n" * LINES_MAX + b"\r\n",
        OK.replace(b"\r", b"") + b"a: b\n" * LINES_MAX + b"\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * INTERIM_MAX + OK + b"\r\n",
        b"HTTP/1.1 102 Processing\n\n" * INTERIM_MAX + OK + b"\r\n",
    ],
    ids=[
        "nothing",
        "half",
        "ssh",
        "http2",
        "two-digits",
        "four-digits",
        "endless-line",
        "endless-head",
        "lenient-endless-head",
        "interims",
        "lenient-interims",
    ],
)
def test_no_head_is_no_answer(data: bytes) -> None:
    """What cannot be understood is not guessed at."""
    with pytest.raises((BadAnswerError, ConnectionError)):
        read(data, set(range(0, len(data), 1000)))


@pytest.mark.parametrize(("length", "truncated"), [(ANSWER_MAX_BYTES, False), (ANSWER_MAX_BYTES + 1, True)])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_the_limit_is_exact(framing: str, length: int, truncated: bool) -> None:
    """An answer of the longest size allowed is whole; one byte more is not."""
    body = b"x" * length
    if framing == "length":
        data = OK + b"Content-Length: %d\r\n\r\n" % length + body
    elif framing == "chunked":
        data = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, 300_000, b"", b"")
    else:
        data = OK + b"\r\n" + body
    reply, clean = read(data)
    assert (len(reply.body), reply.truncated) == (ANSWER_MAX_BYTES, truncated)
    assert clean is (not truncated and framing != "close")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 500\nContent-Length: 1\n\nx",
        b"HTTP/1.1 500\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n",
        b"HTTP/1.1 500 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 ; a = b\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 500 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nno colon\r\n\r\n",
        b"HTTP/1.1 500 OK\r\nServer: \x01\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 500 OK\r\nServer: \x01\r\n\r\nx",
        b"HTTP/1.1 500 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n" + CHUNKS,
        b"HTTP/1.1 500 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n" + CHUNKS,
        b"HTTP/1.1 100 Continue\n\nHTTP/1.1 500 OK\nContent-Length: 1\n\nx",
        b"HTTP/1.1 150 Odd\r\nContent-Length: 9\r\n\r\nHTTP/1.1 500 OK\r\nContent-Length: 1\r\n\r\nx",
    ],
    ids=[
        "lines",
        "chunk-lines",
        "extension",
        "trailer",
        "control",
        "until-end",
        "tab",
        "two-codings",
        "interim",
        "interim-length",
    ],
)
def test_what_strict_parsing_refuses_is_an_answer_all_the_same(data: bytes) -> None:
    """In whatever pieces it comes; what was paid for is not lost, and the connection is closed."""
    for cuts in ({0}, set(range(len(data)))):
        assert read(data, cuts) == (Reply(500, b"x"), False)


def test_the_first_of_each_field_counts_with_lenient_reading_too() -> None:
    """Of two dates and two delays the reply has the first."""
    lines = b"Retry-After: 3\r\nRetry-After: 9\r\nDate: a\r\nDate: b\r\nContent-Length: 0\r\n"
    for odd in (b"", b"no colon\r\n"):
        reply, clean = read(OK + lines + odd + b"\r\n")
        assert (reply, clean) == (Reply(200, b"", "3", "a"), not odd)


@pytest.mark.parametrize("start", [OK, b"HTTP/1.1 200 OK\n"], ids=["strict", "lenient"])
@pytest.mark.parametrize("rest", [b"1;" + b"a" * 2 * HEAD_MAX_BYTES, b"0\r\nX: " + b"a" * 2 * HEAD_MAX_BYTES])
def test_what_is_no_body_does_not_come_without_end(start: bytes, rest: bytes) -> None:
    """A chunk's extension and a trailer are read up to the limit of a head."""
    reader = ResponseReader()
    data = start + b"Transfer-Encoding: chunked\r\n\r\n" + rest
    found = None
    for at in range(0, len(data), 1000):
        found = found or reader.add(data[at : at + 1000])
    assert found is not None
    assert not found[1]


def test_each_byte_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer in many small chunks that comes slowly costs no more than its length."""
    fed: list[int] = []

    class Counting:
        def __init__(self, message: Any) -> None:
            self._parser = HttpResponseParser(message)
            self.get_http_version = self._parser.get_http_version
            self.get_status_code = self._parser.get_status_code

        def feed_data(self, data: bytes) -> None:
            fed.append(len(data))
            self._parser.feed_data(data)

    monkeypatch.setattr(strict, "HttpResponseParser", Counting)
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 2000, 1, b"", b"")
    for step in (1, 7):
        fed.clear()
        reply, clean = read(data, set(range(0, len(data), step)))
        assert (len(reply.body), clean) == (2000, True)
        assert sum(fed) == len(data)
        assert len(fed) <= 2 * -(-len(data) // step)


def test_an_answer_in_400_000_chunks_is_whole() -> None:
    """Of one byte each: it is within the limits, whatever its framing takes."""
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 400_000 + b"0\r\n\r\n"
    reply, clean = read(data, set(range(0, len(data), 65_536)))
    assert (len(reply.body), reply.truncated, clean) == (400_000, False, True)
