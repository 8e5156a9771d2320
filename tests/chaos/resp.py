"""Redis's protocol, as far as a proxy needs it: where a command or a reply ends, and what a command says."""

from __future__ import annotations

from typing import Final

_LINES: Final = b"+-:_,#("
_BULKS: Final = b"$=!"
_AGGREGATES: Final = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2}

Data = bytes | bytearray


class NotResp(ValueError):
    """Bytes that are no command and no reply."""


def reply_end(data: Data, start: int = 0) -> int | None:
    """Where the reply that begins at `start` ends; None where not all of it is there yet.

    Raises:
        NotResp: no reply begins there.
    """
    missing, at = 1, start
    while missing:
        head = _head(data, at)
        if head is None:
            return None
        kind, number, at = head
        missing -= 1
        if kind in _AGGREGATES:
            missing += max(0, number) * _AGGREGATES[kind]
        elif kind in _BULKS and number >= 0:
            at += number + 2
            if at > len(data):
                return None
    return at


def command(data: Data, start: int = 0) -> tuple[list[bytes], int] | None:
    """The command that begins at `start`, and where it ends; None where not all of it is there yet.

    Raises:
        NotResp: no array of bulk strings begins there.
    """
    head = _head(data, start)
    if head is None:
        return None
    kind, count, at = head
    if kind != ord("*"):
        raise NotResp(bytes(data[start : start + 40]))
    words = []
    for _ in range(count):
        head = _head(data, at)
        if head is None:
            return None
        kind, length, at = head
        if kind != ord("$"):
            raise NotResp(bytes(data[start : start + 40]))
        if at + length + 2 > len(data):
            return None
        words.append(bytes(data[at : at + length]))
        at += length + 2
    return words, at


def encoded(words: list[bytes]) -> bytes:
    """A command in the protocol."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _head(data: Data, at: int) -> tuple[int, int, int] | None:
    """What begins there: its kind, the number on its first line or 0, and where that line ends."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind = data[at]
    if kind in _LINES:
        return kind, 0, end + 2
    if kind not in _BULKS and kind not in _AGGREGATES:
        raise NotResp(bytes(data[at : at + 40]))
    try:
        return kind, int(data[at + 1 : end]), end + 2
    except ValueError:
        raise NotResp(bytes(data[at : at + 40])) from None
