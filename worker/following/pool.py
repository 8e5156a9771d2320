"""A few threads for what blocks: queries, and keeping files."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable


class Pool:
    """At most so many threads, each made when it is first needed.

    Daemons, unlike those of `concurrent.futures`: an answer that does not come must not keep the worker from
    ending.

    Args:
        freed: called when one has become free.
    """

    def __init__(self, name: str, most: int, freed: Callable[[], None]) -> None:
        self._name = name
        self._most = most
        self._freed = freed
        self._waiting = queue.SimpleQueue[Callable[[], None]]()
        self._changed = threading.Condition()
        self._busy = self._made = 0

    def free(self) -> int:
        """How many more may run at once."""
        with self._changed:
            return self._most - self._busy

    def run(self, do: Callable[[], None]) -> None:
        """Have a thread do this, which must not raise; only where one is `free`.

        Raises:
            RuntimeError: the system has no more threads; it is not done.
        """
        with self._changed:
            if self._busy == self._made:
                name = f"{self._name}_{self._made + 1}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
                self._made += 1
            self._busy += 1
        self._waiting.put(do)

    def join(self, seconds: float) -> bool:
        """Wait until nothing is done any more, for so long at most; whether that is so."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._busy and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._busy

    def _work(self) -> None:
        while True:
            do = self._waiting.get()
            try:
                do()
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()
                self._freed()
