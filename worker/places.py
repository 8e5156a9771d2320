"""Places for jobs in flight, and a bell for whoever waits for one beside other things."""

from __future__ import annotations

import contextlib
import os
import threading


class Places:
    """So many places, of which each job in flight takes one. Thread-safe.

    Args:
        count: attempts that this process makes at a time.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._bell, self._clapper = os.pipe()
        self._wanted = False
        for end in (self._bell, self._clapper):
            os.set_blocking(end, False)

    def take(self, most: int) -> int:
        """At most so many places, without waiting. Where there are fewer, the bell tells of the next."""
        taken = self._take(most)
        if taken < most:
            self._wanted = True
            taken += self._take(most - taken)  # one may have been given back before the bell was set
        return taken

    def give_back(self) -> None:
        """Give one back."""
        self._free.release()
        if self._wanted:
            self._wanted = False
            with contextlib.suppress(BlockingIOError):
                os.write(self._clapper, b".")

    def fileno(self) -> int:
        """Readable when there may be places again; for one thread at a time."""
        return self._bell

    def heard(self) -> None:
        """Let the bell be silent until the next time."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell, 4096)

    def __enter__(self) -> None:
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def __del__(self) -> None:
        # Not earlier: who gives a place back must not ring what the descriptor stands for by then.
        os.close(self._bell)
        os.close(self._clapper)

    def _take(self, most: int) -> int:
        taken = 0
        while taken < most and self._free.acquire(blocking=False):
            taken += 1
        return taken
