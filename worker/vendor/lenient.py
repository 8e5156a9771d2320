"""Reads answers that the strict parser refuses: real servers send bare newlines and lines that are no fields.

llhttp's own leniencies do not cover them (bare newlines after a chunk's size, blanks in its extension, two
lengths). What is read here never lets its connection be used again, so it may be generous.
"""

from __future__ import annotations

import re
from typing import Final

from worker.vendor.message import CODING, INTERIM_MAX, LENGTH, LINES_MAX, SWITCHING, HttpMessage

_HEAD_END: Final = re.compile(rb"\n\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: .*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_FIRST_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
_NEXT_SIZE: Final = re.compile(rb"\r?\n" + _FIRST_SIZE.pattern)


class LenientMessage(HttpMessage):
    """An answer of which only what is well formed is looked at; never clean."""

    __slots__ = ("_in_chunks", "_interims", "_left", "_raw")

    def __init__(self) -> None:
        super().__init__()
        self._raw = bytearray()  # that was not read yet
        self._interims = 0
        self._left = 0  # of the body, or of the chunk
        self._in_chunks = False

    def feed(self, piece: bytes | bytearray) -> None:
        """Read what has come; a head that cannot be understood is `cut` with no status."""
        self._raw += piece
        while not self.status and not self.cut:
            if not self._read_head():
                return
        if self.whole or self.cut:
            return
        if CODING in self.fields:
            self._read_chunks()
        elif LENGTH in self.fields:
            at = self._take(0)
            del self._raw[:at]
            self.whole = not self._left
        else:
            self.append(self._raw)
            self._raw.clear()

    def _read_head(self) -> bool:
        """Read one head, an interim one or that of the answer; returns whether it is complete."""
        line, newline, _ = self._raw.partition(b"\n")
        started = _STATUS_LINE.fullmatch(line.removesuffix(b"\r"))
        if newline and not started:
            self.cut = True
            return True
        end = _HEAD_END.search(self._raw)
        if end is None or started is None:
            return False
        lines = self._raw[: end.start()].split(b"\n")
        del self._raw[: end.end()]
        status = int(started[1])
        if status < 200 and status != SWITCHING:
            self._interims += 1
            self.cut = self._interims >= INTERIM_MAX
        elif len(lines) > LINES_MAX:
            self.cut = True
        else:
            self._note(lines[1:])
            if self.begin(status):
                self._frame()
        return True

    def _note(self, lines: list[bytearray]) -> None:
        for line in lines:
            field = _FIELD.fullmatch(line.removesuffix(b"\r"))
            if field is not None:
                self.fields.setdefault(bytes(field[1]).lower(), bytes(field[2]).strip())

    def _frame(self) -> None:
        """Of a length and chunks, chunks win (RFC 9112, 6.3); of two lengths, the first."""
        length = self.fields.get(LENGTH)
        if CODING in self.fields or length is None:
            return
        if _LENGTH.fullmatch(length):
            self._left = int(length)
        else:
            self.cut = True

    def _take(self, at: int) -> int:
        """Add what is there of the next `_left` bytes to the body; returns where they end."""
        piece = self._raw[at : at + self._left]
        self._left -= len(piece)
        self.append(piece)
        return at + len(piece)

    def _read_chunks(self) -> None:
        """What follows the last chunk is of no interest: the connection is closed."""
        at = 0
        while not self.cut:
            if self._left:
                at = self._take(at)
                if self._left:
                    break
            line = (_NEXT_SIZE if self._in_chunks else _FIRST_SIZE).match(self._raw, at)
            if line is None:
                # All the lines are there, and say no size.
                self.cut = self._raw.count(b"\n", at) > self._in_chunks
                break
            self._in_chunks = True
            self._left = int(line[1], 16)
            at = line.end()
            if not self._left:
                self.whole = True
                break
        del self._raw[:at]
