"""Tells people how attempts and jobs turned out."""

from __future__ import annotations

import logging
from typing import Final

from tasks.contract import ENQUEUED_AT_HEADER
from worker.domain.outcome import Outcome
from worker.observability import Reporter
from worker.processing.first_attempt import FirstAttemptGuard
from worker.processing.values import Decided, Run
from worker.store.values import ClaimVerdict, Decision, Settlement, WriteReply
from worker.store.workflows import SeenWorkflows

log = logging.getLogger(__name__)

IGNORED: Final = (
    f"ignored: its message has no stamp ({ENQUEUED_AT_HEADER}, ms since the epoch) of after the job's end"
)


class Reports:
    """What is said, and when: each end of a job once, each trouble once for as long as it lasts."""

    def __init__(
        self, reporter: Reporter, first_attempt: FirstAttemptGuard, workflows: SeenWorkflows
    ) -> None:
        self._reporter = reporter
        self._workflows = workflows
        self._first_attempt = first_attempt

    def attempt(self, run: Run, decided: Decided, request_id: str) -> None:
        """An attempt turned out so; what was accepted is told when it is settled."""
        self._workflows.note(run.fit.workflow)
        decision = decided.decision
        if isinstance(decision, Settlement) and decision.result.status == "submitted":
            return
        first = decided.pauses_intake and self._first_attempt.pause(self._refusal(decided.outcome))
        try:
            self._reporter.attempt_failed(
                run.job.id, request_id, run.fit.workflow, decided.attempts, decided.outcome, decided.words
            )
            if first:
                self._reporter.misconfigured(decided.outcome)
        except Exception:
            _note_silence(run)

    def submitted_again(self, run: Run, verdict: ClaimVerdict, state: str) -> None:
        """A job that had ended in this state was submitted again, or a message of it came once more."""
        next_step = {
            ClaimVerdict.SETTLED: IGNORED,
            ClaimVerdict.REPEATED: "it is not bought again; its result is published again",
        }
        try:
            self._reporter.submitted_again(run.job.id, state, next_step.get(verdict, "it runs again"))
        except Exception:
            _note_silence(run)

    def _refusal(self, outcome: Outcome) -> str:
        try:
            return self._reporter.refusal(outcome)
        except Exception:
            log.exception("what the vendor answered could not be told")
            return "see its log"

    def written(self, run: Run, decision: Decision, reply: WriteReply) -> None:
        """Redis has what was decided, and says what it knows of the job and of other workers."""
        cut_off = self._first_attempt.heard_of(reply.others)
        try:
            self._reporter.keep_private(run.job.payload)
            if cut_off:
                self._reporter.unreachable(self._first_attempt.trouble())
            if isinstance(decision, Settlement):
                if reply.verdict == "paid-twice":
                    self._reporter.paid_twice(decision.result)
                elif reply.verdict == "ignored":
                    self._reporter.submitted_again(run.job.id, "ended", IGNORED)
                elif reply.verdict == "settled":
                    self._reporter.job_ended(decision.result, decision.kind)
        except Exception:
            _note_silence(run)


def _note_silence(run: Run) -> None:
    """What cannot be told changes nothing for the job: an answer that was paid for is in hand."""
    log.exception("what became of job %s could not be told", run.job.id)
