"""Wake a consumer when a message arrives, without taking it."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

log = logging.getLogger(__name__)


class ArrivalWatcher:
    """Wakes the consumer when a message arrives in an empty queue, without taking it.

    BLMOVE from a list to itself waits until there is an element and leaves it where it is. One thread
    for each list that people enqueue to; the lists of numbered priorities are looked at every second.
    """

    def __init__(self, client: Any, lists: list[str]) -> None:
        self._client = client
        self._arrived = threading.Event()
        self._armed = {name: threading.Event() for name in lists}
        self._watched = False

    def __call__(self, timeout: float) -> None:
        """Wait for a message in any list, at most so many seconds."""
        self._arrived.clear()
        for armed in self._armed.values():
            armed.set()
        if not self._watched:
            self._watched = True
            for name in self._armed:
                threading.Thread(
                    target=self._watch, args=(name,), name=f"arrivals-{name}", daemon=True
                ).start()
        self._arrived.wait(timeout)

    def _watch(self, name: str) -> None:
        while True:
            self._armed[name].wait()
            try:
                if self._client.blmove(name, name, 4, "RIGHT", "RIGHT") is not None:
                    self._armed[name].clear()
                    self._arrived.set()
            except Exception:
                # Of whatever class: without this thread nobody would be woken any more.
                log.debug("waiting for a message failed; it goes on", exc_info=True)
                time.sleep(0.5)
