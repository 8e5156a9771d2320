"""Wait for a condition, with a bound: what a test does instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

PATIENCE_S: Final = 60.0
"""How long a test waits for what has to come: far longer than it takes, for machines are busy."""

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.04
T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "the condition", seconds: float = PATIENCE_S) -> T:
    """Wait until the condition gives something true, and return that; fail after so many seconds."""
    end = time.monotonic() + seconds
    pause = _SHORTEST_PAUSE_S
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)  # what is not there at once is seldom there in a moment
    return value
