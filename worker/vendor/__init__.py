"""The vendor client: one signed POST, a Reply or a Failure. Only this package imports requests and urllib3.

Nothing here sends anything twice: no retries, no redirects, and a kept-alive connection that may have
gone stale is dropped before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import select
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from worker.domain.outcome import Failure, Reply
from worker.domain.signing import SUBMIT_URI, Credentials, headers
from worker.local import descriptors
from worker.vendor.answer import ANSWER_MAX_BYTES
from worker.vendor.connection import Connection
from worker.vendor.dialer import Dialer

__all__ = ["ANSWER_MAX_BYTES", "Connection", "Exchange", "Vendor"]

DETAIL_MAX_CHARS: Final = 300


class HasFileno(Protocol):
    """What can be waited for."""

    def fileno(self) -> int: ...


@dataclass(slots=True, eq=False)
class Exchange:
    """A request that is out; ``answer`` is set once there is one, or will be none."""

    connection: Connection
    answer: Reply | Failure | None = None


class Vendor:
    """Posts submits to one endpoint, from any number of threads.

    One request at a time goes over a connection, and the one used last is used next. A thread may wait for
    its one answer (`post`), or have many requests out over open connections (`warm`, `start`, `wait`).

    Proxies and CA bundle are read from the environment here, once. Nothing is opened before the first
    post, so a process may fork after this.

    Args:
        endpoint: scheme, host and port; ``http://`` to a loopback address only.
        keys: what to sign with.
        connect_timeout_s: seconds to connect (to each address of the host), for the TLS handshake, to send.
        read_timeout_s: seconds from the request's last byte to the answer's last byte.
        clock: seconds since the epoch, for the timestamp that is signed.

    Raises:
        ValueError: the endpoint, or the environment's proxy or CA bundle, cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        keys: Credentials,
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._clock = clock
        self._dialer = Dialer(endpoint)
        self._head = (
            f"POST {SUBMIT_URI} HTTP/1.1\r\nHost: {self._dialer.authority}\r\n"
            "User-Agent: aigc-worker\r\nAccept-Encoding: identity\r\n"
        )
        self._idle: deque[Connection] = deque()

    def post(self, body: bytes, request_id: str) -> Reply | Failure:
        """Sign the body and post it, once. What goes wrong on the way is returned, not raised.

        Args:
            body: the bytes to send.
            request_id: a random UUID, fresh for each attempt.

        Raises:
            ValueError: the request id cannot stand in a header.
        """
        if not (request_id.isascii() and request_id.isprintable()):
            raise ValueError("the request id must be printable ASCII")
        # No list of classes below. Where it went wrong decides what may have been sent, and an error that
        # nobody thought of must never pass for "nothing was sent".
        try:
            connection = self._connection()
        except Exception as error:
            return _failure(error, sent=False)
        try:
            return connection.exchange(
                self._request(body, request_id),
                send_timeout_s=self._connect_timeout_s,
                answer_timeout_s=self._read_timeout_s,
            )
        except Exception as error:
            return _failure(error, sent=True)
        finally:
            self.put_back(connection)

    def warm(self, most: int) -> list[Connection]:
        """At most so many usable connections, for the caller alone; those not used must be put back."""
        found: list[Connection] = []
        with contextlib.suppress(IndexError):
            while len(found) < most:
                connection = self._idle.pop()
                if not connection.tells_what_came:
                    self._idle.append(connection)
                    break
                if connection.fresh:
                    found.append(connection)
                else:
                    connection.close()
        spoilt = _readable(found)
        return [connection for connection in found if connection.fileno() not in spoilt]

    def start(self, connection: Connection, body: bytes, request_id: str) -> Exchange:
        """Sign the body and send it, once, over a connection from `warm`. Raises nothing: see `Exchange`."""
        exchange = Exchange(connection)
        try:
            connection.begin(
                self._request(body, request_id),
                send_timeout_s=self._connect_timeout_s,
                answer_timeout_s=self._read_timeout_s,
            )
        except Exception as error:
            exchange.answer = _failure(error, sent=True)
        return exchange

    def wait(
        self, exchanges: Collection[Exchange], timeout_s: float, bell: HasFileno | None = None
    ) -> list[tuple[Exchange, Reply | Failure]]:
        """Those that have their answer, and it, after waiting at most so many seconds for the first one.

        A connection that may be used again is back among the idle ones then.

        Args:
            bell: ends the waiting, too, when there is something to read.
        """
        waiting = [exchange for exchange in exchanges if exchange.answer is None]
        failed = len(waiting) < len(exchanges)
        watched: list[HasFileno] = [exchange.connection for exchange in waiting]
        readable = _readable([*watched, bell] if bell else watched, 0.0 if failed else timeout_s)
        now = time.monotonic()
        for exchange in waiting:
            connection = exchange.connection
            if connection.fileno() not in readable and now < connection.deadline:
                continue
            try:
                exchange.answer = connection.advance()
            except Exception as error:
                exchange.answer = _failure(error, sent=True)
            if exchange.answer is not None:
                self.put_back(connection)
        return [(exchange, exchange.answer) for exchange in exchanges if exchange.answer is not None]

    def put_back(self, connection: Connection) -> None:
        """Keep a connection for the next request, if it is fit for one."""
        if connection.fresh:
            self._idle.append(connection)
        try:
            eldest = self._idle.popleft()
        except IndexError:
            return
        if eldest.fresh:
            self._idle.appendleft(eldest)
        else:
            eldest.close()

    def close(self) -> None:
        """Close the idle connections; a request after that opens a new one."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _connection(self) -> Connection:
        try:
            while not (connection := self._idle.pop()).usable:
                connection.close()
        except IndexError:
            return Connection(self._dialer.connect(self._connect_timeout_s))
        return connection

    def _request(self, body: bytes, request_id: str) -> bytes:
        """Head and body in one piece: http.client's two are two packets, and cost more CPU."""
        timestamp_ms = int(self._clock() * 1000)
        signed = headers(self._keys, body=body, request_id=request_id, timestamp_ms=timestamp_ms)
        fields = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        return f"{self._head}{fields}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body


def _readable(watched: Collection[HasFileno], timeout_s: float = 0.0) -> set[int]:
    """Descriptors of those with something to read: an answer, an end, an error."""
    if not watched:
        return set()
    poll = select.poll()
    for each in watched:
        poll.register(each, select.POLLIN)
    try:
        return {descriptor for descriptor, _ in poll.poll(timeout_s * 1000)}
    except OSError as error:
        if error.errno != errno.EINVAL or len(watched) == 1:
            raise
    # More than the limit of open files, which was lowered meanwhile: the answers were paid for all the same.
    time.sleep(min(timeout_s, 0.05))
    return {descriptor for each in watched for descriptor in _readable([each])}


def _failure(error: Exception, *, sent: bool) -> Failure:
    if not sent and descriptors.ran_out(error):
        return Failure(sent, descriptors.words(), local=True)
    timed_out = sent and isinstance(error, TimeoutError)
    return Failure(sent, f"{type(error).__name__}: {error}"[:DETAIL_MAX_CHARS], timed_out)
