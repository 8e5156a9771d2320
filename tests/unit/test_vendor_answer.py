"""The reader of answers: what it takes for an answer, and after which the connection may be used again."""

from __future__ import annotations

import http.client
import io
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.outcome import Reply
from worker.vendor.answer import (
    ANSWER_MAX_BYTES,
    LINE_MAX_BYTES,
    LINES_MAX,
    BadAnswerError,
    PartialAnswer,
    read_answer,
)


class Source:
    """A socket that gives its bytes in pieces, then its end; for http.client a file of them."""

    def __init__(self, data: bytes, cuts: set[int] | None = None) -> None:
        edges = sorted({cut % (len(data) + 1) for cut in cuts or ()} | {0, len(data)})
        self._data = data
        self._pieces = [data[start:end] for start, end in pairwise(edges)]

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def read(data: bytes, cuts: set[int] | None = None) -> tuple[Reply, bool]:
    return read_answer(cast(Any, Source(data, cuts)), 10.0)


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
    theirs = http.client.HTTPResponse(cast(Any, Source(data)), method="POST")
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


@given(st.data(), answers(), st.sets(st.integers(0, 2000)))
def test_an_answer_that_is_read_as_it_comes_is_read_alike(
    data: st.DataObject, answer: bytes, cuts: set[int]
) -> None:
    """For a thread that does not wait, each piece is looked at once it is there."""
    answer = answer[: data.draw(st.integers(0, len(answer)))]
    source, partial = Source(answer, cuts), PartialAnswer()
    found = None
    try:
        while found is None:
            found = partial.add(source.recv(1000))
    except (BadAnswerError, ConnectionError):
        found = None
    assert found == attempt(answer, cuts)


def attempt(data: bytes, cuts: set[int] | None = None) -> tuple[Reply, bool] | None:
    try:
        return read(data, cuts)
    except (BadAnswerError, ConnectionError):
        return None


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 1\r\n\r\nx",
        OK + b"content-length:1\r\nConnection: Keep-Alive\r\n\r\nx",
        OK + b"Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 1\r\n\r\nx",
        OK + b"Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 500\nContent-Length: 1\n\nx",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
    ],
    ids=["plain", "keep-alive", "cookies", "chunked", "bare-newlines", "interim"],
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
        b"x" * (2 * LINE_MAX_BYTES),
        OK + b"a: b\r\n" * LINES_MAX + b"\r\n",
    ],
    ids=["nothing", "half", "ssh", "http2", "two-digits", "four-digits", "endless-line", "endless-head"],
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


def test_the_deadline_holds_though_bytes_keep_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece leaves less time for the next, down to none."""
    now = 100.0
    waits: list[float] = []

    class Dripping(Source):
        def settimeout(self, seconds: float) -> None:
            waits.append(seconds)

        def recv(self, size: int) -> bytes:
            nonlocal now
            now += 1.0
            return super().recv(1)

    monkeypatch.setattr("worker.vendor.answer.time.monotonic", lambda: now)
    with pytest.raises(TimeoutError):
        read_answer(cast(Any, Dripping(OK)), 3.0)
    assert waits == [3.0, 2.0, 1.0]
