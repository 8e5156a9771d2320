"""What a batch is made of: its jobs, and how far each has come."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from tasks.envelope import InvalidJob, Job
from worker.processing.places import Places
from worker.processing.submit import Submitter
from worker.processing.values import Disposition, Ready
from worker.store.values import Delivery, Reschedule, Settlement
from worker.vendor import Connection, Vendor


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
    crashed: Callable[[Job | InvalidJob, Delivery], Disposition]


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A job of a batch.

    ``done`` is told what became of it, once, as soon as nothing more is to be done for it now; by whatever
    thread that finds out.
    """

    job: Job | InvalidJob
    delivery: Delivery
    done: Callable[[Disposition], None]


@dataclass(frozen=True, slots=True)
class Seat:
    """A job that may be sent once its claim is granted; asked for at this uptime, under this request id."""

    item: Item
    ready: Ready
    connection: Connection
    warmed: float
    request_id: str
    asked: float


@dataclass(frozen=True, slots=True)
class Decided:
    """What is to be written down, since this uptime; ``slot`` (of the in-flight log) where an attempt led
    to it."""

    item: Item
    found: Settlement | Reschedule
    slot: int | None
    asked: float
