"""The values that the steps of a job hand on to each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

from tasks.envelope import InvalidJob, Job
from tasks.frozen import value
from worker.domain.outcome import Failure, Outcome
from worker.store.values import Claim, Delivery, Reschedule, Settlement
from worker.vendor import Connection

if TYPE_CHECKING:
    from worker.observability.tracer import Span


class Disposition(Enum):
    """What must become of a message, or of a job's part in it."""

    SETTLED = auto()  # the job has ended, and its message with it
    DEFERRED = auto()  # the job waits in Redis for its time, and its message with it
    REQUEUE = auto()  # nothing was done: give the message back
    ACKNOWLEDGE = auto()  # nothing is to be done: delete the message
    STUCK = auto()  # neither can be done now: leave the message where it is, to be taken again later


@value(frozen=True, slots=True)
class Prepared:
    """A valid job, as the bytes to send."""

    job: Job
    delivery: Delivery
    workflow: str
    body: bytes


def job_of(job: InvalidJob) -> Job:
    """What cannot be a job, as one to write down."""
    return Job(
        job.id, job.payload, job.metadata, enqueued_ms=job.enqueued_ms, batch=job.batch, trace=job.trace
    )


class Received:
    """A message that was delivered, until all its jobs are done.

    Args:
        name: ``<owner>/<list index>.<sequence>``, as the queue gave it.
        jobs: how many it carries.
        one_done: told the name each time that one of many is done.
        done: told what must become of the message, once.

    Attributes:
        span: the delivery's, where traces are on.
    """

    __slots__ = ("_done", "_found", "_left", "_many", "_one_done", "name", "span")

    def __init__(
        self, name: str, jobs: int, one_done: Callable[[str], None], done: Callable[[Disposition], None]
    ) -> None:
        self.name = name
        self._many = jobs > 1
        self._left = jobs
        self._one_done = one_done
        self._done = done
        self._found: set[Disposition] = set()
        self.span: Span | None = None

    def in_span(self, span: Span, end: Callable[[Disposition], None]) -> None:
        """It is worked on in this span; `end` is told what becomes of it before anybody else."""
        done = self._done

        def ended(disposition: Disposition) -> None:
            end(disposition)
            done(disposition)

        self.span, self._done = span, ended

    def job_done(self, disposition: Disposition) -> None:
        """One of its jobs is done with, for now."""
        if not self._many:
            self._done(disposition)
            return
        self._left -= 1
        self._found.add(disposition)
        self._one_done(self.name)
        if not self._left:
            self._done(self._of_all())

    def _of_all(self) -> Disposition:
        """What becomes of a message of many jobs, which no job's settling deletes."""
        needed = (Disposition.STUCK, Disposition.REQUEUE)
        return next((each for each in needed if each in self._found), Disposition.ACKNOWLEDGE)


@dataclass(slots=True, eq=False)
class Run:
    """One job of a message on its way through this process.

    ``prepared`` once it is found valid; ``request_id`` and ``asked`` (uptime) are those of its claim,
    ``link`` is what it is going to be sent over, ``turn`` grows with each that is received. ``cleared`` once
    it may be claimed, ``checked_from`` since when its pictures are being looked at, on the monotonic clock.
    ``span`` is its attempt's, where traces are on.
    """

    job: Job | InvalidJob
    delivery: Delivery
    message: Received
    prepared: Prepared | None = None
    request_id: str = ""
    asked: float = 0.0
    link: Connection | Failure | None = None
    turn: int = 0
    cleared: bool = False
    checked_from: float = 0.0
    finished: bool = False
    span: Span | None = None

    @property
    def fit(self) -> Prepared:
        """What `prepared` is, where the job was found valid."""
        assert self.prepared is not None
        return self.prepared

    @property
    def plain_job(self) -> Job:
        """The job, also where it is none that may be sent."""
        job = self.job
        return job if isinstance(job, Job) else job_of(job)


@value(frozen=True, slots=True)
class Attempt:
    """A job of which bytes may leave from now on.

    ``entry`` is its own in the in-flight log, ``started`` when it began on the monotonic clock.
    """

    prepared: Prepared
    claim: Claim
    entry: int
    started: float


@value(frozen=True, slots=True)
class Decided:
    """What follows from an outcome, and in words for people; ``attempts`` are those that count so far."""

    decision: Settlement | Reschedule
    outcome: Outcome
    attempts: int
    words: str
    pauses_intake: bool = False


# Unlike the monotonic clock this one goes on while the machine sleeps.
uptime: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds, on a clock that nobody sets."""
