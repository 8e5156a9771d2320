"""A decision from its question on: made once, however often it is confirmed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from worker.services.ui.proposals import Proposal
from worker.store.decisions import Ended


class Asked:
    """What somebody was asked, and what has come of it. Thread-safe.

    ``ended`` is what became of each job so far: where Redis goes away amid it, the next confirmation goes on
    with the others.
    """

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.ended: dict[str, Ended] = {}
        self.report: str | None = None
        """The name of its report, once it is made."""
        self._lock = threading.Lock()

    def once(self, make: Callable[[], str]) -> str:
        """The name of its report; who confirms it a second time waits for that of the first.

        Args:
            make: makes the decision; what it raises leaves the question open.
        """
        with self._lock:
            if self.report is None:
                self.report = make()
            return self.report

    def left(self) -> Proposal:
        """What is still to be decided of it."""
        jobs = tuple(job for job in self.proposal.jobs if job.job_id not in self.ended)
        return replace(self.proposal, jobs=jobs)
