"""The steps before a claim: a job is validated, and its pictures are looked at if that is switched on."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.processing import validation
from worker.processing.in_hand import JobsInHand
from worker.processing.surroundings import Surroundings
from worker.processing.values import Prepared, Run
from worker.store.values import Decision


class Preparation:
    """Not thread-safe.

    Args:
        wake: ends the loop's waiting; by any thread.
        settle: has a decision about a job written down.
    """

    def __init__(
        self,
        around: Surroundings,
        jobs: JobsInHand,
        wake: Callable[[], None],
        settle: Callable[[Run, Decision], None],
    ) -> None:
        self._around = around
        self._jobs = jobs
        self._settle = settle
        self._clears_images: Callable[[Run], bool] | None = None
        if around.image_checks is not None:
            from worker.processing.image_check import ImageCheck  # whose libraries are of no use without it

            check = ImageCheck(around, around.image_checks, jobs.schedule, wake, settle)
            self._clears_images = check.clears

    def clears(self, run: Run) -> bool:
        """Whether a job may be claimed; one that may not ends, or waits."""
        if run.prepared is None and not self._validate(run):
            return False
        clears_images = self._clears_images
        if clears_images is not None and not self._jobs.guarded(run, clears_images, run):
            return False
        run.cleared = True
        return True

    def _validate(self, run: Run) -> bool:
        """Whether a job may be sent; one that may not ends, or waits."""
        self._around.reporter.keep_private(run.job.payload)
        found = self._jobs.guarded(run, validation.validate, self._around, run.job, run.delivery, time.time())
        if isinstance(found, Prepared):
            run.prepared = found
            return True
        if found is not None:
            self._settle(run, found)
        return False
