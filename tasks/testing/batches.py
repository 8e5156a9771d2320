"""The batches of the jobs that a program under test has submitted."""

from __future__ import annotations

import time
from typing import Any

from ..batch_store.moves import FIELDS, LETTERS, WAITING
from ..batch_store.scripts import Found
from ..cancel_many import Cancelled
from .jobs import CapturedJob, CapturedJobs


class CapturedBatches:
    """`tasks.backend.Batches`, by what was captured."""

    def __init__(self, jobs: CapturedJobs) -> None:
        self._jobs = jobs
        self._closed: dict[str, dict[str, int]] = {}

    def _of(self, batch: str) -> list[CapturedJob]:
        return [job for job in self._jobs if job.batch == batch]

    def read(self, batch: str) -> Found | None:
        jobs, closed = self._of(batch), self._closed.get(batch, {})
        if not jobs and not closed:
            return None
        counts: dict[str, dict[str, int]] = {}
        for job in jobs:
            letter = WAITING if job.result is None else LETTERS[job.result.status]
            of_workflow = counts.setdefault(job.workflow, dict.fromkeys((*LETTERS.values(), WAITING), 0))
            of_workflow[letter] += 1
        now_ms, waiting = time.time_ns() // 1_000_000, sum(job.result is None for job in jobs)
        fields: dict[str, Any] = {
            "started": now_ms,
            "changed": now_ms,
            "total": len(jobs),
            "waiting": waiting,
        }
        fields |= closed
        if closed and not waiting and len(jobs) >= closed.get("expected", 0):
            fields["finished"] = now_ms
        return now_ms, [str(fields.get(name, "")).encode() for name in FIELDS], counts

    def close(self, batch: str, total: int | None) -> bool:
        if not self._of(batch) and total is None:
            return False
        closed = self._closed.setdefault(batch, {"closed": time.time_ns() // 1_000_000})
        if total is not None:
            closed["expected"] = total
        return True

    def reopen(self, batch: str | None) -> None:
        """A job was added to it."""
        self._closed.pop(batch or "", None)

    def cancel(self, batch: str) -> Cancelled:
        waiting = [job.id for job in self._of(batch) if job.result is None]
        cancelled = [self._jobs.cancel(job_id) for job_id in waiting]
        ended = [job.result.status for job in self._of(batch) if job.result is not None]
        return Cancelled(sum(cancelled), 0, ended.count("submitted") + ended.count("unknown"))

    def names(self, most: int) -> list[str]:
        named = [job.batch for job in reversed(list(self._jobs)) if job.batch is not None]
        return list(dict.fromkeys((*named, *self._closed)))[:most]

    def newest_event(self) -> Any:
        """There is no stream of events."""

    def next_event(self, last: Any, batch: str, timeout_s: float) -> Any:
        time.sleep(min(timeout_s, 0.01))
