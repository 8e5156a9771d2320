"""The engine: takes due tasks in their turn, has them asked about, and does what follows from the answers.

A thread of its own takes tasks and renews leases; a few others wait for the vendor and the store. A task
that is not due holds nothing here: it is in Redis alone.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from tasks.frozen import value
from worker.domain.query import Pending, QueryOutcome, Refused
from worker.domain.remarks import Remarks
from worker.following.decisions import AskAgain, End, Keep, after_keeping, decide, finished_of, keep_later
from worker.following.leases import LEASE_S, Leases
from worker.following.needs import Asks, Keeps, Reporter, Tasks
from worker.following.pace import Change, QueryPace
from worker.following.pool import Pool
from worker.following.troubles import Troubles
from worker.keeping import NotKept
from worker.store.redis_wait import Away, StoreClosed, Wait
from worker.store.task_values import Learned, OpenTask, TaskEnd

log = logging.getLogger(__name__)

THREADS: Final = 16
"""Queries and files under way at once: as many as are worth it at some 10 queries a second."""

KEEPS_MOST: Final = 12
"""Of these so many may be files: hosts and stores that hang do not stop the queries."""

IDLE_S: Final = 1.0
"""How long nothing is looked for where nothing is due: at most so late a task is asked about."""

LATE_S: Final = 0.05
"""A query whose turn came so long ago is not made: those of the next turns would come too close after it."""

CLOSE_S: Final = 5.0
"""How long a stopping worker waits for answers. Others ask again about what is left."""

FAULT_PAUSE_S: Final = 5.0
JITTER: Final = 0.2
_STATUSES_TOLD: Final = 1000


@value(frozen=True, slots=True)
class _Turn:
    """When to ask about a task, on the monotonic clock, and what Redis's clock said when that one was 0."""

    at: float
    epoch_ms: float

    def now_ms(self) -> int:
        return round(self.epoch_ms + 1000 * time.monotonic())


