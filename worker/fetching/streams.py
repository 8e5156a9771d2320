"""A connection to an address that was checked, with one deadline and a bound of what it reads."""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any, Final

from tasks.exceptions import AigcError
from worker.fetching.addresses import Network, address_of, may_reach

MOST_ADDRESSES: Final = 4
"""So many addresses of a host are tried."""


class Forbidden(AigcError):
    """The host has no address that a request may go to."""


class TooMuch(AigcError, HTTPException):
    """More came than was to be read."""


class Deadline:
    """A moment on the monotonic clock, and how long it is until then."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left_s(self, most_s: float = float("inf")) -> float:
        """Seconds, more than 0.

        Raises:
            TimeoutError: there are none left.
        """
        left = min(self._at - time.monotonic(), most_s)
        if left <= 0:
            raise TimeoutError
        return left


def connected(
    host: str, port: int, allowed: Sequence[Network], deadline: Deadline, connect_s: float
) -> socket.socket:
    """A connection to one of the host's addresses, each of them checked: the name is resolved once, here.

    Raises:
        Forbidden: none of its addresses may be reached.
        OSError, UnicodeError: no address can be had, or none answers.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    reachable = [each for each in found if may_reach(address_of(str(each[4][0])), allowed)]
    if not reachable:
        raise Forbidden
    error: OSError | None = None
    for family, kind, protocol, _, address in reachable[:MOST_ADDRESSES]:
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError as failure:  # a machine without IPv6
            error = failure
            continue
        try:
            opened.settimeout(deadline.left_s(connect_s))
            opened.connect(address)
            return opened
        except OSError as failure:
            opened.close()
            error = failure
        except BaseException:
            opened.close()
            raise
    assert error is not None
    raise error


class BoundedSocket:
    """What `http.client` takes for a socket. Each read and write has what is left of the time.

    `close` leaves the connection open, for `http.client` calls it before the body is read; `end` closes it.

    Args:
        budget: how many bytes may be read; `grant` adds more.
        silence_s: seconds without a byte, in either direction, that are no end of the whole yet.
    """

    def __init__(self, plain: socket.socket, deadline: Deadline, budget: int, silence_s: float) -> None:
        self._socket = plain
        self._deadline = deadline
        self._budget = budget
        self._silence_s = silence_s

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on with TLS. Raises OSError where the handshake fails."""
        self._socket.settimeout(self._deadline.left_s(self._silence_s))
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def grant(self, size: int) -> None:
        """So many bytes more may be read."""
        self._budget += size

    def sendall(self, data: Any) -> None:
        self._socket.settimeout(self._deadline.left_s(self._silence_s))
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self), 8192)

    def read_into(self, buffer: Any) -> int:
        if self._budget <= 0:
            raise TooMuch
        self._socket.settimeout(self._deadline.left_s(self._silence_s))
        count = self._socket.recv_into(buffer)
        self._budget -= count
        return count

    def close(self) -> None:
        """Nothing: see the class."""

    def end(self) -> None:
        """Close the connection."""
        self._socket.close()


class _Reader(io.RawIOBase):
    def __init__(self, source: BoundedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.read_into(buffer)
