"""Stops this process from buying what it could not settle.

Before anything is taken from the queue, or sent: has Redis refused to settle a job that was sent? The first
refusal closes the guard until that job is settled. And before anything is taken: does Redis allow all that
settling writes? That is tried out, without writing, at the start and each time after Redis was away or
refused.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger(__name__)

TRY_EVERY_S: Final = 1.0
REMIND_EVERY_S: Final = 30.0
TAKING_FAILS_S: Final = 10.0
"""A failure to take messages that lasts longer is told to operators."""


class Reporter(Protocol):
    """Who is told."""

    def store_refuses(self, words: str, *, again: bool) -> None: ...


class SettlementGuard:
    """Whether this process may take jobs and send them. Thread-safe.

    Args:
        troubles: a number that changes whenever Redis was away, or refused something.
        refusals: what Redis would refuse of what a worker writes, in words; empty where nothing is.
        reporter: told of what is refused.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        troubles: Callable[[], int],
        refusals: Callable[[], list[str]],
        reporter: Reporter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._troubles = troubles
        self._refusals = refusals
        self._reporter = reporter
        self._clock = clock
        self._lock = threading.Lock()
        self._unsettled: dict[str, str] = {}
        self._tried: int | None = None
        self._try_at = float("-inf")
        self._told: dict[str, float] = {}
        self._reported = False
        self._found: list[str] = []
        self._taking_fails = ("", 0.0)

    @property
    def is_open(self) -> bool:
        """Whether a job may be sent: none that was sent waits for Redis to take how it ended."""
        return not self._unsettled

    def allows_taking(self) -> bool:
        """Whether a job may be taken from the queue; tries out what Redis allows, if that may have changed.

        Raises:
            redis.RedisError: Redis is away.
        """
        if self._unsettled:
            return False
        troubles = self._troubles()
        if self._tried == troubles:
            return True
        if self._clock() < self._try_at:
            return False
        self._try_at = self._clock() + TRY_EVERY_S
        found = self._refusals()
        if self._found and not found:
            self._reported = False
            log.warning("Redis allows all that a worker writes again: intake goes on")
        self._found, self._tried = found, None if found else troubles
        for words in found:
            self._tell(words, "nothing is taken from the queue until it is mended")
        return not found

    def refused(self, job_id: str, words: str, *, away: bool = False) -> None:
        """Redis has not taken how this job ended, for this reason; it is going to be asked again.

        Args:
            away: it did not answer, rather than refuse: that is reported as an outage, not here.
        """
        with self._lock:
            self._unsettled[job_id] = words
        waits = len(self._unsettled)
        self._tell(words, f"{waits} job(s) wait to be settled, and nothing is sent until they are", away)

    def settled(self, job_id: str) -> None:
        """Redis has taken how this job ended."""
        if not self._unsettled:
            return
        with self._lock:
            left = self._unsettled.pop(job_id, None) is not None and not self._unsettled
        if left:
            self._reported = False
            log.warning("Redis settles again; no job waits for it any more")

    def taking_fails(self, words: str) -> None:
        """Nothing can be taken from the queue, for this reason; empty once it can be again."""
        self._taking_fails = (words, self._taking_fails[1] if self._taking_fails[0] else self._clock())

    def trouble(self) -> str:
        """What keeps this process from working, in words; empty where nothing does."""
        words, since = self._taking_fails
        if words and self._clock() - since > TAKING_FAILS_S:
            return words
        with self._lock:
            waits = list(self._unsettled.values())
        if waits:
            jobs = "1 job waits" if len(waits) == 1 else f"{len(waits)} jobs wait"
            return f"{jobs} to be settled: {waits[-1]}"
        return "; ".join(self._found)

    def _tell(self, words: str, consequence: str, away: bool = False) -> None:
        now = self._clock()
        if now - self._told.get(words, float("-inf")) < REMIND_EVERY_S:
            return
        self._told = {words: now, **{old: at for old, at in self._told.items() if now - at < REMIND_EVERY_S}}
        again, self._reported = self._reported or away, self._reported or not away
        self._reporter.store_refuses(f"{words}; {consequence}", again=again)
