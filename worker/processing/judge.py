"""What follows from how an attempt turned out: how the job ends, or that it waits."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.contract import Status
from tasks.envelope import Job
from worker.domain.outcome import Failure, Outcome, OutcomeKind, Reply, classify
from worker.domain.result import result_of
from worker.domain.retry import History, Policy, Release, Retry, Settle, counts, decide
from worker.local.inflight_log import InflightLog
from worker.processing.first_attempt import FirstAttemptGuard
from worker.processing.values import OF_AN_ORPHAN, SAYS_NOTHING, Attempt, Ready, Reporter, feedback_of, words
from worker.store.jobs import JobStore
from worker.store.values import Claim, ClaimVerdict, Reschedule, Settlement

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides by the policy. Thread-safe."""

    job_store: JobStore
    policy: Policy
    reporter: Reporter
    first_attempt: FirstAttemptGuard
    inflight: InflightLog
    jitter: Callable[[], float] = random.random

    def answered(self, attempt: Attempt, answer: Reply | Failure) -> Settlement | Reschedule:
        """Decide what follows from an answer, and keep a task id where it outlives this process."""
        self.reporter.keep_private(attempt.ready.job.payload)
        try:
            outcome = classify(answer, now=time.time())
        except Exception:
            log.exception("an answer could not be classified (job %s)", attempt.ready.job.id)
            outcome = Outcome(
                OutcomeKind.UNKNOWN, error_code="AIGC_INTERNAL_ERROR", error_msg="see the worker's log"
            )
        self.first_attempt.answered(outcome)
        found = self._decide(attempt.ready, attempt.claim, outcome, self._history(attempt, outcome))
        if isinstance(found, Settlement) and found.result.task_id:
            self.inflight.answered(attempt.slot, found.result_json)
        return found

    def _history(self, attempt: Attempt, outcome: Outcome) -> History:
        claim, counted = attempt.claim, counts(outcome.kind)
        return History(
            attempts=claim.attempts + counted,
            uncounted=0 if counted else claim.uncounted + 1,
            age_s=claim.age_s + time.monotonic() - attempt.started,
            unresolved=claim.unresolved,
            excused=claim.excused + (counted and claim.verdict is ClaimVerdict.PROBE),
        )

    def orphan(self, ready: Ready, claim: Claim) -> Settlement | Reschedule:
        """Decide about a job whose worker died while sending it; the journal counted that attempt."""
        outcome = Outcome(
            OutcomeKind.UNKNOWN,
            error_code="AIGC_WORKER_LOST",
            error_msg="its worker was lost while it was sending",
        )
        history = History(claim.attempts, claim.uncounted, claim.age_s, claim.unresolved, claim.excused)
        return self._decide(ready, None, outcome, history)

    def _decide(
        self, ready: Ready, claim: Claim | None, outcome: Outcome, history: History
    ) -> Settlement | Reschedule:
        job, delivery = ready.job, ready.delivery
        decision = decide(outcome, history, self.policy, self.jitter())
        request_id = claim.request_id if claim else self._last_request_id(job)
        if not (isinstance(decision, Settle) and decision.status == "submitted"):
            self.reporter.attempt_failed(
                job.id, request_id or "", ready.workflow, history.attempts, outcome, words(decision)
            )
        said = feedback_of(outcome) if claim else OF_AN_ORPHAN
        match decision:
            case Settle(status):
                result = result_of(
                    job, status, outcome, history.attempts, request_id, history.unresolved, datetime.now(UTC)
                )
                answer = outcome.excerpt and self.reporter.redacted(outcome.excerpt)
                return Settlement(job, delivery, claim, result, outcome.kind, said, answer)
            case Retry(delay_s) | Release(delay_s):
                if isinstance(decision, Release) and self.first_attempt.pause():
                    self.reporter.misconfigured(outcome)
                throttled = outcome.kind is OutcomeKind.THROTTLED
                return Reschedule(
                    job,
                    delivery,
                    claim,
                    said,
                    attempts=history.attempts,
                    uncounted=history.uncounted,
                    unresolved=history.unresolved or outcome.kind is OutcomeKind.UNKNOWN,
                    delay_s=delay_s,
                    throttled_s=min(outcome.retry_after_s or 0.0, self.policy.cap_s) if throttled else None,
                )

    def expired(self, ready: Ready, claim: Claim) -> Settlement:
        """End a job whose deadline passed before this attempt."""
        job = ready.job
        outcome = Outcome(
            OutcomeKind.NOT_SENT,
            error_code="AIGC_DEADLINE_EXCEEDED",
            error_msg="the job's deadline passed before an attempt",
        )
        status: Status = "unknown" if claim.unresolved else "exhausted"
        last, now = self._last_request_id(job), datetime.now(UTC)
        result = result_of(job, status, outcome, claim.attempts, last, claim.unresolved, now)
        return Settlement(job, ready.delivery, None, result, outcome.kind, SAYS_NOTHING)

    def _last_request_id(self, job: Job) -> str | None:
        ids = self.job_store.record(job.id).get("request_ids")
        return ids[-1] if ids else None
