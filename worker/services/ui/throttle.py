"""How often somebody may be wrong about the token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

WRONG_MOST: Final = 5
"""Wrong tokens from one address, one after another."""

AGAIN_AFTER_S: Final = 20.0
"""After so long one more is allowed."""

_ADDRESSES_MOST: Final = 1000


class Throttle:
    """Wrong guesses by address. While there are too many, right ones are refused too. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._debts: dict[str, tuple[float, float]] = {}

    def wait_s(self, address: str) -> float:
        """How long this address has to wait; 0: it may try."""
        with self._lock:
            debt = self._debt(address)
        return max(0.0, (debt - WRONG_MOST + 1) * AGAIN_AFTER_S) if debt > WRONG_MOST - 1 else 0.0

    def wrong(self, address: str) -> None:
        """A guess from there was wrong."""
        with self._lock:
            debt = self._debt(address)
            self._debts.pop(address, None)
            while len(self._debts) >= _ADDRESSES_MOST:
                del self._debts[next(iter(self._debts))]
            self._debts[address] = (debt + 1, self._clock())

    def _debt(self, address: str) -> float:
        count, since = self._debts.get(address, (0.0, 0.0))
        return max(0.0, count - (self._clock() - since) / AGAIN_AFTER_S)
