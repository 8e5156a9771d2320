"""The step between validation and claim that looks at a job's pictures (`AIGC_PREFLIGHT`).

Threads fetch; a job waits in the schedule meanwhile, for a moment, or else in Redis: what a slow host takes
must not take the room of other jobs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from tasks.payload import image_urls
from worker.preflight.checks import Busy, Checks, Known, Pending
from worker.preflight.values import Fault
from worker.processing.image_steps import Faults, decide_faults, wait_for_check
from worker.processing.schedule import Schedule
from worker.processing.steps import Moment
from worker.processing.surroundings import Surroundings
from worker.processing.values import Run
from worker.store.values import Decision, Postponement

log = logging.getLogger(__name__)

HOLD_S: Final = 2.0
"""How long a job may wait for its pictures in this process's hands."""


class ImageCheck:
    """Not thread-safe.

    Args:
        checks: finds out, and remembers.
        wake: ends the loop's waiting; by any thread.
        settle: has a decision about a job written down.
    """

    def __init__(
        self,
        around: Surroundings,
        checks: Checks,
        schedule: Schedule,
        wake: Callable[[], None],
        settle: Callable[[Run, Decision], None],
    ) -> None:
        self._around = around
        self._checks = checks
        self._schedule = schedule
        self._wake = wake
        self._settle = settle

    def clears(self, run: Run) -> bool:
        """Whether a valid job may go on; one that may not ends, or waits.

        Raises:
            redis.RedisError: Redis is away, or refuses; asked only about a job with a fault.
        """
        now = time.time()
        answers = [
            (path, self._checks.ask(url, partial(self._told, run), at=now)) for path, url in _pictures(run)
        ]
        faults = [(path, each.fault) for path, each in answers if isinstance(each, Known) and each.fault]
        if any(fault.certain for _, fault in faults):
            return self._obey_faults(run, faults, now)
        waits_s = [each.after_s for _, each in answers if isinstance(each, Busy)]
        takes_s = [each.within_s for _, each in answers if isinstance(each, Pending)]
        if waits_s:
            return self._leave(run, max(waits_s), now)
        if takes_s:
            return self._wait(run, max(takes_s), now)
        return self._obey_faults(run, faults, now) if faults else True

    def _told(self, run: Run, _: Fault | None) -> None:
        """By the thread that found out: it is known now, and the job is looked at once more."""
        self._schedule.recall(run)
        self._wake()

    def _wait(self, run: Run, seconds: float, now: float) -> bool:
        """Wait in hand where that is short."""
        moment = time.monotonic()
        run.checked_from = run.checked_from or moment
        left_s = run.checked_from + HOLD_S - moment
        if left_s <= 0 or seconds > HOLD_S:
            return self._leave(run, seconds, now)
        self._schedule.after(run, left_s)
        return False

    def _leave(self, run: Run, seconds: float, now: float) -> bool:
        """Wait in Redis; whether the claim has to decide instead."""
        decision = wait_for_check(run.fit, seconds, self._around.policy, now)
        return self._obey(run, decision)

    def _obey_faults(self, run: Run, faults: Faults, now: float) -> bool:
        around = self._around
        record = around.job_store.record(run.job.id)
        moment = Moment(now, time.monotonic(), around.jitter())
        decision = decide_faults(run.fit, faults, record, around.policy, moment)
        if isinstance(decision, Postponement):
            self._remark(run, faults)
        return self._obey(run, decision)

    def _obey(self, run: Run, decision: Decision | None) -> bool:
        if decision is None:
            return True
        self._settle(run, decision)
        return False

    def _remark(self, run: Run, faults: Faults) -> None:
        path, fault = faults[0]
        if often := self._around.remarks.due(f"picture: {fault.words}", time.monotonic()):
            log.warning(
                "job %s waits, for %s %s%s",
                *(run.job.id, path, fault.words, f", as {often - 1} others do" if often > 1 else ""),
            )


def _pictures(run: Run) -> Iterator[tuple[str, str]]:
    """The fields with pictures, and their URLs; those of an unlisted workflow may be anything."""
    job = run.fit.job
    for path, url in image_urls(job.payload):
        if not job.unlisted or url.startswith(("http://", "https://")):
            yield path, url
