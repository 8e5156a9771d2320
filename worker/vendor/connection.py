"""One connection to the vendor: a request out, its answer in, and whether another may follow."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Final

from urllib3.util import wait_for_read

from worker.domain.outcome import Reply
from worker.vendor.answer import RECEIVE_BYTES, PartialAnswer, read_answer

IDLE_MAX_S: Final = 4.0
"""A connection idle for longer is not used again. Servers close theirs after 5 s or more, and a request
that crosses with that closing cannot be told from one that was taken."""

_NOTHING_YET: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection:
    """Owns a connected socket; for one request at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._idle_since: float | None = time.monotonic()
        self._answer = PartialAnswer()
        self.deadline = 0.0
        """When to ask for an answer that has not come, on the monotonic clock."""
        self._sent = True

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

        What can be read from an idle connection is its end, or an answer that nobody asked for.
        """
        return self.fresh and not wait_for_read(self._sock, timeout=0.0)

    @property
    def tells_what_came(self) -> bool:
        """Whether its descriptor is readable when it is: TLS within a proxy's TLS keeps bytes to itself."""
        return isinstance(self._sock, socket.socket)

    def fileno(self) -> int:
        """The descriptor to wait at."""
        return self._sock.fileno()

    def exchange(self, request: bytes, *, send_timeout_s: float, answer_timeout_s: float) -> Reply:
        """Send a request, once, and read its answer. Whatever is raised, the request may have been taken."""
        # Until the answer is complete nothing may follow: it would be given this request's answer.
        self._idle_since = None
        try:
            self._sent = self._send(request, send_timeout_s)
            return self._complete(read_answer(self._sock, answer_timeout_s))
        finally:
            if self._idle_since is None:
                self.close()

    def begin(self, request: bytes, *, send_timeout_s: float, answer_timeout_s: float) -> None:
        """Send a request, once, and do not wait for its answer; see `advance`. Raises as `exchange` does."""
        self._idle_since = None
        try:
            self._sent = self._send(request, send_timeout_s)
            self._sock.settimeout(0.0)
        except BaseException:
            self.close()
            raise
        self._answer = PartialAnswer()
        self.deadline = time.monotonic() + answer_timeout_s

    def advance(self) -> Reply | None:
        """The answer, once it is complete; None as long as more of it may come. Raises as `exchange` does."""
        try:
            found = self._collect()
        except BaseException:
            self.close()
            raise
        return None if found is None else self._complete(found)

    def close(self) -> None:
        """Close the socket; may be called again."""
        self._idle_since = None
        self._sock.close()

    def _collect(self) -> tuple[Reply, bool] | None:
        while True:
            try:
                piece = self._sock.recv(RECEIVE_BYTES)
            except _NOTHING_YET:
                if time.monotonic() < self.deadline:
                    return None
                return self._answer.end_with(TimeoutError("timed out"))
            except Exception as error:
                return self._answer.end_with(error)
            if found := self._answer.add(piece):
                return found
            if time.monotonic() >= self.deadline:  # bytes that keep coming do not extend it
                return self._answer.end_with(TimeoutError("timed out"))

    def _complete(self, found: tuple[Reply, bool]) -> Reply:
        reply, clean = found
        if self._sent and clean:
            self._idle_since = time.monotonic()
        else:
            self.close()
        return reply

    def _send(self, request: bytes, timeout_s: float) -> bool:
        self._sock.settimeout(timeout_s)
        try:
            self._sock.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            # The server may have answered, and left, before it had read all.
            return False
        return True
