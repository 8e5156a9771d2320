"""Reads an answer with llhttp, without leniencies; only then may its connection be used again."""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from worker.vendor.message import CODING, CONNECTION, INTERIM_MAX, LENGTH, LINES_MAX, SWITCHING, HttpMessage

_KEPT: Final = b"keep-alive"


class _Enough(Exception):
    """Ends the parsing from within a callback."""


class StrictMessage(HttpMessage):
    """An answer as llhttp reads it without leniencies; `refused` where it does not."""

    __slots__ = ("_lines", "_parser", "interims", "odd", "refused")

    def __init__(self) -> None:
        super().__init__()
        self.refused = False
        self.odd = False
        """Whether it cannot be told for certain what follows."""
        self.interims = 0
        self._lines = 0
        # A new one for each answer: one that is used again hands on the end of a trailer. It costs 0.3 µs.
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    @property
    def clean(self) -> bool:
        """Whether nothing was odd, and the server means to keep the connection."""
        fields = self.fields
        return (
            self.whole
            and not self.odd
            # With neither the connection's end is the body's, with both one of them is wrong.
            and (LENGTH in fields) != (CODING in fields)
            and fields.get(CONNECTION, _KEPT).lower() == _KEPT
        )

    def feed(self, piece: bytes) -> None:
        """Read what has come."""
        assert self._parser is not None
        try:
            # Its last byte for itself: llhttp does not tell how much it took, and passes over line ends that
            # follow an answer. If all is read before that byte, something follows that nobody asked for.
            if len(piece) > 1:
                self._parser.feed_data(piece[:-1])
            if self.whole:
                self.odd = True
            else:
                self._parser.feed_data(piece[-1:])
        # HttpParserUpgrade is of no common class with the others.
        except (HttpParserError, HttpParserUpgrade):
            self.odd = True
            self.refused = not (self.whole or self.cut)

    def release(self) -> None:
        """Let go of the parser, whose references to this object make a cycle."""
        self._parser = None

    def on_message_begin(self) -> None:
        """Called by the parser, for interim answers and for what follows the answer, too."""
        if self.whole:
            raise _Enough

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for lines of the trailer, too."""
        self._lines += 1
        if self._lines >= LINES_MAX:
            self.cut = True
            raise _Enough
        if self.status:
            return
        name = name.lower()
        stripped = value.strip()
        if name == CODING and (name in self.fields or stripped != value):
            raise _Enough  # of two, llhttp goes by the last one; behind "chunked" it takes no tab
        if name not in self.fields:
            self.fields[name] = stripped
        elif name == CONNECTION:
            self.odd = True

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        parser = self._parser
        assert parser is not None
        version, status = parser.get_http_version(), parser.get_status_code()
        if version != "1.1":
            self.odd = True
        if version not in ("1.1", "1.0") or status < 100:
            raise _Enough
        self._lines = 0
        if status < 200 and status != SWITCHING:
            self.interims += 1
            self.cut = self.interims >= INTERIM_MAX
            if self.cut or LENGTH in self.fields or CODING in self.fields:
                raise _Enough  # llhttp would read a body, and there is none
            self.fields.clear()
        elif not self.begin(status):
            self.odd = True
            raise _Enough

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if not self.append(data):
            raise _Enough

    def on_message_complete(self) -> None:
        """Called by the parser, after interim answers, too."""
        if self.status:
            self.whole = True
