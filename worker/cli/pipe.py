"""A pipe, read as it comes: it knows whether its next line would have to be waited for."""

from __future__ import annotations

import os
import re
import select
import time
from typing import BinaryIO, Final

_PART_BYTES: Final = 65_536
_NOT_BLANK: Final = re.compile(rb"\S")


class Pipe:
    """What comes through a pipe, or is typed. Nothing else may read it.

    Args:
        file: of which nothing was read yet.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._kept = bytearray()
        self._ended = False

    def readline(self, size: int) -> bytes:
        """The next line, or so many bytes of it; empty at the end."""
        while not self._ended and b"\n" not in self._kept and len(self._kept) < size:
            self._more()
        end = self._kept.find(b"\n", 0, size) + 1
        return self._taken(end or min(size, len(self._kept)))

    def read(self) -> bytes:
        """All that is left."""
        while not self._ended:
            self._more()
        return self._taken(len(self._kept))

    def is_idle(self, within_s: float) -> bool:
        """Whether no whole line is there but blank ones, and none is whole within so many seconds."""
        until = time.monotonic() + within_s
        while not (self._ended or self._has_line()):
            if not select.select([self._descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
                return True
            self._more()
        return False

    def _has_line(self) -> bool:
        begin = _NOT_BLANK.search(self._kept)
        return begin is not None and self._kept.find(b"\n", begin.start()) >= 0

    def _more(self) -> None:
        select.select([self._descriptor], [], [])  # for one that is set not to block
        part = os.read(self._descriptor, _PART_BYTES)
        self._ended = not part
        self._kept += part

    def _taken(self, count: int) -> bytes:
        line = bytes(self._kept[:count])
        del self._kept[:count]
        return line
