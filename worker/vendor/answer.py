"""Reads one HTTP/1 answer, at once or as it comes, and says whether its connection is clean afterwards.

Generous with what counts as an answer: its status may be all that a job needs. Strict with what may
follow: after anything odd the connection is closed, so that no job is ever given the answer to another.
"""

from __future__ import annotations

import io
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from urllib3 import HTTPResponse

from worker.domain.outcome import Reply

ANSWER_MAX_BYTES: Final = 1_000_000
LINE_MAX_BYTES: Final = 16_384
LINES_MAX: Final = 128
INTERIM_MAX: Final = 32
RECEIVE_BYTES: Final = 65_536

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: .*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_LENGTH: Final = b"content-length"
_CODING: Final = b"transfer-encoding"
_KEPT: Final = b"keep-alive"
_WITHOUT_BODY: Final = (204, 304)


class BadAnswerError(Exception):
    """What came is no answer in HTTP/1, or is too long."""


class _StillComing(Exception):
    """More of the answer has to arrive first."""


@dataclass(frozen=True, slots=True)
class _Head:
    """``clean``: nothing in it is odd, and the server means to keep the connection."""

    status: int
    fields: dict[bytes, bytes]
    clean: bool

    def text(self, name: bytes) -> str | None:
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")


def read_answer(sock: socket.socket, timeout_s: float) -> tuple[Reply, bool]:
    """The answer to the request just sent, and whether another request may follow on this connection.

    An answer that breaks off behind its head, or is longer than the limit, is truncated.

    Raises:
        BadAnswerError: what came is no head of an answer.
        OSError: the connection ended within the head; TimeoutError after ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s  # a socket's own timeout starts anew with every byte

    def receive() -> bytes:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(left_s)
        return sock.recv(RECEIVE_BYTES)

    return _answer(_Incoming(receive))


class PartialAnswer:
    """An answer that is read as it comes, by a thread that does not wait for it; else as `read_answer`."""

    def __init__(self) -> None:
        self._held = b""

    def add(self, piece: bytes) -> tuple[Reply, bool] | None:
        """The answer, if it is complete with this piece; an empty one is the connection's end."""
        self._held += piece

        def receive() -> bytes:
            if piece:
                raise _StillComing
            return b""

        try:
            # From the beginning each time: nearly every answer comes in one piece.
            return _answer(_Incoming(receive, self._held))
        except _StillComing:
            return None

    def end_with(self, error: Exception) -> tuple[Reply, bool]:
        """The answer, though nothing more of it will come; raises the error where its head is not there."""

        def receive() -> NoReturn:
            raise error

        return _answer(_Incoming(receive, self._held))


def _answer(incoming: _Incoming) -> tuple[Reply, bool]:
    head = _final_head(incoming)
    body, truncated = bytearray(), False
    try:
        _read_body(incoming, head, body)
    except _StillComing:
        raise
    # Of whatever class: the status is known, and says more than "unknown" does.
    except Exception:
        truncated = True
    answer = bytes(body)
    if coding := head.text(b"content-encoding"):
        answer, intact = _unpacked(answer, coding)
        truncated = truncated or not intact
    reply = Reply(head.status, answer, head.text(b"retry-after"), head.text(b"date"), truncated)
    return reply, head.clean and not truncated and not incoming.surplus


