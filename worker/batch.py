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
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tasks.envelope import BadJob, Job
from worker.attempt import After, Attempt, Ready
from worker.places import LOOK_S, Bell, Places
from worker.store.claims import Carrier, Claim, Ending, Later, checked
from worker.store.scripts import StoreClosed
from worker.submit import Submitter, uptime
from worker.vendor import Connection, Exchange, Vendor

T = TypeVar("T")

log = logging.getLogger(__name__)

STALE_S = 0.25
"""A connection that was found usable longer ago than this is looked at again."""


@dataclass(frozen=True, slots=True)
class Crew:
    """What the batches of a process share.

    Attributes:
        places: one for each job in flight, of batches or not.
        helpers: threads for the jobs that go the slow way.
        crashed: keeps a job that a fault of this program, the exception being handled, has hit.
    """

    submitter: Submitter
    vendor: Vendor
    places: Places
    helpers: Executor
    crashed: Callable[[Job | BadJob, Carrier], After]


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A job of a batch.

    ``done`` is told what became of it, once, as soon as nothing more is to be done for it now; by whatever
    thread that finds out.
    """

    job: Job | BadJob
    carrier: Carrier
    done: Callable[[After], None]


@dataclass(frozen=True, slots=True)
class _Seat:
    item: Item
    ready: Ready
    connection: Connection
    warmed: float


@dataclass(frozen=True, slots=True)
class _Decided:
    """What is to be written down; ``flight`` where an attempt led to it."""

    item: Item
    found: Ending | Later
    flight: int | None = None


class Batch:
    """Jobs that one thread takes on together."""

    def __init__(self, crew: Crew, items: Iterable[Item]) -> None:
        self._crew = crew
        self._submitter = crew.submitter
        self._todo = deque(items)
        self._bell = Bell()
        self._places = 0  # that this thread has to give back
        self._kept = 0  # of them, those that its next jobs take
        self._flying: dict[Exchange, tuple[Item, Attempt]] = {}
        self._decided: list[_Decided] = []
        self._helped: list[Future[None]] = []

    def run(self) -> None:
        """Take all jobs one step on.

        Raises:
            StoreClosed: the worker stops while Redis is away. What was not done then stays with its message.
        """
        try:
            self._go_round(self._board())
            while self._todo or self._flying or self._decided:
                self._hear()
                self._go_round(self._board())
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
        busy = self._decided or self._kept
        answered = self._crew.vendor.wait(self._flying, 0.0 if busy else timeout_s, bell)
        if bell:
            bell.heard()
        for exchange, answer in answered:
            self._submitter.gate.ends_sending()
            item, attempt = self._flying.pop(exchange)
            self._note(item, self._guarded(item, self._submitter.judge, attempt, answer), attempt.flight)

    def _board(self) -> list[_Seat]:
        """Jobs that may start now, each with a place and an open connection; the others go to helpers."""
        if self._submitter.stopping.is_set():
            while self._todo:
                self._todo.pop().done(After.KEPT)  # the last one first: each goes before those given back
        if not self._todo:
            return []
        new = self._crew.places.take(len(self._todo) - self._kept, self._bell)
        self._places += new
        places, self._kept = self._kept + new, 0
        connections = self._crew.vendor.warm(places) if self._submitter.alone.proven else []
        warmed = uptime()
        seats: list[_Seat] = []
        for _ in range(places):
            item = self._todo.popleft()
            if not connections:
                self._help(item, partial(self._submitter.run, item.job, item.carrier))
                continue
            ready = self._guarded(item, self._submitter.prepare, item.job, item.carrier)
            if isinstance(ready, Ready):
                seats.append(_Seat(item, ready, connections.pop(), warmed))
            else:
                self._note(item, ready)
        for connection in connections:
            self._crew.vendor.put_back(connection)
        return seats

    def _go_round(self, seats: Sequence[_Seat]) -> None:
        """Write down what was decided and claim what has a seat, in one round trip; then send."""
        decided, self._decided = self._decided, []
        asked = uptime()
        wanted = [(seat.ready.job, seat.ready.workflow, str(uuid.uuid4())) for seat in seats]
        try:
            # A Redis that is away must not keep us from hearing what was paid for meanwhile.
            verdicts, claims = self._submitter.journal.write(
                [each.found for each in decided], wanted, meanwhile=partial(self._hear, 0.0)
            )
        except StoreClosed:
            if decided:
                raise
            # Nothing was sent: the jobs go back, and what is in the air is heard, and written.
            for seat in seats:
                self._crew.vendor.put_back(seat.connection)
                self._note(seat.item, After.KEPT)
            return
        for each, verdict in zip(decided, verdicts, strict=True):
            after = self._guarded(each.item, self._tell, each.found, verdict)
            if each.flight is not None:
                self._submitter.flights.landed(each.flight)
            each.item.done(after)
        for seat, claim in zip(seats, claims, strict=True):
            self._depart(seat, claim, asked)

    def _tell(self, found: Ending | Later, verdict: str | Exception) -> After:
        return self._submitter.tell(found, checked(verdict))

    def _depart(self, seat: _Seat, claim: Claim | Exception, asked: float) -> None:
        item, ready = seat.item, seat.ready
        found = self._guarded(item, self._cleared, seat, claim, asked)
        if isinstance(found, Attempt):
            self._submitter.gate.begins_sending()
            exchange = self._crew.vendor.start(seat.connection, ready.body, found.claim.request_id)
            self._flying[exchange] = item, found
            return
        self._crew.vendor.put_back(seat.connection)
        if found is None:
            denied = claim if isinstance(claim, Claim) and not claim.granted else None
            self._help(item, partial(self._submitter.attempt, ready, denied))
        else:
            self._note(item, found)

    def _cleared(
        self, seat: _Seat, claim: Claim | Exception, asked: float
    ) -> Attempt | Ending | Later | After | None:
        """What a claim allows; None: claim again, by way of a helper."""
        claim = checked(claim)
        if not claim.granted:
            return self._submitter.obey(seat.ready, claim)
        if uptime() - seat.warmed > STALE_S and not seat.connection.usable:
            seat.connection.close()
            self._submitter.journal.withdraw(seat.ready.job, claim)
            return None
        return self._submitter.take_off(seat.ready, claim, asked)

    def _help(self, item: Item, way: Callable[[], After]) -> None:
        """Let a helper take this job, and its place, the slow way."""
        self._places -= 1
        ticket = threading.Lock()
        try:
            self._helped.append(self._crew.helpers.submit(self._helped_by, item, way, ticket))
        except RuntimeError:
            # A cold shutdown has sent them home; or there can be no more, and others may come to it or not.
            if ticket.acquire(blocking=False):
                self._places += 1
                self._note(item, After.KEPT)

    def _helped_by(self, item: Item, way: Callable[[], After], ticket: threading.Lock) -> None:
        if not ticket.acquire(blocking=False):
            return
        try:
            after = self._guarded(item, way)
        finally:
            self._crew.places.give_back()
        item.done(after)

    def _note(self, item: Item, found: Ending | Later | After, flight: int | None = None) -> None:
        """A job needs its place no longer. What is to be written down of it, the next round writes."""
        if self._kept < len(self._todo) and not self._crew.places.are_owed():
            self._kept += 1
        else:
            self._places -= 1
            self._crew.places.give_back()
        if isinstance(found, After):
            item.done(found)
        else:
            self._decided.append(_Decided(item, found, flight))

    def _guarded(self, item: Item, step: Callable[..., T], *args: Any) -> T | After:
        """A step of one job, of which a fault of ours must harm no other."""
        try:
            return step(*args)
        except StoreClosed:
            raise
        except Exception:
            return self._crew.crashed(item.job, item.carrier)

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
