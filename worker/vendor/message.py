"""What has been read of one HTTP/1 answer, however it is parsed, and the limits of it."""

from __future__ import annotations

from typing import Final

from tasks.exceptions import AigcError

ANSWER_MAX_BYTES: Final = 1_000_000
HEAD_MAX_BYTES: Final = 65_536
"""Of a head with the interim ones before it, of a trailer, of the line before a chunk."""
LINES_MAX: Final = 128
INTERIM_MAX: Final = 32

LENGTH: Final = b"content-length"
CODING: Final = b"transfer-encoding"
CONNECTION: Final = b"connection"

SWITCHING: Final = 101
_WITHOUT_BODY: Final = (SWITCHING, 204, 304)


class BadAnswerError(AigcError):
    """What came is no answer in HTTP/1, or is too long."""


class HttpMessage:
    """An answer as far as it was read; it is at its end once it is `whole` or `cut`."""

    __slots__ = ("body", "cut", "fields", "status", "whole")

    def __init__(self) -> None:
        self.status = 0
        """Of the answer proper; 0 until its head is complete."""
        self.fields: dict[bytes, bytes] = {}
        """The first of each name, in lower case."""
        self.body = bytearray()
        self.whole = False
        self.cut = False
        """Nothing that follows can be used: it is too long, or where it ends cannot be told."""

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of the connection is that of the body."""
        return LENGTH not in self.fields and CODING not in self.fields

    def feed(self, piece: bytes) -> None:
        """Read what has come; raises nothing."""
        raise NotImplementedError

    def begin(self, status: int) -> bool:
        """The head is complete; returns whether a body follows that can be read."""
        self.status = status
        if status in _WITHOUT_BODY:
            self.whole = True
        elif self.fields.get(CODING, b"chunked").lower() != b"chunked":
            self.cut = True  # a coding that was not asked for
        return not (self.whole or self.cut)

    def append(self, data: bytes | bytearray) -> bool:
        """Add to the body; returns whether all of it is within the limit."""
        room = ANSWER_MAX_BYTES - len(self.body)
        if len(data) > room:
            self.body += data[:room]
            self.cut = True
            return False
        self.body += data
        return True
