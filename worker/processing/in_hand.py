"""The jobs in this process's hands, and how each leaves them: deferred, given back, finished.

What goes wrong with one job, by a fault of ours or a refusal of Redis's, harms no other.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from worker.processing import steps
from worker.processing.admission import Admission
from worker.processing.network import Network
from worker.processing.schedule import Schedule
from worker.processing.surroundings import Surroundings
from worker.processing.values import Attempt, Disposition, Run
from worker.processing.writes import Writes
from worker.store.record import ENDED_STATES, OPEN_STATES
from worker.store.redis_wait import Away, StoreClosed, in_words
from worker.store.values import Claim, Decision, Past, Postponement, Withdrawal, WriteReply

log = logging.getLogger(__name__)

BUSY_LOOK_S: Final = 30.0
"""When a message is looked at again whose job another delivery is being worked on."""

POSTPONE_S: Final = 60.0
"""How long a job waits that a fault of ours hit, or for which Redis refuses what it needs."""

T = TypeVar("T")


class JobsInHand:
    """Not thread-safe.

    Attributes:
        schedule: those that are neither being claimed nor sent.
        writes: what Redis is to be told and asked.
        admission: how many more may be claimed.
    """

    def __init__(self, around: Surroundings, network: Network[tuple[Run, Attempt]]) -> None:
        self._around = around
        self._reporter = around.reporter
        self._flow_control = around.flow_control
        self._network = network
        self.schedule = Schedule()
        self.writes = Writes(around.job_store, around.guard, self.guarded, self._give_up)
        self.admission = Admission(around.concurrency, around.slots)

    @property
    def none(self) -> bool:
        """Whether no job is at any step, and nothing is left to be written down."""
        waits = self._network.in_flight or self.writes.decisions or self.writes.claiming
        return self.schedule.is_empty and not waits

    @property
    def taken(self) -> int:
        """How many jobs are being claimed or sent."""
        return self._network.in_flight + self.writes.claiming

    def finish(self, run: Run, disposition: Disposition) -> None:
        """Nothing more is to be done for a job now."""
        if run.finished:
            return  # a fault came up once it was
        run.finished = True
        self.return_link(run)
        self.schedule.leave(run)
        if not self.schedule.ready:
            self.admission.nobody_waits()
        run.message.job_done(disposition)

    def defer(self, run: Run, decision: Decision) -> None:
        """A job goes on later, as Redis is told."""
        self.writes.write(run, decision, lambda _: self.finish(run, Disposition.DEFERRED))

    def requeue(self, run: Run, reason: str, seconds: float) -> None:
        """A job goes back to the queue, and intake pauses for this reason."""
        self._flow_control.close(reason, seconds)
        self.finish(run, Disposition.REQUEUE)

    def withdraw(self, run: Run, claim: Claim, then: Callable[[], None]) -> None:
        """A claim is taken back of which nothing was sent."""
        self.return_link(run)
        withdrawal = Withdrawal(run.fit.job.id, claim.owner, claim.request_id)
        self.writes.write(run, withdrawal, partial(_call, then))

    def look_again(self, run: Run, claim: Claim) -> None:
        """Another delivery of the job is being sent; or this process claimed it once, and gave up on it."""
        job = run.fit.job
        own = self._around.job_store.own_claim(job.id) if self.schedule.is_only_delivery(run) else None
        if own is None or self._around.inflight.has(own):
            self._tell_of_later_state(job.id)
            self.defer(run, Postponement(job, run.fit.delivery, BUSY_LOOK_S))
        else:
            withdrawal = Withdrawal(job.id, claim.owner, own)  # who holds the message may be another
            self.writes.write(run, withdrawal, lambda _: self.schedule.again(run))

    def _tell_of_later_state(self, job_id: str) -> None:
        state = self._around.job_store.record(job_id).get("state")
        if state is None or state in ENDED_STATES or state in OPEN_STATES:
            return
        if often := self._around.remarks.due(f"state: {state}", time.monotonic()):
            log.error(
                "job %s is in a state that this version does not know (%s): it waits for a newer worker%s",
                *(job_id, state, f", as {often - 1} others do" if often > 1 else ""),
            )

    def republish(self, run: Run, past: Past | None) -> None:
        """A job that was bought, or may have been, was submitted again.

        Where another has decided about it meanwhile, or its record is gone, it is claimed anew.
        """
        if past is None:
            self.schedule.again(run)
        else:
            again = steps.republish(run.plain_job, run.delivery, past)
            self.writes.write(run, again, partial(self._republished, run))

    def _republished(self, run: Run, reply: WriteReply) -> None:
        if reply.verdict == "changed":
            self.schedule.again(run)
        else:
            self.finish(run, Disposition.SETTLED)

    def give_back_unclaimed(self) -> None:
        """What is neither being claimed nor sent goes back."""
        for run in self.schedule.take_all():
            self.finish(run, Disposition.REQUEUE)

    def give_back_unsent(self) -> None:
        """What is not sent goes back. A claim that stands is taken back when the worker leaves."""
        for run in self.writes.drop_claims():
            self.finish(run, Disposition.REQUEUE)
        self.give_back_unclaimed()

    def write_rest(self) -> None:
        """Have written down what was decided. A claim that stands is taken back when the worker leaves.

        Raises:
            StoreClosed: the worker stops, and Redis has been away for too long.
        """
        self.writes.drop_claims()
        while self.writes.decisions:
            time.sleep(max(0.0, self.writes.due_at() - time.monotonic()))
            self.writes.flush()

    def return_link(self, run: Run) -> None:
        """A job does not need its connection."""
        link, run.link = run.link, None
        if link is not None:
            self._network.return_link(link)

    def guarded(self, run: Run, step: Callable[..., T], *args: Any) -> T | None:
        """Take a step of one job; None where there was a fault of ours, and the job waits for a while."""
        try:
            return step(*args)
        except StoreClosed:
            raise
        except Exception as error:
            with contextlib.suppress(Exception):  # nor does one harm others that cannot be told
                self._tell(run, error)
            # One that was being sent stays claimed, and is decided about when this process ends.
            self.defer(run, Postponement(run.plain_job, run.delivery, POSTPONE_S))
            return None

    def _tell(self, run: Run, error: Exception) -> None:
        """Say what is wrong with a job; while that exception is being handled."""
        self._reporter.keep_private(run.job.payload)
        if isinstance(error, Away):
            log.warning("job %s waits: %s", run.job.id, in_words(error, "its record"))
        else:
            self._reporter.crashed(run.job.id)

    def _give_up(self, run: Run, decision: Decision | None, error: Exception) -> None:
        """Redis refuses what this one job needs: let it wait, if that is allowed."""
        if isinstance(decision, Postponement):
            log.error("job %s cannot even wait; its message stays", run.job.id)
            self.finish(run, Disposition.STUCK)
            return
        log.error("job %s waits: %s", run.job.id, in_words(error, "what it needs"))
        self.defer(run, Postponement(run.plain_job, run.delivery, POSTPONE_S))


def _call(then: Callable[[], None], _: WriteReply) -> None:
    then()
