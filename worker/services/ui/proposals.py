"""What somebody is about to decide, as it is shown to them, and what came of it: values. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

from tasks.frozen import value
from tasks.result import Result
from worker.store.decisions import Ended, Verb

Deed = Verb | Literal["pause", "resume"]

DECIDE_MOST: Final = 2000
"""Jobs of one decision: they are done while the browser waits."""


@value(frozen=True, slots=True)
class Chosen:
    """A dead letter as it was shown: ``seal`` is another one once anything of its result is; ``is_kept``:
    its message is there, so that it can be queued again."""

    job_id: str
    status: str
    workflow: str
    seal: bytes
    is_kept: bool = True


@value(frozen=True, slots=True)
class Proposal:
    """What would be done. ``task_id`` is to accept with; ``workflow`` to pause or resume, None for all.

    ``missing``: jobs that were chosen and are no dead letters any more. ``is_cut``: there are more than
    `DECIDE_MOST` that pass the filter, or not all were looked at.
    """

    deed: Deed
    jobs: tuple[Chosen, ...] = ()
    task_id: str | None = None
    workflow: str | None = None
    missing: tuple[str, ...] = ()
    is_cut: bool = False
    waiting: int = 0
    """Jobs that a pause would hold, or that go on after it."""

    @property
    def able(self) -> tuple[Chosen, ...]:
        """Those to which it can be done: what was not kept cannot be queued again."""
        return tuple(job for job in self.jobs if job.is_kept or self.deed != "retry")

    def by_workflow(self) -> Counter[str]:
        return Counter(job.workflow for job in self.able)

    def by_status(self) -> Counter[str]:
        return Counter(job.status for job in self.able)


@value(frozen=True, slots=True)
class Report:
    """What was done, by whom: in a sentence, and job by job."""

    deed: Deed
    told: str
    jobs: tuple[tuple[str, Ended], ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all was done that was to be."""
        return all(ended == "done" for _, ended in self.jobs) and not self.doubts


def chosen(result: Result, *, is_kept: bool = True) -> Chosen:
    """A dead letter, as it is now."""
    return Chosen(result.job_id, result.status, result.workflow, seal(result), is_kept)


def seal(result: Result) -> bytes:
    """A digest of all that is told of how a job ended: with each attempt it is another one."""
    return hashlib.sha256(result.to_json().encode()).digest()[:16]


def told(deed: Verb, ended: Iterable[Ended]) -> str:
    """A decision about many in a sentence."""
    counts = Counter(ended)
    done = {"retry": "queued again", "discard": "discarded", "accept": "settled as submitted"}[deed]
    total = counts.total()
    if counts["done"] == total:
        return f"{total:,} {'job was' if total == 1 else 'jobs were'} {done}."
    return f"{counts['done']:,} of {total:,} {'job was' if total == 1 else 'jobs were'} {done}."
