"""Reads one HTTP/1 answer as it comes, and says whether its connection is clean afterwards.

Generous with what counts as an answer: its status may be all that a job needs. Strict with what may
follow: after anything odd the connection is closed, so that no job is ever given the answer to another.
"""

from __future__ import annotations

import io
import re
from typing import Final

from urllib3 import HTTPResponse

from worker.domain.outcome import Reply
from worker.domain.signing import REQUEST_ID
from worker.vendor.charset import codec_of, in_utf8
from worker.vendor.lenient import LenientMessage
from worker.vendor.message import ANSWER_MAX_BYTES, HEAD_MAX_BYTES, BadAnswerError
from worker.vendor.strict import StrictMessage

HELD_MAX_BYTES: Final = HEAD_MAX_BYTES + ANSWER_MAX_BYTES
"""Of the bytes as they came, for reading them again; an answer in many small chunks has more of them."""

_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_X_REQUEST_ID: Final = b"x-request-id"
_SURPLUS_LINE_END: Final = re.compile(rb"\r\n\r\n[\r\n]")


class ResponseReader:
    """Reads the answer to one request."""

    __slots__ = ("_bare", "_held", "_message", "_starts_well", "echoed")

    def __init__(self) -> None:
        self._message: StrictMessage | LenientMessage = StrictMessage()
        self._held: bytearray | None = bytearray()
        self._starts_well: bool | None = None
        self._bare = 0  # bytes since the last one of the body
        self.echoed: tuple[str, ...] = ()
        """The request ids that the answer's head carries, in lower case; once there is an answer."""

    def add(self, piece: bytes) -> tuple[Reply, bool] | None:
        """The answer, if it is complete with this piece, and whether another request may follow.

        Args:
            piece: what came; empty at the connection's end.

        Raises:
            BadAnswerError: what came is no head of an answer.
            ConnectionError: the connection ended within the head.
        """
        if not piece:
            message = self._message
            message.whole = bool(message.status) and message.ends_with_connection
            return self.end_with(ConnectionError("the connection was closed before the answer's end"))
        if self._starts_well is None:
            self._starts_well = piece[0] == b"H"[0]  # llhttp passes over line ends before it
        self._hold(piece)
        before = len(self._message.body)
        self._message.feed(piece)
        if isinstance(self._message, StrictMessage) and self._message.refused:
            self._read_again()
        message = self._message
        if not (message.whole or message.cut):
            self._bare = 0 if len(message.body) > before else self._bare + len(piece)
            if self._bare <= HEAD_MAX_BYTES:
                return None
            message.cut = True
        return self._answer(BadAnswerError(f"not an answer in HTTP/1: {self._beginning()!r}"))

    def end_with(self, error: Exception) -> tuple[Reply, bool]:
        """The answer, though nothing more of it will come; raises the error where its head is not there."""
        self._message.cut = not self._message.whole
        return self._answer(error)

    def _hold(self, piece: bytes) -> None:
        if self._held is not None:
            self._held += piece
            if len(self._held) > HELD_MAX_BYTES:
                self._held = None

    def _read_again(self) -> None:
        """Read what strict parsing has refused from the beginning, and all that follows, leniently."""
        if self._held is None:
            self._message.cut = True
            return
        self._message = LenientMessage()
        self._message.feed(self._held)

    def _beginning(self) -> bytes:
        return b"" if self._held is None else bytes(self._held[:40])

    def _answer(self, error: Exception) -> tuple[Reply, bool]:
        message = self._message
        clean = isinstance(message, StrictMessage) and message.clean and bool(self._starts_well)
        if isinstance(message, StrictMessage):
            message.release()
            if clean and message.interims:
                # llhttp passes over line ends between an interim answer and the next one, too.
                clean = self._held is not None and not _SURPLUS_LINE_END.search(self._held)
        if not message.status:
            raise error
        fields, body, truncated = message.fields, bytes(message.body), message.cut
        if coding := fields.get(b"content-encoding"):
            body, intact = _unpacked(body, coding.decode("latin-1"))
            truncated = truncated or not intact
        if b"content-type" in fields and (codec := codec_of(fields[b"content-type"])):
            body = in_utf8(body, codec)
        if _REQUEST_ID in fields or _X_REQUEST_ID in fields:
            found = fields.get(_REQUEST_ID, b""), fields.get(_X_REQUEST_ID, b"")
            self.echoed = tuple(each.decode("latin-1").lower() for each in found)
        reply = Reply(
            message.status, body, _text(fields.get(b"retry-after")), _text(fields.get(b"date")), truncated
        )
        return reply, clean and not truncated


def readable_body(body: bytes, coding: str | None, content_type: str | None) -> bytes:
    """A body as it came, decoded up to the limit, and in UTF-8.

    Args:
        body: what came.
        coding: the Content-Encoding, where there is one.
        content_type: its Content-Type, where there is one.
    """
    if coding:
        body, _ = _unpacked(body, coding)
    codec = codec_of(content_type.encode("latin-1", "replace")) if content_type else None
    return in_utf8(body, codec) if codec else body


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _unpacked(body: bytes, coding: str) -> tuple[bytes, bool]:
    """The body decoded up to the limit, and whether that is all of it."""
    try:
        response = HTTPResponse(io.BytesIO(body), {"Content-Encoding": coding}, preload_content=False)
        unpacked = response.read(ANSWER_MAX_BYTES + 1, decode_content=True)
    except Exception:
        return b"", False
    return unpacked[:ANSWER_MAX_BYTES], len(unpacked) <= ANSWER_MAX_BYTES
