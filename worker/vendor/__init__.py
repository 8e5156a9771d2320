"""The vendor client: one signed POST, a Reply or a Failure. Only this package imports requests and urllib3.

Nothing here sends anything twice: no retries, no redirects, and a kept-alive connection that may have
gone stale is dropped before it is used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from worker.core.outcome import Failure, Reply
from worker.core.signing import SUBMIT_URI, Keys, headers
from worker.vendor.answer import ANSWER_MAX_BYTES
from worker.vendor.connection import Connection
from worker.vendor.dialer import Dialer

__all__ = ["ANSWER_MAX_BYTES", "Vendor"]

DETAIL_MAX_CHARS: Final = 300


class Vendor:
    """Posts submits to one endpoint, from any number of threads, each with a connection of its own.

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
        keys: Keys,
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
        self._of_thread = threading.local()

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

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._of_thread, "connection", None)
        if connection is not None:
            if connection.usable:
                return connection
            connection.close()
        connection = self._of_thread.connection = Connection(self._dialer.connect(self._connect_timeout_s))
        return connection

    def _request(self, body: bytes, request_id: str) -> bytes:
        """Head and body in one piece: http.client's two are two packets, and cost more CPU."""
        timestamp_ms = int(self._clock() * 1000)
        signed = headers(self._keys, body=body, request_id=request_id, timestamp_ms=timestamp_ms)
        fields = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        return f"{self._head}{fields}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body


def _failure(error: Exception, *, sent: bool) -> Failure:
    timed_out = sent and isinstance(error, TimeoutError)
    return Failure(sent, f"{type(error).__name__}: {error}"[:DETAIL_MAX_CHARS], timed_out)
