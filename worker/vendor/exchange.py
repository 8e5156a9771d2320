"""One request that is out on a connection, and what becomes of it; nothing here waits."""

from __future__ import annotations

import select
import time
from typing import Final

from worker.domain.outcome import Failure, Reply
from worker.local import descriptors
from worker.vendor.connection import NOT_NOW, Connection
from worker.vendor.foreign import is_foreign
from worker.vendor.remedies import remedy_of
from worker.vendor.response import ResponseReader

READS_AT_ONCE: Final = 4
"""A long answer lets others have their turn in between."""
DETAIL_MAX_CHARS: Final = 300


class Exchange:
    """A request that is out, once.

    Wait for `events` at `fileno()`, or until the `deadline`, then `advance`; again until there is an answer.

    Args:
        request_id: of the request, to know an answer that is another's.
    """

    __slots__ = (
        "_answer",
        "_error",
        "_fileno",
        "_reader",
        "_request_id",
        "_spoilt",
        "_timeouts_s",
        "_unsent",
        "connection",
        "deadline",
        "events",
    )

    def __init__(
        self,
        connection: Connection,
        *,
        send_timeout_s: float,
        read_timeout_s: float,
        request_id: str = "",
    ) -> None:
        self.connection = connection
        self.deadline = 0.0
        """When to advance though nothing came, on the monotonic clock."""
        self.events = select.POLLIN
        self._timeouts_s = send_timeout_s, read_timeout_s
        self._request_id = request_id
        self._fileno = connection.fileno()
        self._reader = ResponseReader()
        self._unsent: bytes | memoryview = b""
        self._spoilt = False
        self._error: Exception | None = None
        self._answer: Reply | Failure | None = None

    def fileno(self) -> int:
        """The descriptor to wait at; the same number after it was closed, so that it can be unregistered."""
        return self._fileno

    def begin(self, request: bytes) -> None:
        """Send what can be sent at once."""
        try:
            self.connection.take()
            self._unsent = request
            self.deadline = time.monotonic() + self._timeouts_s[0]
            self._push()
        except Exception as error:
            self.fail(error)
        except BaseException:
            self.connection.close()
            raise

    def fail(self, error: Exception) -> None:
        """Have the next `advance`, which is due at once, answer with this error."""
        self._error = error
        self.deadline = 0.0

    def advance(self) -> Reply | Failure | None:
        """Do what can be done without waiting; the answer once there is one.

        The connection is closed then, or fit to be kept. Where something went wrong, the request may have
        been taken all the same.
        """
        if self._answer is None:
            try:
                self._answer = self._advance()
            # No list of classes: an error that nobody thought of must never pass for "nothing was sent".
            except Exception as error:
                self.connection.close()
                self._answer = failure(error, sent=True)
            except BaseException:
                self.connection.close()
                raise
        return self._answer

    def _advance(self) -> Reply | Failure | None:
        if self._error:
            raise self._error
        if self._unsent:
            self._push()
        reads = 0
        # Where the descriptor does not tell what is left, all of it is read.
        while reads < READS_AT_ONCE or self.connection.hides_what_came:
            try:
                piece = self.connection.receive()
            except Exception as error:
                return self._complete(self._reader.end_with(error))
            # An answer may come, and count, before all was sent.
            found = None if piece is None else self._reader.add(piece)
            if found:
                return self._complete(found)
            if time.monotonic() >= self.deadline:  # bytes that keep coming do not extend it
                return self._complete(self._reader.end_with(TimeoutError("timed out")))
            if piece is None:
                break
            reads += 1
        return None

    def _push(self) -> None:
        try:
            sent = self.connection.send(self._unsent, self._timeouts_s[0])
            while sent < len(self._unsent):
                self._unsent = memoryview(self._unsent)[sent:]
                sent = self.connection.send(self._unsent, self._timeouts_s[0])
        except NOT_NOW:
            self.events = select.POLLIN | select.POLLOUT
            return
        except (BrokenPipeError, ConnectionResetError):
            # The server may have answered, and left, before it had read all.
            self._spoilt = True
        self._unsent = b""
        self.events = select.POLLIN
        self.deadline = time.monotonic() + self._timeouts_s[1]

    def _complete(self, found: tuple[Reply, bool]) -> Reply | Failure:
        reply, clean = found
        echoed, earlier = self._reader.echoed, self.connection.earlier
        if echoed and is_foreign(echoed, self._request_id, earlier):
            self.connection.close()
            return Failure(True, "the answer was that to an earlier request on the connection", foreign=True)
        earlier.append(self._request_id)
        if clean and not self._spoilt and not self._unsent:
            self.connection.give_back()
        else:
            self.connection.close()
        return reply


def failure(error: Exception, *, sent: bool) -> Failure:
    """What to say of an attempt that ended with this error."""
    if not sent and descriptors.ran_out(error):
        return Failure(sent, descriptors.words(), local=True)
    timed_out = sent and isinstance(error, TimeoutError)
    words = f"{type(error).__name__}: {error}"[:DETAIL_MAX_CHARS]
    remedy = "" if sent else remedy_of(error)
    return Failure(sent, f"{words} ({remedy})" if remedy else words, timed_out)
