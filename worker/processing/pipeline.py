"""The pipeline: the one way of all jobs of a process, from their delivery to their settlement.

    receive → validate, check pictures → connect → claim → send → classify → decide → settle → finish

One thread (`worker.processing.loop`) takes all jobs through these steps together, and waits for nothing but
one round trip to Redis for all that has to be settled and claimed. Helper threads connect; a job whose slot
is yet to come waits by due time. What follows is decided by pure functions, in `worker.processing.steps`.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from worker.domain.outcome import Failure, Reply
from worker.local.inflight_log import NO_ENTRY
from worker.processing import steps
from worker.processing.flow_control import BREAKER, PAUSED, REFUSING
from worker.processing.in_hand import JobsInHand
from worker.processing.network import Network
from worker.processing.preparation import Preparation
from worker.processing.reports import Reports
from worker.processing.surroundings import Surroundings
from worker.processing.values import Attempt, Disposition, Run, uptime
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Decision,
    Settlement,
    ToBacklog,
    WriteReply,
)

log = logging.getLogger(__name__)

PAUSE_LOOK_S: Final = 1.0
REFUSING_LOOK_S: Final = 2.0
"""How long intake stays closed for what one job ran into; maintenance then knows better."""


class Pipeline:
    """All jobs that a process works on, each at one of the steps. For one thread.

    Args:
        network: requests that are out.
    """

    def __init__(self, around: Surroundings, network: Network[tuple[Run, Attempt]]) -> None:
        self._around = around
        self._network = network
        self._jobs = jobs = JobsInHand(around, network)
        self._schedule, self._writes, self.admission = jobs.schedule, jobs.writes, jobs.admission
        self._preparation = Preparation(around, jobs, network.wake, self._settle)
        self._spans = around.spans
        self._reports = Reports(around.reporter, around.first_attempt, around.workflows)
        self.stopping = False

    @property
    def idle(self) -> bool:
        """Whether no job is at any step."""
        return self._jobs.none

    def advance(self) -> None:
        """Take all jobs as far as they get without waiting but for Redis's answer.

        Raises:
            StoreClosed: the worker stops, and Redis has been away for too long.
        """
        now = time.monotonic()
        self._schedule.look(now)
        if self.stopping:
            self._jobs.give_back_unsent()
        elif self._schedule.ready:
            self._start(now)
        else:
            self._network.forget_failures()
        for run, claim in self._writes.flush():
            self._jobs.guarded(run, self._claimed, run, claim)
        self._around.flow_control.set_in_flight(self._network.in_flight)

    def wait(self) -> None:
        """Wait for what comes next, and decide about the answers that have come."""
        goes_back = self.stopping and self._schedule.ready
        until = 0.0 if goes_back else min(self._writes.due_at(), self._schedule.due_at())
        if self._schedule.ready and self._may_claim() and not self._network.connecting:
            first = self._around.first_attempt
            until = min(until, self.admission.when_admitted(self._jobs.taken, first.proven))
        self._hear(until - time.monotonic())

    def _hear(self, timeout_s: float) -> None:
        for (run, attempt), answer in self._network.wait(timeout_s):
            self._jobs.guarded(run, self._answered, run, attempt, answer)

    def receive(self, run: Run) -> None:
        """A job of a message that was delivered."""
        self._schedule.receive(run)

    # validate and check pictures (worker.processing.preparation), connect, claim

    def _start(self, now: float) -> None:
        """Claim as many jobs as there is room and are connections for; have more connections opened."""
        if not self._may_claim():
            return
        if not self._around.first_attempt.may_attempt:
            self._jobs.give_back_unclaimed()
            return
        room = self.admission.admits(self._jobs.taken, self._around.first_attempt.proven, now)
        ready = self._schedule.ready
        while room > 0 and ready:
            run = ready[0]
            if not run.cleared and not self._preparation.clears(run):
                ready.popleft()
                continue
            run.link = self._network.link()
            if run.link is None:
                break
            ready.popleft()
            run.request_id, run.asked = str(uuid.uuid4()), uptime()
            self._writes.claim(run)
            self.admission.asked(1)
            room -= 1
        self._network.connect(min(room, len(ready)))

    def _may_claim(self) -> bool:
        return self._around.guard.is_open and not self._writes.is_away

    def _claimed(self, run: Run, claim: Claim) -> None:
        """Do what the answer to a claim asks for."""
        if claim.verdict is not ClaimVerdict.FULL:
            self.admission.slot_may_be_free()  # what this job does not take, the next one may
        if claim.past is not None:
            self._reports.submitted_again(run, claim.verdict, claim.past.state)
        if claim.granted:
            self._granted(run, claim)
            return
        self._jobs.return_link(run)
        around, fit = self._around, run.fit
        match claim.verdict:
            case ClaimVerdict.WAIT:
                around.flow_control.limits_bind()
                self._schedule.after(run, claim.wait_s)
            case ClaimVerdict.FULL:
                around.flow_control.limits_bind()
                self.admission.found_full(time.monotonic())
                self._schedule.again(run)
            case ClaimVerdict.SETTLED | ClaimVerdict.DELAYED:
                self._jobs.finish(run, Disposition.ACKNOWLEDGE)
            case ClaimVerdict.REPEATED:
                self._jobs.republish(run, claim.past)
            case ClaimVerdict.CANCELLED:
                self._end_unsent(run, claim, steps.cancel)
            case ClaimVerdict.BUSY:
                self._jobs.look_again(run, claim)
            case ClaimVerdict.ORPHAN:
                self._orphaned(run, claim)
            case ClaimVerdict.FENCED:
                around.rejoin(claim.owner)
                self._schedule.again(run)
            case ClaimVerdict.BACKLOG:
                self._jobs.defer(run, ToBacklog(fit.job, fit.delivery, fit.workflow))
            case ClaimVerdict.BREAKER:
                self._jobs.requeue(run, BREAKER, claim.wait_s)
            case ClaimVerdict.REFUSING:
                self._jobs.requeue(run, REFUSING, REFUSING_LOOK_S)
            case ClaimVerdict.PAUSED:
                self._jobs.requeue(run, PAUSED, PAUSE_LOOK_S)

    def _orphaned(self, run: Run, claim: Claim) -> None:
        """The worker that was sending the job is dead."""
        last = self._around.job_store.last_request_id(run.fit.job.id)
        decided = steps.decide_orphan(run.fit, claim, last, self._around.policy, self._moment())
        self._reports.attempt(run, decided, last or "")
        self._settle(run, decided.decision)

    # send

    def _granted(self, run: Run, claim: Claim) -> None:
        """Send the job, unless it is too late to."""
        around, jobs, prepared = self._around, self._jobs, run.fit
        if steps.has_expired(prepared.delivery, claim, around.policy, time.time()):
            jobs.withdraw(run, claim, partial(self._end_unsent, run, claim, steps.expire))
        elif not self._may_send(run):
            jobs.withdraw(run, claim, partial(self._schedule.again, run))
        elif (entry := self._note_sent(run, claim)) is None:
            jobs.withdraw(run, claim, partial(jobs.finish, run, Disposition.REQUEUE))
        else:
            link, run.link = run.link, None
            assert link is not None
            if self._spans is not None:
                run.span = self._spans.attempted(run, claim)
            attempt = Attempt(prepared, claim, entry, time.monotonic())
            self._network.send((run, attempt), link, prepared.body, claim.request_id)

    def _may_send(self, run: Run) -> bool:
        """Whether an attempt may begin now; a claim may have waited long for its answer."""
        first = self._around.first_attempt
        may_attempt = first.proven or (first.may_attempt and not self._network.in_flight)
        return may_attempt and uptime() - run.asked <= steps.START_WITHIN_S and self._has_fresh_link(run)

    def _note_sent(self, run: Run, claim: Claim) -> int | None:
        """The attempt's entry in the in-flight log; None where nothing may be sent any more."""
        failed = isinstance(run.link, Failure)
        return NO_ENTRY if failed else self._around.inflight.sent(claim.request_id)

    def _has_fresh_link(self, run: Run) -> bool:
        """Whether there is a connection on which nothing has come since it was picked.

        What came before the request is not its answer, but would be read as that.
        """
        if run.link is not None and self._network.is_usable(run.link):
            return True
        self._jobs.return_link(run)
        run.link = self._network.link()
        return run.link is not None

    def _end_unsent(self, run: Run, claim: Claim, end: Callable[..., Settlement]) -> None:
        last = self._around.job_store.last_request_id(run.fit.job.id)
        self._settle(run, end(run.fit, claim, last, time.time()))

    # classify, decide

    def _answered(self, run: Run, attempt: Attempt, answer: Reply | Failure) -> None:
        """Decide what follows from an answer, and keep a task id where it outlives this process."""
        around = self._around
        around.reporter.keep_private(run.job.payload)
        outcome = steps.classify_answer(answer, run.job.id, time.time())
        decided = steps.decide_attempt(attempt, outcome, around.policy, self._moment())
        around.first_attempt.answered(decided.outcome)
        decision = decided.decision
        if self._spans is not None and run.span is not None:
            self._spans.answered(run.span, answer, decided)
            run.span = None
        self._reports.attempt(run, decided, attempt.claim.request_id)
        if isinstance(decision, Settlement):
            if decision.answer:
                decision.answer = around.reporter.redacted(decision.answer)
            if decision.result.task_id:
                around.inflight.answered(attempt.entry, decision.result_json)
        self._settle(run, decision, attempt.entry)

    def _moment(self) -> steps.Moment:
        around = self._around
        return steps.Moment(time.time(), time.monotonic(), around.jitter(), around.first_attempt.accepts)

    # settle, finish

    def _settle(self, run: Run, decision: Decision, entry: int = NO_ENTRY) -> None:
        """Have the job's end, or that it waits, written down."""
        self._writes.write(run, decision, partial(self._settled, run, decision, entry))
        self.admission.slot_may_be_free()

    def _settled(self, run: Run, decision: Decision, entry: int, reply: WriteReply) -> None:
        """Redis has what was decided of a job."""
        self._around.guard.settled(run.job.id)
        if isinstance(decision, Settlement) and reply.verdict == "late":
            told = replace(decision.result, possible_duplicate=True)
            self._settle(run, replace(decision, result=told, late=True), entry)
            return
        if reply.verdict == "repeated":
            self._reports.submitted_again(run, ClaimVerdict.REPEATED, "bought")
            self._jobs.republish(run, self._around.job_store.past(run.job.id))
            return
        if isinstance(decision, Settlement) and reply.verdict == "in-doubt":
            record = self._around.job_store.record(run.job.id)
            self._settle(
                run, steps.hold(decision, record["attempts"], next(reversed(record["request_ids"]), None))
            )
            return
        self._reports.written(run, decision, reply)
        if self._spans is not None and run.message.span is not None:
            self._spans.written(run.message.span, decision)
        self._around.inflight.settled(entry)
        done = Disposition.SETTLED if isinstance(decision, Settlement) else Disposition.DEFERRED
        self._jobs.finish(run, done)

    # messages, and the end

    def write(self, decision: Decision, then: Callable[[], None]) -> None:
        """Have something written down that is about a message."""
        self._writes.write(None, decision, lambda _: then())

    def note_answers(self) -> None:
        """Hear what is in flight still, so that task ids are kept where they outlive this process."""
        while in_flight := self._network.in_flight:
            try:
                self._hear(float("inf"))
            except Exception:
                if self._network.in_flight == in_flight:
                    log.exception("%d answers are not heard", in_flight)
                    return

    def write_rest(self) -> None:
        """Have written down what was decided; no job goes on. Raises as `advance` does."""
        self._jobs.write_rest()