class Follower:
    """Follows the tasks of one queue, together with those of other processes.

    Args:
        tasks: where they are.
        query: what asks the vendor; closed at the end.
        keeper: what keeps their files; None where they are not kept.
        pace: whether to ask.
        reporter: told of each output, and of refused queries.
        owner: this worker's name among the others; while it has none, which is empty, nothing is taken.
    """

    def __init__(
        self,
        tasks: Tasks,
        query: Asks,
        keeper: Keeps | None,
        pace: QueryPace,
        reporter: Reporter,
        owner: Callable[[], str],
    ) -> None:
        self._tasks = tasks
        self._query = query
        self._keeper = keeper
        self._pace = pace
        self._reporter = reporter
        self._owner = owner
        self._leases = Leases(tasks)
        self._troubles = Troubles(tasks, owner, pace.trouble)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._pool = Pool("follow", THREADS, self._wake.set)
        self._keeps = threading.BoundedSemaphore(KEEPS_MOST)
        self._statuses = set[str]()
        self._remarks = Remarks()
        self._thread = threading.Thread(target=self._run, name="following", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more; what is being asked goes on."""
        self._stopping.set()
        self._wake.set()

    def close(self) -> None:
        """End: wait for a while for what is being asked, and leave the rest to others."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)
        if not self._pool.join(CLOSE_S):
            with contextlib.suppress(*Away):  # else they fall due by themselves
                self._leases.give_back()
        self._troubles.close()
        self._query.close()

    def _run(self) -> None:
        wait: Wait | None = None
        while not self._stopping.is_set():
            pause_s = IDLE_S
            try:
                if self._owner():
                    pause_s = self._look()
                wait = None
            except StoreClosed:
                return
            except Away as error:
                wait = wait or self._tasks.wait()
                try:
                    pause_s = wait.pause_s(error)
                except StoreClosed:
                    return
            except Exception:
                log.exception("a fault of this program: following goes on after a pause")
                pause_s = FAULT_PAUSE_S
            self._wake.wait(pause_s)
            self._wake.clear()

    def _look(self) -> float:
        """Have due tasks asked about, as many as may be; for how many seconds nothing is to be done."""
        self._leases.renew()
        self._troubles.tell()
        most, wait_s = self._pace.allowance()
        most = min(most, self._pool.free())
        if most <= 0:
            return min(wait_s, IDLE_S) if wait_s > 0 else IDLE_S  # a thread that becomes free wakes us
        taken = self._tasks.take(most, LEASE_S)
        now = time.monotonic()
        for task_id, why in taken.unreadable:
            log.error("task %s cannot be asked about: %s", task_id, why)
        for task in taken.tasks:
            self._leases.add(task)
        try:
            for task in taken.tasks:
                self._begin(task, _Turn(now + task.wait_s, taken.now_ms - 1000 * now))
        except BaseException:
            # Nobody works on these: renewed for ever, they would never fall due again.
            for each in taken.tasks[taken.tasks.index(task) :]:
                self._leases.remove(each)
            raise
        if taken.tasks:
            return 0.0
        return IDLE_S if taken.next_s is None else min(taken.next_s, IDLE_S)

    def _begin(self, task: OpenTask, turn: _Turn) -> None:
        """Have a thread ask about a task when its turn comes; give it back where the worker stops."""
        if self._stopping.wait(max(0.0, turn.at - time.monotonic())):
            self._postpone(task, AskAgain(0.0, Learned()))
            return
        self._pace.begin()
        try:
            self._pool.run(partial(self._guarded, task, turn))
        except BaseException:
            self._pace.gave_up()
            raise

    def _guarded(self, task: OpenTask, turn: _Turn) -> None:
        try:
            self._follow(task, turn)
        except StoreClosed:
            log.warning("task %s is left to others: Redis is away, and the worker stops", task.task_id)
        except Exception:
            log.exception(
                "a fault of this program; the task stays open", extra={"fields": {"task": task.task_id}}
            )
        finally:
            self._leases.remove(task)

    def _follow(self, task: OpenTask, turn: _Turn) -> None:
        if task.output is not None:
            self._pace.gave_up()
            self._leases.remove(task)
            if self._tasks.finish(task) == "left" and self._remarks.due("left", time.monotonic()):
                log.warning(
                    "task %s: its end has steps that this version does not know: "
                    "it stays open for a newer worker",
                    task.task_id,
                )
            return
        if time.monotonic() - turn.at > LATE_S:
            self._pace.gave_up()
            self._postpone(task, AskAgain(0.0, Learned()))
            return
        step = self._next_step(task, turn)
        match step:
            case AskAgain():
                self._postpone(task, step)
            case End():
                self._end(task, step)

    def _next_step(self, task: OpenTask, turn: _Turn) -> AskAgain | End | None:
        """Ask, and keep the file where there is one; None where the task is another worker's by now."""
        outcome = self._pace.read(self._query.ask(task.task_id))
        self._tell(self._pace.heard(task.task_id, outcome), outcome)
        step = decide(outcome, task, turn.now_ms(), _jitter(), keeps=self._keeper is not None)
        if not isinstance(step, Keep):
            return step
        if not self._keeps.acquire(blocking=False):
            return keep_later(step, task, turn.now_ms(), _jitter())
        try:
            return self._keep(step, task, turn)
        finally:
            self._keeps.release()

    def _keep(self, step: Keep, task: OpenTask, turn: _Turn) -> AskAgain | End | None:
        learned = Learned(url=step.url, succeeded_ms=step.succeeded_ms)
        if not self._tasks.postpone(task, LEASE_S, learned):
            return None
        assert self._keeper is not None
        kept = self._keeper.keep(step.url, finished_of(task, step.succeeded_ms))
        if isinstance(kept, NotKept) and not kept.is_final and not task.keep_tries:
            log.warning("the file of task %s is not kept yet: %s", task.task_id, kept.reason)
        return after_keeping(kept, step.url, step.succeeded_ms, task, turn.now_ms(), _jitter())

    def _postpone(self, task: OpenTask, step: AskAgain) -> None:
        self._leases.remove(task)
        self._tasks.postpone(task, step.gap_s, step.learned)

    def _end(self, task: OpenTask, end: End) -> None:
        self._leases.remove(task)
        told = TaskEnd(
            output_json=end.output.to_json(),
            status=end.output.status,
            finished_ms=end.finished_ms,
            vendor_status=end.output.vendor_status,
            took_ms=end.took_ms,
            is_unstored=end.is_unstored,
        )
        if self._tasks.end(task, told) == "ended":
            self._reporter.output(end.output, task.asked + 1, end.reason)

    def _tell(self, change: Change | None, outcome: QueryOutcome) -> None:
        """Log what an answer means beyond its task: once each."""
        match change:
            case Change.REFUSED if isinstance(outcome, Refused):
                self._reporter.queries_refused(outcome)
            case Change.HEALED:
                log.warning("the vendor takes queries again: following goes on")
            case Change.DOWN:
                log.error("%s: one query at a time probes until that is over", self._pace.trouble())
            case Change.UP:
                log.warning("queries are answered again: following goes on")
        if isinstance(outcome, Pending) and not outcome.is_known:
            self._tell_status(outcome.vendor_status)

    def _tell_status(self, status: str) -> None:
        if status not in self._statuses and len(self._statuses) < _STATUSES_TOLD:
            self._statuses.add(status)
            log.warning("a task's status is %r, which nobody knows here: it is taken for not ended", status)


def _jitter() -> float:
    return random.uniform(1 - JITTER, 1 + JITTER)
