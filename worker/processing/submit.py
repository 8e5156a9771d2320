"""The way of one job through one attempt: validate, claim, sign and send, classify, decide, settle.

Collaborators are passed in. What comes back says only what the message's holder must do: the job's own
fate is in the journal by then.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from tasks.envelope import InvalidJob, Job
from tasks.payload import InvalidPayload, parse
from worker.domain.outcome import Failure
from worker.domain.retry import Policy
from worker.local.inflight_log import InflightLog
from worker.processing.first_attempt import FirstAttemptGuard
from worker.processing.flow_control import BREAKER, PAUSED, REFUSING, FlowControl
from worker.processing.judge import Judge
from worker.processing.settlement_guard import SettlementGuard
from worker.processing.values import (
    Attempt,
    Disposition,
    Ready,
    Reporter,
    Vendor,
    refusal,
)
from worker.processing.working import OwnFault, Working
from worker.store.jobs import JobStore
from worker.store.retrying import Away, Refused, in_words
from worker.store.values import Claim, ClaimVerdict, Delivery, Reschedule, Settlement, WriteReply

log = logging.getLogger(__name__)

START_WITHIN_S = 10.0
"""An attempt whose first byte has not left so long after its claim is not made. Half of the silence
after which a worker is presumed dead: one that was frozen in between must not send when it wakes."""

LOOK_AGAIN_S = 30.0
PAUSE_LOOK_S = 1.0
"""How long the gate stays closed for a pause that one job ran into; upkeep then knows better."""

REFUSING_LOOK_S = 2.0
"""How long it stays closed where Redis refuses to settle a job, of whatever worker."""

CLAIM_REFUSED_S = 5.0
"""How long is asked again for what Redis refuses to one job, while it allows all that others need."""

SET_ASIDE_S = 60.0
"""How long such a job waits then."""

WAITS = (ClaimVerdict.WAIT, ClaimVerdict.FULL)
"""What is denied only for now: a place among the shared limits will come."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """The steps of an attempt, and `run`, which takes one job through all of them. Thread-safe."""

    job_store: JobStore
    vendor: Vendor
    policy: Policy
    flow_control: FlowControl
    reporter: Reporter
    stopping: threading.Event
    first_attempt: FirstAttemptGuard
    judge: Judge
    inflight: InflightLog
    guard: SettlementGuard
    rejoin: Callable[[str], str]
    working: Working = field(default_factory=Working)
    jitter: Callable[[], float] = random.random

    def run(self, job: Job | InvalidJob, delivery: Delivery) -> Disposition:
        """Take a delivered job one step on.

        Raises:
            StoreClosed: the worker stops while Redis is away; the message stays where it is.
        """
        ready = self.prepare(job, delivery)
        if isinstance(ready, Settlement):
            return self.carry_out(ready)
        with self.first_attempt.until_answered() as may_send:
            if not may_send or self.stopping.is_set():
                return Disposition.KEPT
            return self.attempt(ready)

    def prepare(self, job: Job | InvalidJob, delivery: Delivery) -> Ready | Settlement:
        """Validate a job; one that is not valid ends."""
        if isinstance(job, InvalidJob):
            return refusal(Job(job.id, job.payload, job.metadata), delivery, job.reason)
        self.reporter.keep_private(job.payload)
        try:
            payload = parse(job.payload, unlisted=job.unlisted)
        except InvalidPayload as error:
            return refusal(job, delivery, str(error))
        return Ready(job, delivery, str(payload["workflow"]), _encode(payload).encode("ascii"))

    def attempt(self, ready: Ready, denied: Claim | None = None) -> Disposition:
        """Claim, as often as it takes, and send.

        Args:
            denied: the claim before, which led nowhere.
        """
        while True:
            if not self.guard.is_open:
                return Disposition.KEPT
            if denied and denied.verdict in WAITS and not self._wait(denied):
                return Disposition.KEPT
            request_id, asked = str(uuid.uuid4()), uptime()
            claim = self._claim(ready, request_id)
            if isinstance(claim, Disposition):
                return claim
            found = self.take_off(ready, claim, asked) if claim.granted else self.obey(ready, claim)
            match found:
                case Disposition():
                    return found
                case Settlement() | Reschedule():
                    return self.carry_out(found)
                case Attempt():
                    return self.send(found)
            denied = claim

    def _claim(self, ready: Ready, request_id: str) -> Claim | Disposition:
        """The answer to a claim, or what becomes of a job that cannot be claimed."""
        wait, asked = self.job_store.wait(give_up_early=True), uptime()
        while True:
            try:
                return self.job_store.claim(ready.job, ready.workflow, request_id)
            except Away as error:
                if self.is_the_jobs_own(error, asked):
                    return self.set_aside(ready.job, ready.delivery, error)
                wait.after(error)

    def is_the_jobs_own(self, error: Exception, asked: float) -> bool:
        """Whether Redis refuses a claim, asked for since this uptime, for a reason that is this one job's."""
        if not isinstance(error, Refused) or uptime() - asked < CLAIM_REFUSED_S:
            return False
        try:
            return self.guard.allows_taking()
        except Away:
            return False

    def set_aside(self, job: Job, delivery: Delivery, error: Exception) -> Disposition:
        """Let a job wait that cannot go on, of which nothing was sent."""
        log.error("job %s waits: %s", job.id, in_words(error, "what it needs"))
        try:
            self.job_store.try_to_look_again(job, delivery, SET_ASIDE_S)
        except Away:
            return Disposition.STUCK
        return Disposition.WAITS

    def take_off(self, ready: Ready, claim: Claim, asked: float) -> Attempt | Settlement | Disposition | None:
        """Begin the attempt that a claim allows, asked for at this uptime.

        Returns:
            What became of the job instead, or None where it took too long: claim again.
        """
        if self._is_late(ready.delivery, claim):
            self.job_store.withdraw(ready.job, claim)
            return self.judge.expired(ready, claim)
        if uptime() - asked > START_WITHIN_S:
            self.job_store.withdraw(ready.job, claim)
            return None
        slot = self.inflight.sent(claim.request_id) if self.guard.is_open else None
        if slot is None:
            self.job_store.withdraw(ready.job, claim)
            return Disposition.KEPT
        return Attempt(ready, claim, slot, time.monotonic())

    def obey(self, ready: Ready, claim: Claim) -> Settlement | Reschedule | Disposition | None:
        """Do what a denied claim asks for; None: claim again, and where it is one of `WAITS`, later."""
        self.reporter.keep_private(ready.job.payload)
        match claim.verdict:
            case ClaimVerdict.SETTLED | ClaimVerdict.PARKED:
                return Disposition.OVER
            case ClaimVerdict.BUSY if self._took_back_own(ready.job):
                pass
            case ClaimVerdict.BUSY:
                self.job_store.look_again(ready.job, ready.delivery, LOOK_AGAIN_S)
                return Disposition.WAITS
            case ClaimVerdict.ORPHAN:
                return self.judge.orphan(ready, claim)
            case ClaimVerdict.FENCED:
                self.rejoin(claim.owner)
            case ClaimVerdict.BREAKER:
                self.flow_control.close(BREAKER, claim.wait_s)
                return Disposition.KEPT
            case ClaimVerdict.REFUSING:
                self.flow_control.close(REFUSING, REFUSING_LOOK_S)
                return Disposition.KEPT
            case ClaimVerdict.PAUSED:
                self.flow_control.close(PAUSED, PAUSE_LOOK_S)
                return Disposition.KEPT
            case ClaimVerdict.BACKLOG:
                self.job_store.to_backlog(ready.job, ready.workflow, ready.delivery)
                return Disposition.WAITS
        return None

    def _took_back_own(self, job: Job) -> bool:
        """Whether a claim stood that this process made, gave up, and did not send under; it does not any
        more."""
        request_id = self.job_store.own_claim(job.id)
        if request_id is None or self.working.elsewhere(job.id) or self.inflight.has(request_id):
            return False
        return self.job_store.withdraw_own(job.id, request_id)

    def _is_late(self, delivery: Delivery, claim: Claim) -> bool:
        expired = delivery.expires_s is not None and time.time() >= delivery.expires_s
        return expired or claim.age_s >= self.policy.deadline_s

    def _wait(self, claim: Claim) -> bool:
        """Wait for a slot of the shared limits; False where the worker stops meanwhile."""
        seconds = claim.wait_s if claim.verdict is ClaimVerdict.WAIT else 0.01 + 0.02 * self.jitter()
        self.flow_control.limits_bind()
        return not self.stopping.wait(seconds)

    def send(self, attempt: Attempt) -> Disposition:
        """Send, wait for the answer, and see to what follows from it."""
        self.reporter.keep_private(attempt.ready.job.payload)
        try:
            with self.flow_control.sending():
                answer = self.vendor.post(attempt.ready.body, attempt.claim.request_id)
        except Exception:
            # The vendor client maps whatever can be raised; should it fail at that, money may be gone.
            job_id, request_id = attempt.ready.job.id, attempt.claim.request_id
            log.exception("the vendor client failed (job %s, request %s)", job_id, request_id)
            answer = Failure(sent=True, detail="the vendor client failed")
        after = self.carry_out(self.judge.answered(attempt, answer))
        self.inflight.settled(attempt.slot)
        return after

    def carry_out(self, found: Settlement | Reschedule) -> Disposition:
        """Write down how a job ends, or that it waits; as often as it takes."""
        try:
            return self.tell(found, self.write_down(found))
        except OwnFault as fault:
            return self.set_aside(found.job, found.delivery, fault.error)

    def write_down(self, found: Settlement | Reschedule) -> WriteReply:
        """What the journal says to how a job ends, or that it waits.

        Raises:
            OwnFault: Redis refuses it for a reason that is this one job's, and nothing was sent.
            StoreClosed: the worker stops while Redis is away.
        """
        asked = uptime()
        written = self.job_store.insist(found, lambda error: self.refused(found, error, asked))
        self.guard.settled(found.job.id)
        return written

    def refused(self, found: Settlement | Reschedule, error: Exception, asked: float) -> None:
        """Redis has not taken this, asked for since this uptime; it is to be asked again.

        Where an attempt was made nothing more is sent before.

        Raises:
            OwnFault: not again: nothing was sent, and the reason is this one job's.
        """
        if found.claim is not None:
            self.guard.refused(found.job.id, in_words(error, "to settle a job"))
        elif self.is_the_jobs_own(error, asked):
            raise OwnFault(error)

    def tell(self, found: Settlement | Reschedule, written: WriteReply) -> Disposition:
        """Tell who is to be told how a job ended, as the journal's verdict has it."""
        self.reporter.keep_private(found.job.payload)
        if self.first_attempt.heard_of(written.others):
            self.reporter.cut_off(self.first_attempt.trouble())
        verdict = written.verdict
        if isinstance(found, Reschedule):
            return Disposition.WAITS
        if verdict == "late":
            found = replace(found, result=replace(found.result, possible_duplicate=True), late=True)
            verdict = self.write_down(found).verdict
        if verdict == "paid-twice":
            self.reporter.paid_twice(found.result)
        elif verdict == "settled":
            self.reporter.job_ended(found.result, found.kind)
        return Disposition.ENDED


_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def uptime() -> float:
    """Seconds, on a clock that nobody sets."""
    # Unlike the monotonic clock this one goes on while the machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