class _Incoming:
    """Bytes in hand, and more as `receive` gives them; an empty piece is their end."""

    def __init__(self, receive: Callable[[], bytes], held: bytes = b"") -> None:
        self._more = receive
        self._held = held
        self._at = 0

    @property
    def surplus(self) -> bool:
        """Whether there is more in hand than was asked for."""
        return self._at < len(self._held)

    def line(self) -> bytes:
        """The next line, without its end."""
        while (end := self._held.find(b"\n", self._at)) < 0:
            if len(self._held) - self._at > LINE_MAX_BYTES:
                raise BadAnswerError("a line of the answer is too long")
            if not self._receive():
                raise ConnectionError("the connection was closed before the answer's end")
        line = self._held[self._at : end]
        self._at = end + 1
        return line.removesuffix(b"\r")

    def move(self, size: int | None, body: bytearray) -> None:
        """Append the next ``size`` bytes to the body, or all until the connection's end where None."""
        while size is None or size > 0:
            if not self.surplus and not self._receive():
                if size is None:
                    return
                raise ConnectionError("the connection was closed before the answer's end")
            room = ANSWER_MAX_BYTES - len(body)
            if not room:
                raise BadAnswerError("the answer is too long")
            piece = self._held[self._at : self._at + (room if size is None else min(size, room))]
            body += piece
            self._at += len(piece)
            size = None if size is None else size - len(piece)

    def _receive(self) -> bool:
        received = self._more()
        self._held = self._held[self._at :] + received
        self._at = 0
        return bool(received)


def _final_head(incoming: _Incoming) -> _Head:
    """The head of the answer proper; interim ones (100 Continue, 103 Early Hints) are passed over."""
    for _ in range(INTERIM_MAX):
        head = _head(incoming)
        if head.status >= 200 or head.status == 101:
            return head
    raise BadAnswerError("interim answers without end")


def _head(incoming: _Incoming) -> _Head:
    line = incoming.line()
    started = _STATUS_LINE.fullmatch(line)
    if started is None:
        raise BadAnswerError(f"not an answer in HTTP/1: {line[:40]!r}")
    status = int(started[2])
    fields, tidy = _fields(incoming)
    clean = (
        tidy
        and started[1] == b"1"
        and status >= 200
        and status not in _WITHOUT_BODY
        # With neither the connection's end is the body's, with both one of them is wrong.
        and (_LENGTH in fields) != (_CODING in fields)
        and fields.get(b"connection", _KEPT).lower() == _KEPT
    )
    return _Head(status, fields, clean)


def _fields(incoming: _Incoming) -> tuple[dict[bytes, bytes], bool]:
    """The header fields, the first of each name, and whether all lines can be trusted."""
    fields: dict[bytes, bytes] = {}
    tidy = True
    for _ in range(LINES_MAX):
        line = incoming.line()
        if not line:
            return fields, tidy
        field = _FIELD.fullmatch(line)
        if field is None:
            tidy = False
            continue
        name = field[1].lower()
        if name in fields and name in (_LENGTH, _CODING):
            tidy = False
        fields.setdefault(name, field[2].strip())
    raise BadAnswerError("the answer's head is too long")


def _read_body(incoming: _Incoming, head: _Head, body: bytearray) -> None:
    """Fill the body as the head frames it."""
    length, coding = head.fields.get(_LENGTH), head.fields.get(_CODING)
    if head.status < 200 or head.status in _WITHOUT_BODY:
        return
    if coding is not None:
        if coding.lower() != b"chunked":
            raise BadAnswerError("a transfer coding that was not asked for")
        _read_chunks(incoming, body)
    elif length is None:
        incoming.move(None, body)
    elif length.isdigit():
        incoming.move(int(length), body)
    else:
        raise BadAnswerError("the answer's length is not a number")


def _read_chunks(incoming: _Incoming, body: bytearray) -> None:
    while True:
        line = _CHUNK_SIZE.fullmatch(incoming.line())
        if line is None:
            raise BadAnswerError("a chunk without a size")
        size = int(line[1], 16)
        if not size:
            break
        incoming.move(size, body)
        if incoming.line():
            raise BadAnswerError("a chunk longer than its size")
    for _ in range(LINES_MAX):
        if not incoming.line():
            return
    raise BadAnswerError("the answer's trailer is too long")


def _unpacked(body: bytes, coding: str) -> tuple[bytes, bool]:
    """The body decoded up to the limit, and whether that is all of it."""
    try:
        response = HTTPResponse(io.BytesIO(body), {"Content-Encoding": coding}, preload_content=False)
        unpacked = response.read(ANSWER_MAX_BYTES + 1, decode_content=True)
    except Exception:
        return b"", False
    return unpacked[:ANSWER_MAX_BYTES], len(unpacked) <= ANSWER_MAX_BYTES
