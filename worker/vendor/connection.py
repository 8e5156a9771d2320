"""One connection to the vendor: a request out, its answer in, and whether another may follow."""

from __future__ import annotations

import socket
import time
from typing import Final

from urllib3.util import wait_for_read

from worker.core.outcome import Reply
from worker.vendor.answer import read_answer

IDLE_MAX_S: Final = 4.0
"""A connection idle for longer is not used again. Servers close theirs after 5 s or more, and a request
that crosses with that closing cannot be told from one that was taken."""


class Connection:
    """Owns a connected socket; for one thread at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._idle_since: float | None = time.monotonic()

    def __del__(self) -> None:
        # A thread that ends leaves its connection to the collector.
        self.close()

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: the last answer left it clean, not long ago, and nothing came since.

        What can be read from an idle connection is its end, or an answer that nobody asked for.
        """
        return (
            self._idle_since is not None
            and time.monotonic() - self._idle_since < IDLE_MAX_S
            and not wait_for_read(self._sock, timeout=0.0)
        )

    def exchange(self, request: bytes, *, send_timeout_s: float, answer_timeout_s: float) -> Reply:
        """Send a request, once, and read its answer. Whatever is raised, the request may have been taken."""
        # Until the answer is complete nothing may follow: it would be given this request's answer.
        self._idle_since = None
        try:
            sent = self._send(request, send_timeout_s)
            reply, clean = read_answer(self._sock, answer_timeout_s)
            if sent and clean:
                self._idle_since = time.monotonic()
            return reply
        finally:
            if self._idle_since is None:
                self.close()

    def close(self) -> None:
        """Close the socket; may be called again."""
        self._idle_since = None
        self._sock.close()

    def _send(self, request: bytes, timeout_s: float) -> bool:
        self._sock.settimeout(timeout_s)
        try:
            self._sock.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            # The server may have answered, and left, before it had read all.
            return False
        return True
