"""A whole file at a URL, handed on piece by piece: no more of it is in memory than one piece."""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from tasks.exceptions import AigcError
from worker.fetching.answers import coding_of
from worker.fetching.request import Answer
from worker.fetching.values import FetchFault

PIECE_BYTES: Final = 256 * 1024

Sink = Callable[[bytes], None]
"""Takes the next piece of a file. What it raises ends the download, and is raised again as it is."""


class SinkFailed(AigcError):
    """The sink raised this: no fault of the host's, whatever class it is of."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def received(answer: Answer, sink: Sink, most_bytes: int) -> int | FetchFault:
    """Read an answer's body to its end; returns how many bytes the file has.

    Raises:
        SinkFailed: the sink did.
        OSError, http.client.HTTPException: the connection is lost before the body's end.
    """
    if answer.status == http.client.PARTIAL_CONTENT:
        return FetchFault("transient", "is answered with a part of the file, and the whole was asked for")
    if not answer.says_its_end:
        return FetchFault("transient", "is answered without a length, so that nobody could tell a part of it")
    coding = coding_of(answer)
    if coding not in ("", "gzip", "x-gzip"):
        return FetchFault("certain", "is answered in a compression that was not asked for")
    if not coding and (answer.length or 0) > most_bytes:
        return _too_large(most_bytes)
    count = 0
    for piece in _unpacked(answer) if coding else _pieces(answer):
        count += len(piece)
        if count > most_bytes:
            return _too_large(most_bytes)
        _hand_on(piece, sink)
    return count


def _too_large(most_bytes: int) -> FetchFault:
    return FetchFault("certain", f"brings more than {most_bytes:,} bytes")


def _hand_on(piece: bytes, sink: Sink) -> None:
    try:
        sink(piece)
    except Exception as error:
        raise SinkFailed(error) from error


def _pieces(answer: Answer) -> Iterator[bytes]:
    while not answer.ended:
        if piece := answer.read(PIECE_BYTES):
            yield piece


def _unpacked(answer: Answer) -> Iterator[bytes]:
    """What gzip packed, in pieces: a few packed bytes may stand for very many."""
    unpack = zlib.decompressobj(31)
    try:
        for packed in _pieces(answer):
            left = packed
            while left and not unpack.eof:
                if piece := unpack.decompress(left, PIECE_BYTES):
                    yield piece
                left = unpack.unconsumed_tail
        if rest := unpack.flush():
            yield rest
    except zlib.error as error:
        raise http.client.HTTPException(str(error)) from None
    if not unpack.eof:
        raise http.client.IncompleteRead(b"")
