"""What the loop has to write down in Redis and to ask it for, in one round trip, as often as it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from worker.processing.settlement_guard import SettlementGuard
from worker.processing.values import Run, uptime
from worker.store.jobs import ClaimRequest, JobStore
from worker.store.redis_wait import Away, Refused, Wait, in_words
from worker.store.values import Claim, Decision, Reschedule, Settlement, Withdrawal, WriteReply

REFUSED_S: Final = 5.0
"""How long is asked again for what Redis refuses to one job, while it allows all that others need."""

LOOK_S: Final = 0.25
"""How often is asked for a claim that stands while another job waits to be settled."""


@dataclass(slots=True, eq=False)
class PendingWrite:
    """A decision to be written down since this uptime, and what follows once it is; of a job, or of none."""

    run: Run | None
    decision: Decision
    then: Callable[[WriteReply], None]
    asked: float


class Writes:
    """Decisions and claims that Redis has not answered yet. Not thread-safe.

    Args:
        guarded: takes a step of one job, of which a fault must harm no other.
        give_up: told of an entry, or of a job that waits for its claim, that Redis refuses for a reason
            which is this one job's.
    """

    def __init__(
        self,
        job_store: JobStore,
        guard: SettlementGuard,
        guarded: Callable[..., object],
        give_up: Callable[[Run, Decision | None, Exception], None],
    ) -> None:
        self._job_store = job_store
        self._guard = guard
        self._guarded = guarded
        self._give_up = give_up
        self._decided: list[PendingWrite] = []
        self._claims: list[Run] = []
        # What Redis has refused, or has not answered, and when it is asked again.
        self._refused: list[PendingWrite] = []
        self._unclaimed: list[Run] = []
        self._wait: Wait | None = None
        self._again_at = 0.0
        self.is_away = False
        """Whether it refused all that it was asked the last time."""

    @property
    def decisions(self) -> int:
        """How many decisions are not written down."""
        return len(self._decided) + len(self._refused)

    @property
    def claiming(self) -> int:
        """How many claims are not answered."""
        return len(self._claims) + len(self._unclaimed)

    def due_at(self) -> float:
        """When to `flush` next, on the monotonic clock."""
        if self._decided or self._claims:
            return 0.0
        return self._again_at if self._refused or self._unclaimed else math.inf

    def write(self, run: Run | None, decision: Decision, then: Callable[[WriteReply], None]) -> None:
        """Have this written down."""
        self._decided.append(PendingWrite(run, decision, then, uptime()))

    def claim(self, run: Run) -> None:
        """Ask for the right to send a job."""
        self._claims.append(run)

    def drop_claims(self) -> list[Run]:
        """The jobs whose claims are not answered; they are not asked for any more, but may stand."""
        dropped = [*self._unclaimed, *self._claims]
        self._unclaimed, self._claims = [], []
        if not self._refused:
            # With nothing to ask again nobody would find out that Redis is back.
            self._wait, self._again_at, self.is_away = None, 0.0, False
        return dropped

    def flush(self) -> list[tuple[Run, Claim]]:
        """Ask Redis; the claims that it answered.

        Raises:
            StoreClosed: the worker stops, and Redis has been away for too long.
        """
        decided, self._decided = self._decided, []
        claims, self._claims = self._claims, []
        if time.monotonic() >= self._again_at:
            decided, self._refused = [*self._refused, *decided], []
            claims, self._unclaimed = [*self._unclaimed, *claims], []
        if not decided and not claims:
            return []
        requests = [
            ClaimRequest(fit.job, fit.workflow, run.request_id) for run in claims for fit in (run.fit,)
        ]
        replies, answers = self._job_store.write([entry.decision for entry in decided], requests)
        problems = []
        for entry, reply in zip(decided, replies, strict=True):
            if isinstance(reply, Exception):
                problems.append(reply)
                self._ask_again(entry, reply)
            elif entry.run is not None:
                self._guarded(entry.run, entry.then, reply)
            else:
                entry.then(reply)
        answered = []
        for run, answer in zip(claims, answers, strict=True):
            if isinstance(answer, Exception):
                problems.append(answer)
                self._claim_again(run, answer)
            elif self._guard.is_open:
                answered.append((run, answer))
            else:
                # What was sent before cannot be settled: no more is sent until it is. To ask again is free.
                self._unclaimed.append(run)
        # What is refused to one job alone may be that job's own trouble.
        several = len(problems) > 1 or not all(isinstance(problem, Refused) for problem in problems)
        self.is_away = bool(problems) and several and len(problems) == len(decided) + len(claims)
        self._pace(problems)
        return answered

    def _ask_again(self, entry: PendingWrite, error: Exception) -> None:
        """Redis has not taken this; where an attempt was made, all that is new waits until it has."""
        decision = entry.decision
        if isinstance(decision, Settlement | Reschedule) and decision.claim is not None:
            away = not isinstance(error, Refused)
            self._guard.refused(decision.job.id, in_words(error, "to settle a job"), away=away)
        elif isinstance(decision, Withdrawal):
            pass  # the claim stands: the job could not go on under another
        elif entry.run is not None and self._is_the_jobs_own(error, entry.asked):
            self._give_up(entry.run, decision, error)
            return
        if isinstance(decision, Reschedule) and decision.throttled_s is not None:
            # That all are to slow down is said once: each time again they would slow down further.
            entry.decision = replace(decision, throttled_s=None)
        self._refused.append(entry)

    def _claim_again(self, run: Run, error: Exception) -> None:
        if self._is_the_jobs_own(error, run.asked):
            self._give_up(run, None, error)
        else:
            self._unclaimed.append(run)

    def _is_the_jobs_own(self, error: Exception, asked: float) -> bool:
        if not isinstance(error, Refused) or uptime() - asked < REFUSED_S:
            return False
        try:
            return self._guard.allows_taking()
        except Away:
            return False

    def _pace(self, problems: list[Exception]) -> None:
        """When what was not done is asked for again."""
        if not self._refused and not self._unclaimed:
            self._wait, self._again_at, self.is_away = None, 0.0, False
        elif problems:
            self._wait = self._wait or self._job_store.wait()
            self._again_at = time.monotonic() + self._wait.pause_s(problems[-1])
        elif time.monotonic() >= self._again_at:
            self._wait = self._wait or self._job_store.wait()
            self._again_at = time.monotonic() + LOOK_S
