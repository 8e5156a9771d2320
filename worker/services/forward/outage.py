"""How a forwarder waits for a Redis that is away or refuses."""

from __future__ import annotations

import logging
import time
from typing import Final

from worker.services.forward.clock import Stop
from worker.store.redis_wait import in_words

log = logging.getLogger(__name__)

_SHORTEST_S: Final = 0.05
_LONGEST_S: Final = 1.0
_REMIND_EVERY_S: Final = 30.0


class Outage:
    """Pauses that grow, and a line in the log now and then."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._pause_s = _SHORTEST_S
        self._told: float | None = None

    def after(self, error: BaseException) -> None:
        """Pause after this error."""
        now = time.monotonic()
        if self._told is None or now - self._told > _REMIND_EVERY_S:
            self._told = now
            log.warning("%s", in_words(error, "forwarding"))
        self._stop.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_S)

    def is_over(self) -> None:
        """Redis has answered."""
        if self._told is not None:
            log.info("Redis answers again")
        self._pause_s, self._told = _SHORTEST_S, None
