"""Batches: jobs that belong together, by a name that their producer gives them.

A batch begins with the first job that is queued in it: `submit(…, batch="spring-2027")`. Whoever has added
all its jobs closes it; once all of them have ended it has finished, and an event says so, on the stream
`<queue>:batches`. To add jobs to a closed batch opens it again. It is forgotten five weeks after its last
change.
"""

from __future__ import annotations

import math
import time
from typing import Final

from .. import backend
from ..cancel_many import Cancelled
from ..checks import check_batch, clip, time_to_wait
from ..exceptions import InvalidPayload
from ..prices import Prices
from .progress import BatchEvent, NewerBatchEvent, NoSuchBatch, Progress, progress_of, stored

__all__ = [
    "BatchEvent",
    "Cancelled",
    "NewerBatchEvent",
    "NoSuchBatch",
    "Progress",
    "cancel",
    "close",
    "names",
    "progress",
    "wait",
]

_LOOK_S: Final = 3.0
"""How long a wait for events blocks at most: below the client's own timeout."""

_JOBS_MOST: Final = 1_000_000_000


def progress(batch: str) -> Progress:
    """How far a batch is, in one call to Redis, however many jobs it has.

    Raises:
        NoSuchBatch: a LookupError; no job was queued in it.
        InvalidPayload: no batch can be called so.
        BrokerUnavailable: Redis did not answer, or refused.
        SettingsError: a ValueError; a variable of the broker's, or a price, cannot be right.
    """
    check_batch(batch)
    prices = Prices.from_environ()
    found = backend.current().batches.read(batch)
    if found is None:
        raise NoSuchBatch(f"no job was queued in a batch {batch}, or it is forgotten")
    now_ms, values, counts = found
    return progress_of(batch, now_ms, stored(values), counts, prices)


def close(batch: str, *, total: int | None = None) -> Progress:
    """Say that all jobs of a batch were added: it finishes once they have ended. May be called again.

    Args:
        total: how many jobs it has, where its producers are no program of ours: such jobs count only once a
            worker has taken them, and before so many do the batch does not finish.

    Raises:
        NoSuchBatch: and no total was given.
        InvalidPayload: no batch can be called so, or no batch can have so many jobs.
        Else as `progress`.
    """
    check_batch(batch)
    if total is not None and not (type(total) is int and 0 <= total <= _JOBS_MOST):
        raise InvalidPayload([("total", f"must be a whole number from 0 to {_JOBS_MOST}, got {clip(total)}")])
    if not backend.current().batches.close(batch, total):
        raise NoSuchBatch(f"no job was queued in a batch {batch}, or it is forgotten")
    return progress(batch)


def cancel(batch: str) -> Cancelled:
    """Have no attempt made any more of the jobs that are in a batch now; they end `cancelled`.

    What was sent already is not cancelled, nor what is being sent; the latter is not tried again. Jobs that
    are added later are not concerned. The results come as workers meet the jobs. May be called again.

    Raises: as `progress`, without NoSuchBatch.
    """
    check_batch(batch)
    return backend.current().batches.cancel(batch)


def names(most: int = 1000) -> list[str]:
    """The names of the batches that are known, the one that changed last first, give or take an hour.

    Raises:
        BrokerUnavailable, SettingsError: as `progress`.
    """
    return backend.current().batches.names(most)


def wait(batch: str, timeout_s: float) -> Progress:
    """Wait until a batch has finished, over a connection of its own. It need not be there yet.

    Args:
        timeout_s: how long to wait, at most.

    Raises:
        TimeoutError: it has not.
        Else as `progress`, without NoSuchBatch.
    """
    check_batch(batch)
    seconds = time_to_wait(timeout_s)
    until = math.inf if seconds is None else time.monotonic() + seconds
    batches = backend.current().batches
    last = batches.newest_event()
    while True:
        found = _finished(batch)
        left_s = until - time.monotonic()
        if found is not None:
            return found
        if left_s <= 0:
            raise TimeoutError(f"batch {batch} has not finished within {timeout_s:g} s")
        last = batches.next_event(last, batch, min(left_s, _LOOK_S))


def _finished(batch: str) -> Progress | None:
    try:
        found = progress(batch)
    except NoSuchBatch:
        return None
    return found if found.finished else None
