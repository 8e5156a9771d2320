"""A thread that does duties by turns, each every so many seconds, until it is stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from worker.store.redis_wait import Away, in_words
from worker.store.scripts import CALL_TIMEOUT_S

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
"""How late a duty may begin, at most, while no other one of the same thread is under way."""

TELL_EVERY_S: Final = 30.0

JOIN_S: Final = CALL_TIMEOUT_S + 1.0
"""How long a stop waits for what is under way: no single call to Redis takes longer."""


class Duty(NamedTuple):
    """Something to do every so many seconds. If it returns True there is more: it is due at the next tick."""

    do: Callable[[], object]
    every_s: float


class DutyGuard:
    """Does duties of which one that fails must not keep the others from being done; warns now and then."""

    def __init__(self) -> None:
        self._told = float("-inf")

    def attempt(self, do: Callable[[], object]) -> bool:
        """Whether the duty is done for now; one that failed, or has more to do, is not."""
        try:
            return do() is not True
        except Away as error:
            self._tell(in_words(error, "maintenance"))
        except Exception:
            if self._tell("maintenance failed in part; it goes on"):
                log.exception("what failed")
        return False

    def _tell(self, words: str) -> bool:
        """Warn, now and then; whether it was time."""
        due = time.monotonic() - self._told > TELL_EVERY_S
        if due:
            self._told = time.monotonic()
            log.warning("%s", words)
        return due


class Scheduler:
    """One thread and its duties, done in their order.

    Args:
        name: the thread's.
        ready: whether there is anything to do yet.
    """

    def __init__(self, name: str, duties: Sequence[Duty], ready: Callable[[], bool]) -> None:
        self._duties = tuple(duties)
        self._ready = ready
        self._guard = DutyGuard()
        self._done_at = [float("-inf")] * len(self._duties)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """Begin no duty any more, and wait for the one under way, `JOIN_S` at most; whether it has ended."""
        self._stopped.set()
        if self._thread.ident is not None:  # else it was never started
            self._thread.join(JOIN_S)
        return not self._thread.is_alive()

    def tick(self) -> None:
        """Do what is due."""
        for index, duty in enumerate(self._duties):
            if self._stopped.is_set():
                return
            if time.monotonic() - self._done_at[index] >= duty.every_s and self._guard.attempt(duty.do):
                self._done_at[index] = time.monotonic()

    def _run(self) -> None:
        while not self._stopped.wait(TICK_S):
            if self._ready():
                self.tick()
