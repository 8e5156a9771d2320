"""The client of one endpoint: connections kept for it, and signed requests sent over them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from worker.domain.outcome import Failure
from worker.domain.signing import SUBMIT_URI, Credentials, headers
from worker.vendor.connection import Connection
from worker.vendor.connector import Connector
from worker.vendor.exchange import Exchange, failure


class Client:
    """Sends signed POSTs to one endpoint, many at a time, one over each connection.

    For one thread, which waits for all exchanges together; only `connect` may be called in others.

    Proxies and CA bundle are read from the environment here, once. Nothing is opened before the first
    `connect`, so a process may fork after this.

    Args:
        endpoint: scheme, host and port; ``http://`` to a loopback address only.
        credentials: what to sign with.
        connect_timeout_s: seconds to connect (to each address of the host), for the TLS handshake, to send.
        read_timeout_s: seconds from the request's last byte to the answer's last byte.
        keep_alive: use a connection for more than one request.
        clock: seconds since the epoch, for the timestamp that is signed.

    Raises:
        ValueError: the endpoint, or the environment's proxy or CA bundle, cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        keep_alive: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._keep_alive = keep_alive
        self._clock = clock
        self._connector = Connector(endpoint)
        self._head = (
            f"POST {SUBMIT_URI} HTTP/1.1\r\nHost: {self._connector.authority}\r\n"
            "User-Agent: aigc-worker\r\nAccept-Encoding: identity\r\n"
        ) + ("" if keep_alive else "Connection: close\r\n")
        self._kept: deque[Connection] = deque()

    def connect(self) -> Connection | Failure:
        """A new connection, waited for. What goes wrong is returned, not raised: nothing was sent."""
        # No list of classes: where it went wrong decides what may have been sent.
        try:
            return Connection(self._connector.connect(self._connect_timeout_s))
        except Exception as error:
            return failure(error, sent=False)

    def idle(self) -> Connection | None:
        """A kept connection that is usable, for the caller alone; the one used last, if it is."""
        while self._kept:
            # The last one first: so those that are too many grow old and are closed when less is to do.
            connection = self._kept.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request if it is fit for one, else close it."""
        if connection.fresh and (self._keep_alive or not connection.earlier):
            self._kept.append(connection)
        else:
            connection.close()
        # Those used last are used next: without this the others would stay open, closed by the server.
        if self._kept and not self._kept[0].fresh:
            self._kept.popleft().close()

    def send(self, connection: Connection, body: bytes, request_id: str) -> Exchange:
        """Sign the body and begin to send it, once. What goes wrong is the exchange's answer.

        Args:
            connection: from `idle` or `connect`; back to `keep` when there is an answer.
            body: the bytes to send.
            request_id: a random UUID, fresh for each attempt.

        Raises:
            ValueError: the request id cannot stand in a header; nothing was sent.
        """
        if not (request_id.isascii() and request_id.isprintable()):
            raise ValueError("the request id must be printable ASCII")
        exchange = Exchange(
            connection,
            send_timeout_s=self._connect_timeout_s,
            read_timeout_s=self._read_timeout_s,
            request_id=request_id,
        )
        exchange.begin(self._request(body, request_id))
        return exchange

    def close(self) -> None:
        """Close the kept connections."""
        while self._kept:
            self._kept.pop().close()

    def _request(self, body: bytes, request_id: str) -> bytes:
        """Head and body in one piece: two would be two packets, and cost more CPU."""
        timestamp_ms = int(self._clock() * 1000)
        signed = headers(self._credentials, body=body, request_id=request_id, timestamp_ms=timestamp_ms)
        fields = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        return f"{self._head}{fields}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body
