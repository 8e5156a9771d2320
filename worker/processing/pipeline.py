"""The pipeline: the one way of all jobs of a process, from their delivery to their settlement.

    receive → validate → connect → claim → send → classify → decide → settle → finish

One thread (`worker.processing.loop`) takes all jobs through these steps together: it sleeps once for many,
and asks Redis once for all that has to be settled and claimed. It waits for nothing but that one round trip.
Connecting is done by helper threads; a job whose slot under a shared limit is yet to come waits here by due
time, holding nothing else. What follows from what is decided by pure functions, in `worker.processing.steps`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from worker.domain.outcome import Failure, Reply
from worker.local.inflight_log import NO_SLOT
from worker.processing import steps
from worker.processing.admission import Admission
from worker.processing.flow_control import BREAKER, MISCONFIGURED, PAUSED, REFUSING, UNREACHABLE
from worker.processing.network import Network
from worker.processing.surroundings import Surroundings
from worker.processing.values import Attempt, Decided, Disposition, Prepared, Run, uptime
from worker.processing.writes import Writes
from worker.store.retrying import Away, StoreClosed, in_words
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Decision,
    Postponement,
    Settlement,
    ToBacklog,
    Withdrawal,
    WriteReply,
)

log = logging.getLogger(__name__)

STALE_S: Final = 0.25
"""A connection that was found usable longer ago than this is looked at again."""

BUSY_LOOK_S: Final = 30.0
"""When a message is looked at again whose job another delivery is being worked on."""

PAUSE_LOOK_S: Final = 1.0
REFUSING_LOOK_S: Final = 2.0
"""How long intake stays closed for what one job ran into; maintenance then knows better."""

POSTPONE_S: Final = 60.0
"""How long a job waits that a fault of ours hit, or for which Redis refuses what it needs."""

T = TypeVar("T")


class Pipeline:
    """All jobs that a process works on, each at one of the steps. For one thread.

    Args:
        network: requests that are out.
    """

    def __init__(self, around: Surroundings, network: Network[tuple[Run, Attempt]]) -> None:
        self._around = around
        self._network = network
        self._writes = Writes(around.job_store, around.guard, self._give_up)
        self._ready: deque[Run] = deque()
        self._waiting: list[tuple[float, int, Run]] = []
        self._sequence = itertools.count()
        self._working: Counter[str] = Counter()
        self.admission = Admission(around.concurrency, around.places)
        self.stopping = False

    # receive

    def receive(self, run: Run) -> None:
        """A job of a message that was delivered."""
        self._working[run.job.id] += 1
        self._ready.append(run)

    def write(self, decision: Decision, then: Callable[[], None]) -> None:
        """Have something written down that is about a message."""
        self._writes.decide(None, decision, lambda _: then())

    @property
    def idle(self) -> bool:
        """Whether no job is at any step."""
        return not (self._ready or self._waiting or self._network.in_flight or self._writes.decisions
                    or self._writes.claiming)  # fmt: skip

    def advance(self) -> None:
        """Take all jobs as far as they get without waiting but for Redis's answer.

        Raises:
            StoreClosed: the worker stops, and Redis has been away for too long.
        """
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.append(heapq.heappop(self._waiting)[2])
        if self.stopping:
            self._give_back_unsent()
        elif self._ready:
            self._start(now)
        else:
            self._network.forget_failures()
        for run, claim in self._writes.flush():
            self._guarded(run, self._claimed, run, claim)

    def wait(self) -> None:
        """Wait for what comes next, and decide about the answers that have come."""
        until = min(self._writes.due_at(), self._waiting[0][0] if self._waiting else math.inf)
        if self._ready and self._may_claim() and not self._network.connecting:
            proven = self._around.first_attempt.proven
            until = min(until, self.admission.when_admitted(self._taken(), proven))
        for (run, attempt), answer in self._network.wait(until - time.monotonic()):
            self._around.flow_control.ends_sending()
            self._guarded(run, self._answered, run, attempt, answer)

    # validate, connect, claim

    def _start(self, now: float) -> None:
        """Claim as many jobs as there are places and open connections for; have more connections opened."""
        if not self._may_claim():
            return
        if not self._around.first_attempt.proven and self._is_closed_for_this_worker():
            self._give_back_unsent()
            return
        places = self.admission.admits(self._taken(), self._around.first_attempt.proven, now)
        while places > 0 and self._ready:
            run = self._ready[0]
            if run.prepared is None and not self._validate(run):
                self._ready.popleft()
                continue
            run.link = self._network.link()
            if run.link is None:
                break
            self._ready.popleft()
            self._claim(run)
            places -= 1
        self._network.connect(min(places, len(self._ready)))

    def _may_claim(self) -> bool:
        return self._around.guard.is_open and not self._writes.is_away

    def _taken(self) -> int:
        return self._network.in_flight + self._writes.claiming

    def _is_closed_for_this_worker(self) -> bool:
        return not {MISCONFIGURED, UNREACHABLE}.isdisjoint(self._around.flow_control.reasons())

    def _validate(self, run: Run) -> bool:
        """Whether a job is valid; one that is not ends."""
        self._around.reporter.keep_private(run.job.payload)
        found = self._guarded(run, steps.validate, run.job, run.delivery, time.time())
        if isinstance(found, Prepared):
            run.prepared = found
            return True
        if found is not None:
            self._settle(run, found)
        return False

    def _claim(self, run: Run) -> None:
        run.request_id, run.asked = str(uuid.uuid4()), uptime()
        self._writes.claim(run)
        self.admission.asked(1)

    def _claimed(self, run: Run, claim: Claim) -> None:
        """Do what the answer to a claim asks for."""
        if claim.granted:
            self._granted(run, claim)
            return
        self._return_link(run)
        around, job, delivery = self._around, run.fit.job, run.fit.delivery
        match claim.verdict:
            case ClaimVerdict.WAIT:
                around.flow_control.limits_bind()
                self._wait_until(run, claim.wait_s)
            case ClaimVerdict.FULL:
                self._wait_for_place(run)
            case ClaimVerdict.SETTLED | ClaimVerdict.PARKED:
                self._finish(run, Disposition.ACKNOWLEDGE)
            case ClaimVerdict.BUSY:
                self._busy(run)
            case ClaimVerdict.ORPHAN:
                self._orphaned(run, claim)
            case ClaimVerdict.FENCED:
                around.rejoin(claim.owner)
                self._ready.appendleft(run)
            case ClaimVerdict.BACKLOG:
                self._defer(run, ToBacklog(job, delivery, run.fit.workflow))
            case ClaimVerdict.BREAKER:
                self._requeue(run, BREAKER, claim.wait_s)
            case ClaimVerdict.REFUSING:
                self._requeue(run, REFUSING, REFUSING_LOOK_S)
            case ClaimVerdict.PAUSED:
                self._requeue(run, PAUSED, PAUSE_LOOK_S)

    def _requeue(self, run: Run, reason: str, seconds: float) -> None:
        self._around.flow_control.close(reason, seconds)
        self._finish(run, Disposition.REQUEUE)

    def _wait_until(self, run: Run, seconds: float) -> None:
        heapq.heappush(self._waiting, (time.monotonic() + seconds, next(self._sequence), run))

    def _wait_for_place(self, run: Run) -> None:
        self._around.flow_control.limits_bind()
        self._ready.appendleft(run)
        self.admission.found_full(time.monotonic())

    def _busy(self, run: Run) -> None:
        """Another delivery of the job is being sent; or this process claimed it once, and gave up on it."""
        job = run.fit.job
        own = None if self._working[job.id] > 1 else self._around.job_store.own_claim(job.id)
        if own is None or self._around.inflight.has(own):
            self._defer(run, Postponement(job, run.fit.delivery, BUSY_LOOK_S))
        else:
            withdrawal = Withdrawal(job.id, run.fit.delivery.owner, own)
            self._writes.decide(run, withdrawal, lambda _: self._ready.appendleft(run))

    def _orphaned(self, run: Run, claim: Claim) -> None:
        last = self._around.job_store.last_request_id(run.fit.job.id)
        decided = steps.decide_orphan(run.fit, claim, last, self._around.policy, self._moment())
        self._report(run, decided, last or "")
        self._settle(run, decided.decision)

    # send

    def _granted(self, run: Run, claim: Claim) -> None:
        """Send the job, unless it is too late to."""
        around = self._around
        self.admission.place_may_be_free()
        if steps.has_expired(run.fit.delivery, claim, around.policy, time.time()):
            self._withdraw(run, claim, partial(self._expire, run, claim))
        elif uptime() - run.asked > steps.START_WITHIN_S or not self._has_fresh_link(run):
            self._withdraw(run, claim, lambda: self._ready.appendleft(run))
        elif (slot := self._note_sent(run, claim)) is None:
            self._withdraw(run, claim, partial(self._finish, run, Disposition.REQUEUE))
        else:
            link, run.link = run.link, None
            assert link is not None
            around.flow_control.begins_sending()
            attempt = Attempt(run.fit, claim, slot, time.monotonic())
            self._network.send((run, attempt), link, run.fit.body, claim.request_id)

    def _note_sent(self, run: Run, claim: Claim) -> int | None:
        if isinstance(run.link, Failure):
            return NO_SLOT
        return self._around.inflight.sent(claim.request_id)

    def _has_fresh_link(self, run: Run) -> bool:
        """Whether there is a connection that is surely open, after a claim that took its time."""
        if uptime() - run.asked <= STALE_S or isinstance(run.link, Failure):
            return True
        self._return_link(run)
        run.link = self._network.link()
        return run.link is not None

    def _withdraw(self, run: Run, claim: Claim, then: Callable[[], None]) -> None:
        """Take back a claim of which nothing was sent."""
        self._return_link(run)
        withdrawal = Withdrawal(run.fit.job.id, claim.owner, claim.request_id)
        self._writes.decide(run, withdrawal, lambda _: then())

    def _expire(self, run: Run, claim: Claim) -> None:
        last = self._around.job_store.last_request_id(run.fit.job.id)
        self._settle(run, steps.expire(run.fit, claim, last, time.time()))

    # classify, decide

    def _answered(self, run: Run, attempt: Attempt, answer: Reply | Failure) -> None:
        """Decide what follows from an answer, and keep a task id where it outlives this process."""
        around = self._around
        around.reporter.keep_private(run.job.payload)
        outcome = steps.classify_answer(answer, run.job.id, time.time())
        around.first_attempt.answered(outcome)
        decided = steps.decide_attempt(attempt, outcome, around.policy, self._moment())
        decision = decided.decision
        self._report(run, decided, attempt.claim.request_id)
        if isinstance(decision, Settlement):
            if decision.answer:
                decision.answer = around.reporter.redacted(decision.answer)
            if decision.result.task_id:
                around.inflight.answered(attempt.slot, decision.result_json)
        self._settle(run, decision, attempt.slot)

    def _report(self, run: Run, decided: Decided, request_id: str) -> None:
        around, decision = self._around, decided.decision
        if isinstance(decision, Settlement) and decision.result.status == "submitted":
            return
        around.reporter.attempt_failed(
            run.job.id, request_id, run.fit.workflow, decided.attempts, decided.outcome, decided.words
        )
        if decided.pauses_intake and around.first_attempt.pause():
            around.reporter.misconfigured(decided.outcome)

    def _moment(self) -> steps.Moment:
        return steps.Moment(time.time(), time.monotonic(), self._around.jitter())

    # settle, finish

    def _settle(self, run: Run, decision: Decision, slot: int = NO_SLOT) -> None:
        self._writes.decide(run, decision, partial(self._settled, run, decision, slot))
        self.admission.place_may_be_free()

    def _settled(self, run: Run, decision: Decision, slot: int, reply: WriteReply) -> None:
        """Redis has what was decided of a job."""
        self._around.guard.settled(run.job.id)
        if isinstance(decision, Settlement) and reply.verdict == "late":
            told = replace(decision.result, possible_duplicate=True)
            self._settle(run, replace(decision, result=told, late=True), slot)
            return
        self._guarded(run, self._tell, run, decision, reply)
        self._around.inflight.settled(slot)
        ended = isinstance(decision, Settlement)
        self._finish(run, Disposition.SETTLED if ended else Disposition.DEFERRED)

    def _tell(self, run: Run, decision: Decision, reply: WriteReply) -> None:
        """Tell who is to be told how a job ended."""
        reporter = self._around.reporter
        reporter.keep_private(run.job.payload)
        if self._around.first_attempt.heard_of(reply.others):
            reporter.cut_off(self._around.first_attempt.trouble())
        if isinstance(decision, Settlement):
            if reply.verdict == "paid-twice":
                reporter.paid_twice(decision.result)
            elif reply.verdict == "settled":
                reporter.job_ended(decision.result, decision.kind)

    def _defer(self, run: Run, decision: Decision) -> None:
        self._writes.decide(run, decision, lambda _: self._finish(run, Disposition.DEFERRED))

    def _finish(self, run: Run, disposition: Disposition) -> None:
        """Nothing more is to be done for a job now."""
        self._return_link(run)
        self._working[run.job.id] -= 1
        if self._working[run.job.id] <= 0:
            del self._working[run.job.id]
        if not self._ready:
            self.admission.nobody_waits()
        run.message.job_done(disposition)

    # faults, refusals, the end

    def _guarded(self, run: Run, step: Callable[..., T], *args: Any) -> T | None:
        """A step of one job, of which a fault of ours must harm no other; None where there was one."""
        try:
            return step(*args)
        except StoreClosed:
            raise
        except Exception as error:
            self._around.reporter.keep_private(run.job.payload)
            if isinstance(error, Away):
                log.warning("job %s waits: %s", run.job.id, in_words(error, "its record"))
            else:
                self._around.reporter.crashed(run.job.id)
            # One that was being sent stays claimed, and is decided about when this process ends.
            self._defer(run, Postponement(run.plain_job, run.delivery, POSTPONE_S))
            return None

    def _give_up(self, run: Run, decision: Decision | None, error: Exception) -> None:
        """Redis refuses what this one job needs: let it wait, if that is allowed."""
        if isinstance(decision, Postponement):
            log.error("job %s cannot even wait; its message stays", run.job.id)
            self._finish(run, Disposition.STUCK)
            return
        log.error("job %s waits: %s", run.job.id, in_words(error, "what it needs"))
        self._defer(run, Postponement(run.plain_job, run.delivery, POSTPONE_S))

    def _give_back_unsent(self) -> None:
        """What is not sent goes back. A claim that stands is taken back when the worker leaves."""
        waiting = [run for _, _, run in sorted(self._waiting)]
        unsent = [*self._writes.drop_claims(), *waiting, *self._ready]
        self._waiting, self._ready = [], deque()
        for run in unsent:
            self._finish(run, Disposition.REQUEUE)

    def _return_link(self, run: Run) -> None:
        link, run.link = run.link, None
        if link is not None:
            self._network.return_link(link)

    def note_answers(self) -> None:
        """Hear what is in flight still, so that task ids are kept where they outlive this process."""
        while in_flight := self._network.in_flight:
            try:
                self.wait()
            except Exception:
                if self._network.in_flight == in_flight:
                    log.exception("%d answers are not heard", in_flight)
                    return
