"""One request over one connection: what is sent and read without waiting, and when its time is up."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from worker.domain.outcome import Failure, Reply
from worker.vendor import connection as connection_module
from worker.vendor import exchange as exchange_module
from worker.vendor.connection import RECEIVE_BYTES, Connection
from worker.vendor.exchange import READS_AT_ONCE, Exchange

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
LARGE = b"x" * 20_000_000


class Clock:
    """The monotonic clock, which a test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (connection_module, exchange_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def pair(clock: Clock) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20.0)
    connection = Connection(ours)
    yield connection, theirs
    connection.close()
    theirs.close()


def begin(connection: Connection, request: bytes = b"request") -> Exchange:
    exchange = Exchange(connection, send_timeout_s=2.0, read_timeout_s=10.0)
    exchange.begin(request)
    return exchange


Pair = tuple[Connection, socket.socket]


def test_a_short_request_is_sent_at_once(pair: Pair, clock: Clock) -> None:
    """What is waited for then is the answer, for as long as reading may take."""
    connection, theirs = pair
    exchange = begin(connection)
    assert theirs.recv(100) == b"request"
    assert (exchange.events, exchange.deadline) == (select.POLLIN, clock.now + 10.0)
    assert exchange.fileno() == connection.fileno()
    assert exchange.advance() is None
    theirs.sendall(ANSWER)
    assert exchange.advance() == Reply(200, b"x")
    assert connection.fresh


def test_what_does_not_fit_is_sent_when_there_is_room(pair: Pair, clock: Clock) -> None:
    """A peer that does not read holds up nobody; the time to read begins with the last byte sent."""
    connection, theirs = pair
    exchange = begin(connection, LARGE)
    assert (exchange.events, exchange.deadline) == (select.POLLIN | select.POLLOUT, clock.now + 2.0)
    received = 0
    while exchange.events & select.POLLOUT:
        received += len(theirs.recv(1_000_000))
        clock.now += 0.001
        assert exchange.advance() is None
    assert exchange.deadline == clock.now + 10.0
    while received < len(LARGE):
        received += len(theirs.recv(1_000_000))
    theirs.sendall(ANSWER)
    assert exchange.advance() == Reply(200, b"x")
    assert connection.fresh


def test_a_request_that_is_not_taken_in_time_may_have_been_sent(pair: Pair, clock: Clock) -> None:
    """A part of it has left."""
    connection, _theirs = pair
    exchange = begin(connection, LARGE)
    clock.now = exchange.deadline
    answer = exchange.advance()
    assert isinstance(answer, Failure)
    assert (answer.sent, answer.timed_out, connection.fileno()) == (True, True, -1)


def test_an_answer_before_all_was_sent_counts(pair: Pair, clock: Clock) -> None:
    """The rest is not sent, and so nothing may follow on this connection."""
    connection, theirs = pair
    exchange = begin(connection, LARGE)
    theirs.sendall(ANSWER)
    assert exchange.advance() == Reply(200, b"x")
    assert not connection.fresh
    assert connection.fileno() == -1


def test_bytes_that_keep_coming_do_not_extend_the_deadline(pair: Pair, clock: Clock) -> None:
    """It is for the whole answer."""
    connection, theirs = pair
    exchange = begin(connection)
    for byte in ANSWER[:9]:
        theirs.sendall(bytes([byte]))
        clock.now += 1.0
        assert exchange.advance() is None
    theirs.sendall(ANSWER[9:12])
    clock.now += 1.0
    answer = exchange.advance()
    assert isinstance(answer, Failure)
    assert answer.timed_out


def test_the_answer_is_given_again_and_nothing_else_is_read(pair: Pair, clock: Clock) -> None:
    """An exchange that is over never touches its connection, which may have the next request by then."""
    connection, theirs = pair
    first = begin(connection)
    theirs.sendall(ANSWER)
    assert first.advance() == Reply(200, b"x")
    second = begin(connection)
    theirs.sendall(ANSWER.replace(b"200", b"500"))
    assert first.advance() == Reply(200, b"x")
    assert second.advance() == Reply(500, b"x")


@pytest.mark.parametrize("before", ["busy", "closed"])
def test_a_connection_takes_one_request_at_a_time(pair: Pair, clock: Clock, before: str) -> None:
    """A second one fails, at once, and takes the first with it rather than to mix up their answers."""
    connection, theirs = pair
    first = begin(connection)
    if before == "closed":
        connection.close()
    second = begin(connection)
    assert second.deadline < clock.now
    if before == "busy":
        theirs.sendall(ANSWER)
    for exchange in (second, first):
        answer = exchange.advance()
        assert isinstance(answer, Failure)
        assert answer.sent


def test_a_descriptor_is_known_after_it_was_closed(pair: Pair, clock: Clock) -> None:
    """So that the loop can take it from its list."""
    connection, theirs = pair
    exchange = begin(connection)
    number = connection.fileno()
    theirs.close()
    assert isinstance(exchange.advance(), Failure)
    assert (connection.fileno(), exchange.fileno()) == (-1, number)


@pytest.mark.parametrize("came", [b"x", ANSWER, b""], ids=["byte", "answer", "end"])
def test_what_comes_unasked_makes_a_connection_unusable(pair: Pair, clock: Clock, came: bytes) -> None:
    """An answer that nobody asked for, or the end."""
    connection, theirs = pair
    assert connection.usable
    if came:
        theirs.sendall(came)
    else:
        theirs.shutdown(socket.SHUT_WR)
    assert not connection.usable


def test_a_connection_is_unusable_after_some_seconds(pair: Pair, clock: Clock) -> None:
    """The server may be about to close it."""
    connection, _theirs = pair
    clock.now += connection_module.IDLE_MAX_S
    assert not connection.usable


def test_a_long_answer_is_read_in_several_turns(pair: Pair, clock: Clock) -> None:
    """Others have their turn in between, however much there is to read."""
    sizes: list[int] = []

    class Endless:
        def settimeout(self, _seconds: float) -> None: ...
        def close(self) -> None: ...
        def fileno(self) -> int:
            return 0

        def send(self, data: bytes) -> int:
            return len(data)

        def recv(self, size: int) -> bytes:
            sizes.append(size)
            return b"HTTP/1.1 102 Processing\r\n\r\n"

    exchange = begin(Connection(Endless()))  # type: ignore[arg-type]
    assert exchange.advance() is None
    assert sizes == [RECEIVE_BYTES] * READS_AT_ONCE
