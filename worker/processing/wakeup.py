"""Wakes a thread that waits at descriptors."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

_ONE: Final = (1).to_bytes(8, sys.byteorder)
"""What an eventfd wants to be written, eight bytes that it adds up; a pipe does not mind."""


class Wakeup:
    """A descriptor that other threads make readable.

    Raises:
        OSError: no file descriptor is to be had.
    """

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            end = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._ends = end, end
        else:
            self._ends = os.pipe()
            for end in self._ends:
                os.set_blocking(end, False)
        self._is_set = False

    def fileno(self) -> int:
        """The descriptor to wait at."""
        return self._ends[0]

    def set(self) -> None:
        """Wake the thread; by any thread. Often in a row costs as little as once."""
        if not self._is_set:
            self._is_set = True
            with contextlib.suppress(OSError):  # full, and so readable; or closed
                os.write(self._ends[1], _ONE)

    def clear(self) -> None:
        """Before looking for what there is to do: what comes after this wakes again."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._ends[0], 4096)
        # Not before: what was written in between would be read here, and the next one not be written.
        self._is_set = False

    def close(self) -> None:
        """Not before nobody sets it any more."""
        for end in set(self._ends):
            os.close(end)
