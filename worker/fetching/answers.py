"""What an answer comes to: a file, a redirect, a fault."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import zlib
from collections.abc import Callable
from typing import Final

from worker.fetching.request import Answer
from worker.fetching.streams import Forbidden
from worker.fetching.values import Fetched, FetchFault

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NOT_CERTAIN: Final = frozenset({408, 409, 421, 423, 425, 429})
"""Of the statuses from 400 to 499, those that say that it may go well another time."""

_CONTENT_RANGE: Final = re.compile(r"bytes 0*(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)

Wants = Callable[[bytes], int]
"""How many bytes from the beginning are needed, by those that have come: enough have, where it is no more."""


def no_file(answer: Answer) -> FetchFault | str | None:
    """What an answer is that brings no file: a redirect's location, or a fault; None where it brings one."""
    status = answer.status
    if status in (200, 203, 206):
        return None
    if status in _REDIRECTS and (location := answer.headers.get("Location")):
        # http.client reads bytes as Latin-1; a location beyond ASCII is UTF-8.
        return location.encode("latin-1", "replace").decode("utf-8", "replace").strip()
    words = f"is answered HTTP {status}"
    if status in _NOT_CERTAIN or status >= 500 or status in (202, 304) or status < 200:
        return FetchFault("transient", words, status)
    return FetchFault("certain", words, status)


def range_of(answer: Answer) -> tuple[int, int | None]:
    """Where a partial answer begins, and the file's size; -1 where it does not say."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if found is None or coding_of(answer):
        return -1, None
    return int(found[1]), None if found[3] == "*" else int(found[3])


def whole(answer: Answer, wants: Wants, count_to: int) -> Fetched:
    """The beginning of a file that comes whole; the rest of it is left unread where its size is known."""
    if coding := coding_of(answer):
        return _coded(answer, coding, wants)
    length = answer.headers.get("Content-Length", "")
    size = int(length) if length.isascii() and length.isdigit() and len(length) <= 18 else None
    head = b""
    while not answer.ended and len(head) < (least := wants(head)):
        head += answer.read(least - len(head))
    if size is not None:
        return Fetched(head, size, len(head) >= size)
    counted = len(head)
    while not answer.ended and counted < count_to:
        counted += len(answer.read(min(count_to - counted, 64 * 1024)))
    return Fetched(head, counted, answer.ended and counted == len(head))


def coding_of(answer: Answer) -> str:
    """The content coding that came though none was asked for; empty where there is none.

    `aws-chunked` is left over from an upload, and says nothing of what is sent.
    """
    tokens = answer.headers.get("Content-Encoding", "").lower().split(",")
    return next(
        (found for token in tokens if (found := token.strip()) not in ("", "identity", "aws-chunked")), ""
    )


def _coded(answer: Answer, coding: str, wants: Wants) -> Fetched:
    """The beginning of what was compressed; its size is not known. Of a coding that is not known, nothing."""
    if coding not in ("gzip", "x-gzip", "deflate"):
        return Fetched(b"", None, False)
    least = wants(b"")
    raw = answer.read(least)
    try:
        head = zlib.decompressobj(47 if coding != "deflate" else 15).decompress(raw, least)
    except zlib.error:
        head = raw  # the header is wrong
    return Fetched(head, None, False)


def fault_of(error: Exception) -> FetchFault:
    """What any failure on the way comes to."""
    match error:
        case Forbidden():
            return FetchFault("forbidden", "must be at a public address, and its host has none")
        case socket.gaierror():
            return FetchFault("transient", "its host's name cannot be resolved", of_host=True)
        case ssl.SSLCertVerificationError():
            words = f"its host's certificate is not valid ({error.verify_message})"
            return FetchFault("transient", words, of_host=True)
        case TimeoutError():
            return FetchFault("transient", "its host does not answer in time", of_host=True)
        case OSError():
            words = error.strerror or type(error).__name__
            return FetchFault("transient", f"its host cannot be reached ({words})", of_host=True)
        case http.client.InvalidURL() | UnicodeError():
            return FetchFault("certain", "is not a URL that can be asked for")
        case _:  # what it answers is no HTTP
            return FetchFault(
                "transient", f"its host answers nothing that can be read ({type(error).__name__})"
            )
