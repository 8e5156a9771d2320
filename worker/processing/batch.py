"""Many jobs taken on by one thread: what is waited for is waited for together.

The thread goes round and round: read the answers that have come; in one round trip settle the jobs that
they end and claim as many others; send those. So it sleeps once for many jobs, and does the same thing for
many in a row, which is most of what a job costs. Each job still has its own claim, attempt and result.

It goes the fast way only where nothing can hold it up: over a connection that is open, for a claim that is
granted. Any other job is handed to a helper thread, which takes it through `Submitter.run`; the connection
that it leaves behind is the next job's fast way.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from worker.processing.batch_items import Crew, Decided, Item, Seat
from worker.processing.places import LOOK_S, Bell
from worker.processing.submit import uptime
from worker.processing.values import Attempt, Disposition, Ready
from worker.processing.working import OwnFault
from worker.store.retrying import StoreClosed, Wait
from worker.store.values import Claim, Reschedule, Settlement, WriteReply
from worker.vendor import Exchange

T = TypeVar("T")

log = logging.getLogger(__name__)

SLEEP_S = 0.1
"""How long to sleep at most while there is nothing to hear."""

STALE_S = 0.25
"""A connection that was found usable longer ago than this is looked at again."""


class Batch:
    """Jobs that one thread takes on together."""

    def __init__(self, crew: Crew, items: Iterable[Item]) -> None:
        self._crew = crew
        self._submitter = crew.submitter
        self._todo = deque(items)
        for item in self._todo:
            crew.submitter.working.enter(item.job.id)
        self._bell = Bell()
        self._places = 0  # that this thread has to give back
        self._kept = 0  # of them, those that its next jobs take
        self._flying: dict[Exchange, tuple[Item, Attempt]] = {}
        self._decided: list[Decided] = []
        # What Redis has refused, or has not answered, and when it is asked again.
        self._refused: list[Decided] = []
        self._unclaimed: list[Seat] = []
        self._wait: Wait | None = None
        self._again_at = 0.0
        self._is_away = False  # it refused all that it was asked the last time
        self._helped: list[Future[None]] = []

    def run(self) -> None:
        """Take all jobs one step on.

        Raises:
            StoreClosed: the worker stops while Redis is away. What was not done then stays with its message.
        """
        try:
            self._go_round()
            while self._todo or self._flying or self._decided or self._refused or self._unclaimed:
                self._hear()
                self._go_round()
        except BaseException:
            self._note_answers()
            raise
        finally:
            self._crew.places.leave(self._bell)
            self._bell.close()
            self._crew.places.give_back(self._places)
        for future in self._helped:
            future.result()

    def _hear(self, timeout_s: float = LOOK_S) -> None:
        """Wait for answers, and for places where jobs need some, and decide about the answers."""
        bell = self._bell if self._todo else None
        if self._decided or (self._kept and self._may_board()):
            timeout_s = 0.0
        elif self._wait:
            timeout_s = max(0.0, min(timeout_s, self._again_at - time.monotonic()))
        if not self._flying and not bell:
            time.sleep(min(timeout_s, SLEEP_S))
        answered = self._crew.vendor.wait(self._flying, timeout_s, bell)
        if bell:
            bell.heard()
        for exchange, answer in answered:
            self._submitter.flow_control.ends_sending()
            item, attempt = self._flying.pop(exchange)
            self._note(
                item, self._guarded(item, self._submitter.judge.answered, attempt, answer), attempt.slot
            )

    def _board(self) -> list[Seat]:
        """Jobs that may start now, each with a place and an open connection; the others go to helpers."""
        if self._submitter.stopping.is_set():
            self._let_go()
        if not self._todo or not self._may_board():
            return []
        new = self._crew.places.take(len(self._todo) - self._kept, self._bell)
        self._places += new
        places, self._kept = self._kept + new, 0
        connections = self._crew.vendor.warm(places) if self._submitter.first_attempt.proven else []
        warmed = uptime()
        seats: list[Seat] = []
        for _ in range(places):
            item = self._todo.popleft()
            if not connections:
                self._help(item, partial(self._submitter.run, item.job, item.delivery))
                continue
            ready = self._guarded(item, self._submitter.prepare, item.job, item.delivery)
            if isinstance(ready, Ready):
                request_id = str(uuid.uuid4())
                seats.append(Seat(item, ready, connections.pop(), warmed, request_id, uptime()))
            else:
                self._note(item, ready)
        for connection in connections:
            self._crew.vendor.put_back(connection)
        return seats

    def _may_board(self) -> bool:
        return self._submitter.guard.is_open and not self._is_away

    def _let_go(self) -> None:
        """The worker stops: what is not sent is given back. A claim that stands is taken back at the end."""
        while self._todo:
            self._done(
                self._todo.pop(), Disposition.KEPT
            )  # the last one first: each goes before those given back
        for seat in self._unclaimed:
            self._crew.vendor.put_back(seat.connection)
            self._note(seat.item, Disposition.KEPT)
        self._unclaimed.clear()

    def _go_round(self) -> None:
        """Write down what was decided and claim what has a seat, in one round trip; then send."""
        seats, decided, self._decided = self._board(), self._decided, []
        if time.monotonic() >= self._again_at:
            seats, self._unclaimed = [*self._unclaimed, *seats], []
            decided, self._refused = [*self._refused, *decided], []
        wanted = [(seat.ready.job, seat.ready.workflow, seat.request_id) for seat in seats]
        written, claims = self._submitter.job_store.write([each.found for each in decided], wanted)
        problems = [answer for answer in (*written, *claims) if isinstance(answer, Exception)]
        for each, answer in zip(decided, written, strict=True):
            if isinstance(answer, Exception):
                self._ask_again(each, answer)
            else:
                self._end(each, answer)
        for seat, claim in zip(seats, claims, strict=True):
            if isinstance(claim, Exception):
                self._claim_again(seat, claim)
            elif self._submitter.guard.is_open:
                self._depart(seat, claim)
            else:
                # What was sent before cannot be settled: no more is sent until it is. To ask again is free.
                self._unclaimed.append(seat)
        self._is_away = bool(problems) and len(problems) == len(written) + len(claims)
        self._pace(problems)

    def _end(self, each: Decided, written: WriteReply) -> None:
        """The journal has what was decided of this job."""
        self._submitter.guard.settled(each.item.job.id)
        after = self._guarded(each.item, self._submitter.tell, each.found, written)
        if each.slot is not None:
            self._submitter.inflight.settled(each.slot)
        self._done(each.item, after)

    def _ask_again(self, each: Decided, error: Exception) -> None:
        """Redis has not taken what was decided of this job: all that is new waits until it has."""
        try:
            self._submitter.refused(each.found, error, each.asked)
        except OwnFault:
            self._done(each.item, self._submitter.set_aside(each.found.job, each.found.delivery, error))
            return
        if isinstance(each.found, Reschedule) and each.found.throttled_s is not None:
            # That all are to slow down is said once: each time again they would slow down further.
            each = replace(each, found=replace(each.found, throttled_s=None))
        self._refused.append(each)

    def _claim_again(self, seat: Seat, error: Exception) -> None:
        if self._submitter.is_the_jobs_own(error, seat.asked):
            self._crew.vendor.put_back(seat.connection)
            after = self._submitter.set_aside(seat.ready.job, seat.ready.delivery, error)
            self._note(seat.item, after)
        else:
            self._unclaimed.append(seat)

    def _pace(self, problems: list[Exception]) -> None:
        """When what was not done is asked for again."""
        if not self._refused and not self._unclaimed:
            self._wait, self._again_at, self._is_away = None, 0.0, False
        elif problems:
            self._wait = self._wait or self._submitter.job_store.wait()
            self._again_at = time.monotonic() + self._wait.pause_s(problems[-1])
        elif time.monotonic() >= self._again_at:
            self._wait = self._wait or self._submitter.job_store.wait()
            self._again_at = time.monotonic() + LOOK_S

    def _depart(self, seat: Seat, claim: Claim) -> None:
        item, ready = seat.item, seat.ready
        found = self._guarded(item, self._cleared, seat, claim)
        if isinstance(found, Attempt):
            self._submitter.flow_control.begins_sending()
            exchange = self._crew.vendor.start(seat.connection, ready.body, found.claim.request_id)
            self._flying[exchange] = item, found
            return
        self._crew.vendor.put_back(seat.connection)
        if found is None:
            denied = None if claim.granted else claim
            self._help(item, partial(self._submitter.attempt, ready, denied))
        else:
            self._note(item, found)

    def _cleared(self, seat: Seat, claim: Claim) -> Attempt | Settlement | Reschedule | Disposition | None:
        """What a claim allows; None: claim again, by way of a helper."""
        if not claim.granted:
            return self._submitter.obey(seat.ready, claim)
        if uptime() - seat.warmed > STALE_S and not seat.connection.usable:
            seat.connection.close()
            self._submitter.job_store.withdraw(seat.ready.job, claim)
            return None
        return self._submitter.take_off(seat.ready, claim, seat.asked)

    def _help(self, item: Item, way: Callable[[], Disposition]) -> None:
        """Let a helper take this job, and its place, the slow way."""
        self._places -= 1
        ticket = threading.Lock()
        try:
            self._helped.append(self._crew.helpers.submit(self._helped_by, item, way, ticket))
        except RuntimeError:
            # A cold shutdown has sent them home; or there can be no more, and others may come to it or not.
            if ticket.acquire(blocking=False):
                self._places += 1
                self._note(item, Disposition.KEPT)

    def _helped_by(self, item: Item, way: Callable[[], Disposition], ticket: threading.Lock) -> None:
        if not ticket.acquire(blocking=False):
            return
        try:
            after = self._guarded(item, way)
        finally:
            self._crew.places.give_back()
        self._done(item, after)

    def _done(self, item: Item, after: Disposition) -> None:
        self._submitter.working.leave(item.job.id)
        item.done(after)

    def _note(
        self, item: Item, found: Settlement | Reschedule | Disposition, slot: int | None = None
    ) -> None:
        """A job needs its place no longer. What is to be written down of it, the next round writes."""
        if self._kept < len(self._todo) and not self._crew.places.are_owed():
            self._kept += 1
        else:
            self._places -= 1
            self._crew.places.give_back()
        if isinstance(found, Disposition):
            self._done(item, found)
        else:
            self._decided.append(Decided(item, found, slot, uptime()))

    def _guarded(self, item: Item, step: Callable[..., T], *args: Any) -> T | Disposition:
        """A step of one job, of which a fault of ours must harm no other."""
        try:
            return step(*args)
        except StoreClosed:
            raise
        except Exception:
            return self._crew.crashed(item.job, item.delivery)

    def _note_answers(self) -> None:
        """Hear what is in the air still, so that task ids are kept where they outlive this process."""
        while in_the_air := len(self._flying):
            self._decided = []
            try:
                self._hear()
            except Exception:
                if len(self._flying) == in_the_air:
                    log.exception("%d answers are not heard", in_the_air)
                    return
