"""Many jobs that came in one message, taken on by one thread: what is waited for is waited for together.

The thread goes round and round: read the answers that have come; in one round trip settle the jobs that
they end and claim as many others; send those. So it sleeps once for many jobs, and does the same thing for
many in a row, which is most of what a job costs. Each job still has its own claim, attempt and result.

It goes the fast way only where nothing can hold it up: over a connection that is open, for a claim that is
granted. Any other job is handed to a helper thread, which takes it through `Submitter.run`; the connection
that it leaves behind is the next job's fast way.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from tasks.envelope import BadJob, Job
from worker.core.outcome import Failure, Reply
from worker.store.claims import Carrier, Claim, Ending
from worker.store.scripts import StoreClosed
from worker.submit import After, Attempt, Ready, Submitter, uptime
from worker.vendor import Connection, Exchange, Vendor

T = TypeVar("T")

LOOK_S = 0.02
"""How long to wait for answers at most, while jobs wait for a connection or a place that others may free."""

ANSWERS_S = 1.0
PLACE_S = 0.1

STALE_S = 0.25
"""A connection that was found usable longer ago than this is looked at again."""


@dataclass(frozen=True, slots=True)
class Crew:
    """What the batches of a process share.

    Attributes:
        places: one for each job in flight, of batches or not.
        helpers: threads for the jobs that go the slow way.
        one: the slow way of a job that has a place.
        crashed: keeps a job that a fault of this program, the exception being handled, has hit.
    """

    submitter: Submitter
    vendor: Vendor
    places: threading.BoundedSemaphore
    helpers: Executor
    one: Callable[[Job | BadJob, Carrier], After]
    crashed: Callable[[Job | BadJob, Carrier], After]


@dataclass(frozen=True, slots=True)
class _Seat:
    ready: Ready
    connection: Connection


class Batch:
    """The jobs of one message.

    Args:
        job_done: told of each job once nothing more is to be done for it now.
    """

    def __init__(
        self, crew: Crew, jobs: Sequence[Job | BadJob], carrier: Carrier, job_done: Callable[[], None]
    ) -> None:
        self._crew = crew
        self._submitter = crew.submitter
        self._carrier = carrier
        self._job_done = job_done
        self._todo = deque(jobs)
        self._flying: dict[Exchange, Attempt] = {}
        self._helped: list[Future[After]] = []
        self._found: set[After] = set()

    def run(self) -> set[After]:
        """Take all jobs one step on; what became of them.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        try:
            while self._todo or self._flying:
                landed = self._land()
                self._go_round(landed, self._board())
        except StoreClosed:
            self._note_answers()
            raise
        return self._found | {future.result() for future in self._helped}

    def _land(self) -> list[tuple[Attempt, Ending]]:
        """Wait for answers and decide about them; the accepted ones, which are settled together."""
        landed: list[tuple[Attempt, Ending]] = []
        for attempt, answer in self._answers(LOOK_S if self._todo else ANSWERS_S):
            found = self._guarded(attempt.ready.job, self._judge, attempt, answer)
            if isinstance(found, Ending):
                landed.append((attempt, found))
            else:
                self._end(found)
        return landed

    def _answers(self, timeout_s: float) -> Iterator[tuple[Attempt, Reply | Failure]]:
        for exchange, answer in self._crew.vendor.wait(self._flying, timeout_s):
            self._submitter.gate.ends_sending()
            yield self._flying.pop(exchange), answer

    def _judge(self, attempt: Attempt, answer: Reply | Failure) -> Ending | After:
        self._submitter.telemetry.keep_private(attempt.ready.job.payload)
        found = self._submitter.judge(attempt, answer)
        if isinstance(found, Ending) and found.result.status == "submitted":
            return found
        after = self._submitter.carry_out(found)
        self._submitter.flights.landed(attempt.flight)
        return after

    def _board(self) -> list[_Seat]:
        """Jobs that may start now, each with a place and an open connection; the others go to helpers."""
        if self._submitter.stopping.is_set():
            for _ in self._todo:
                self._found.add(After.KEPT)
                self._job_done()
            self._todo.clear()
        places = self._take_places()
        connections = self._crew.vendor.warm(places) if self._submitter.alone.proven else []
        seats: list[_Seat] = []
        for _ in range(places):
            job = self._todo.popleft()
            if not connections:
                self._help(job, partial(self._crew.one, job, self._carrier))
                continue
            ready = self._guarded(job, self._submitter.prepare, job, self._carrier)
            if isinstance(ready, Ready):
                seats.append(_Seat(ready, connections.pop()))
            else:
                self._end(ready)
        for connection in connections:
            self._crew.vendor.put_back(connection)
        return seats

    def _take_places(self) -> int:
        taken, places = 0, self._crew.places
        while taken < len(self._todo) and places.acquire(blocking=False):
            taken += 1
        if self._todo and not taken and not self._flying:
            taken += places.acquire(timeout=PLACE_S)
        return taken

    def _go_round(self, landed: Sequence[tuple[Attempt, Ending]], seats: Sequence[_Seat]) -> None:
        """Settle and claim in one round trip, and send."""
        asked = uptime()
        wanted = [(seat.ready.job, seat.ready.workflow, str(uuid.uuid4())) for seat in seats]
        try:
            verdicts, claims = self._submitter.journal.settle_and_claim([end for _, end in landed], wanted)
        except StoreClosed:
            raise
        except Exception:
            for job in [attempt.ready.job for attempt, _ in landed] + [seat.ready.job for seat in seats]:
                self._end(self._crew.crashed(job, self._carrier))
            return
        for (attempt, ending), verdict in zip(landed, verdicts, strict=True):
            after = self._guarded(ending.job, self._submitter.settled, ending, verdict)
            self._submitter.flights.landed(attempt.flight)
            self._end(after)
        for seat, claim in zip(seats, claims, strict=True):
            self._depart(seat, claim, asked)

    def _depart(self, seat: _Seat, claim: Claim, asked: float) -> None:
        ready, connection = seat.ready, seat.connection
        if claim.granted:
            found = self._guarded(ready.job, self._submitter.take_off, ready, claim, asked)
        else:
            found = self._guarded(ready.job, self._submitter.obey, ready, claim)
        if not isinstance(found, Attempt):
            self._crew.vendor.put_back(connection)
            if found is None:
                self._help(ready.job, partial(self._submitter.attempt, ready, claim))
            else:
                self._end(found)
        elif uptime() - asked > STALE_S and not connection.usable:
            connection.close()
            self._help(ready.job, partial(self._submitter.send, found))
        else:
            self._submitter.gate.begins_sending()
            exchange = self._crew.vendor.start(connection, ready.body, claim.request_id)
            self._flying[exchange] = found

    def _help(self, job: Job | BadJob, way: Callable[[], After]) -> None:
        """Let a helper take this job, and its place, the slow way."""

        def help_it() -> After:
            try:
                return cast(After, self._guarded(job, way))
            finally:
                self._crew.places.release()
                self._job_done()

        try:
            self._helped.append(self._crew.helpers.submit(help_it))
        except RuntimeError:  # a cold shutdown has sent them home
            self._end(After.KEPT)

    def _end(self, after: After) -> None:
        self._found.add(after)
        self._crew.places.release()
        self._job_done()

    def _guarded(self, job: Job | BadJob, step: Callable[..., T], *args: Any) -> T | After:
        """A step of one job, of which a fault of ours must harm no other."""
        try:
            return step(*args)
        except StoreClosed:
            raise
        except Exception:
            return self._crew.crashed(job, self._carrier)

    def _note_answers(self) -> None:
        """Wait for what is in the air, so that task ids are kept where they outlive this process."""
        while self._flying:
            for attempt, answer in self._answers(ANSWERS_S):
                with suppress(Exception):
                    self._submitter.judge(attempt, answer)
