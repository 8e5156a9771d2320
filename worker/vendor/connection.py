"""Connections that tell "not sent" from the rest, bound their answers, and do not trust a long idle."""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse as RawResponse
from typing import Any, Final, cast

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection

IDLE_MAX_S: Final = 4.0
"""A connection idle for longer is not used again. Servers close theirs after 5 s or more, and a request
that crosses with that closing cannot be told from one that was taken."""


class NotConnectedError(Exception):
    """Connecting failed (the cause says how): no byte of the request has left this machine."""


class BoundedResponse(RawResponse):
    """An answer that has to be complete, from status line to last byte, within the socket's timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        # All that http.client does with the socket here is to make a file of it.
        super().__init__(cast(socket.socket, _UntilDeadline(sock)), *args, **kwargs)


class PlainConnection(HTTPConnection):
    """What `connect` raises came before the request's first byte, whatever its class.

    No list of exception classes could say so: a TLS error, for one, comes before that byte or after it.
    """

    response_class = BoundedResponse
    _idle_since = 0.0
    _unsent: list[Any] | None = None

    @property
    def is_connected(self) -> bool:
        """What the pool asks before it reuses a connection."""
        return super().is_connected and time.monotonic() - self._idle_since < IDLE_MAX_S

    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            raise NotConnectedError from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send head and body with one call: http.client's two make two packets and cost more CPU."""
        self._unsent = []
        try:
            super().request(*args, **kwargs)
            data = b"".join(self._unsent)
        finally:
            self._unsent = None
        self.send(data)

    def send(self, data: Any) -> None:
        if self._unsent is None:
            super().send(data)
        else:
            self._unsent.append(data)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 does
        response = super().getresponse()
        self._idle_since = time.monotonic()
        return response


class TLSConnection(PlainConnection, HTTPSConnection):
    """The same over TLS: the handshake, and a proxy's tunnel, are part of `connect`."""


class _UntilDeadline(io.RawIOBase):
    """A socket's bytes until a deadline; a socket's own timeout starts anew with every byte."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = time.monotonic() + (sock.gettimeout() or 0.0)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
