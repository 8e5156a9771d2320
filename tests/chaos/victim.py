"""Loaded into a worker by Celery's ``--include``: ends the process at a named point, or bends its clock.

The product has no hooks for this. The functions around the points are wrapped here, in the worker that
is to suffer, as the JSON in ``CHAOS`` says:

    {"point": "settle", "when": "before" | "after", "pass": 2}   SIGKILL at the second settle
    {"clock": [[0, 600], [5, -600]]}     from second 0 on ten minutes fast, from second 5 on slow
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from worker.processing.network import Network
from worker.store.scripts import Scripts
from worker.vendor import Client

POINTS: Final = (
    "heartbeat", "take", "quarantine", "claim", "withdraw", "send", "wait", "settle", "reschedule", "promote",
    "release", "slow_down", "takeover", "acknowledge",
)  # fmt: skip
"""Every point of a job's way at which something outside of the worker's process changes."""

_METHODS: Final[dict[str, tuple[type, str]]] = {
    "send": (Client, "send"),
    "wait": (Network, "wait"),
}


def die_at(point: str, when: str, nth: int) -> None:
    """Wrap the function at the point so that its n-th pass ends the process, before or after it."""
    owner, name = _METHODS.get(point, (Scripts, "run_all"))
    original: Callable[..., Any] = getattr(owner, name)
    passes = itertools.count(1)

    @wraps(original)
    def deadly(self: Any, *args: Any, **kwargs: Any) -> Any:
        if owner is Scripts and point not in (call[0] for call in args[0]):
            return original(self, *args, **kwargs)
        fatal = next(passes) == nth
        if fatal and when == "before":
            _die()
        value = original(self, *args, **kwargs)
        if fatal:
            _die()
        return value

    setattr(owner, name, deadly)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal may come a moment later, and nothing may happen in it


def bend_clock(jumps: list[tuple[float, float]]) -> None:
    """Make the wall clock wrong by so many seconds from so many seconds after now on."""
    real, start = time.time, time.monotonic()

    def bent() -> float:
        passed = time.monotonic() - start
        skews = [skew for at, skew in jumps if at <= passed]
        return real() + (skews[-1] if skews else 0.0)

    time.time = bent


_plan = json.loads(os.environ.get("CHAOS", "{}"))
if "point" in _plan:
    die_at(_plan["point"], _plan["when"], _plan["pass"])
if "clock" in _plan:
    bend_clock(_plan["clock"])
