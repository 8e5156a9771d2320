"""One connection to the vendor: what comes in and goes out without waiting, and whether it is fit for use."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from typing import Final

from urllib3.util.ssltransport import SSLTransport

from worker.vendor.foreign import REMEMBERED

IDLE_MAX_S: Final = 4.0
"""A connection idle for longer is not used again. Servers close theirs after 5 s or more, and a request
that crosses with that closing cannot be told from one that was taken."""

RECEIVE_BYTES: Final = 65_536

NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What sockets raise instead of waiting."""


class Connection:
    """Owns a connected socket; for one request at a time."""

    __slots__ = ("_idle_since", "_sock", "earlier", "hides_what_came")

    def __init__(self, sock: socket.socket | SSLTransport) -> None:
        self._sock = sock
        self._idle_since: float | None = time.monotonic()
        self.hides_what_came = isinstance(sock, SSLTransport)
        """Whether it may hold bytes while its descriptor has none: TLS within a proxy's TLS reads ahead."""
        self.earlier: deque[str] = deque(maxlen=REMEMBERED)
        """The last requests that were answered over it."""
        sock.settimeout(0.0)

    def __del__(self) -> None:
        # One that nobody has any more is left to the collector.
        self.close()

    @property
    def fresh(self) -> bool:
        """Whether the last answer left it clean, not long ago."""
        return self._idle_since is not None and time.monotonic() - self._idle_since < IDLE_MAX_S

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: it is fresh, and nothing came since.

        What can be read from an idle connection is its end, or an answer that nobody asked for. Reading
        takes in the session tickets of TLS 1.3, which are neither.
        """
        # As `fresh`, written out: it is asked twice for each job.
        if self._idle_since is None or time.monotonic() - self._idle_since >= IDLE_MAX_S:
            return False
        try:
            self._sock.recv(1)
        except NOT_NOW:
            return True
        except Exception:
            return False
        return False

    def fileno(self) -> int:
        """The descriptor to wait at."""
        return self._sock.fileno()

    def take(self) -> None:
        """Until the answer is complete nothing may follow: it would be given this request's answer.

        Raises:
            RuntimeError: it is taken, or closed.
        """
        if self._idle_since is None:
            raise RuntimeError("the connection is not free")
        self._idle_since = None

    def give_back(self) -> None:
        """The answer left it clean."""
        self._idle_since = time.monotonic()

    def send(self, data: bytes | memoryview, timeout_s: float) -> int:
        """Send what can be sent now; returns how much of it that was. Raises whatever the socket does."""
        if not isinstance(self._sock, SSLTransport):
            return self._sock.send(data)
        # It loses what it has encrypted and cannot send at once, so this one waits, for up to `timeout_s`
        # each 16 KB. What a submit has to say fits into the kernel's buffer nearly always.
        self._sock.settimeout(timeout_s)
        try:
            return self._sock.send(data)  # type: ignore[arg-type]  # any buffer will do
        finally:
            self._sock.settimeout(0.0)

    def receive(self) -> bytes | None:
        """What has come; empty at the connection's end, None where there is nothing yet."""
        try:
            return self._sock.recv(RECEIVE_BYTES) or b""  # type: ignore[return-value]  # SSLTransport's end is 0
        except NOT_NOW:
            return None

    def close(self) -> None:
        """Close the socket; may be called again."""
        self._idle_since = None
        self._sock.close()
