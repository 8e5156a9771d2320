"""Cancel all jobs of a batch or a workflow that were enqueued before, wherever they wait.

First a mark: a worker that claims a job which was enqueued before it, by the job's stamp, ends it. So at once
nothing is bought any more of what our producers have queued. Then each job is marked by itself, for neither
a stamp nor a mark says all: foreign messages have none, clocks differ, what waits for an ETA is stamped with
that, and who counts has to look anyway. In a batch its jobs are known; what is queued is read page by page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

from .batch_store import scripts
from .batch_store.moves import LETTERS, WAITING
from .cancellation import JOBS_A_CALL, Marked, mark_in
from .clients import promptly
from .queued import Queued, queued

T = TypeVar("T")

MARKS_MOST: Final = 1000
MARKS_KEPT_S: Final = 400 * 86_400
"""For how long a mark is kept, in seconds: longer than the furthest ETA."""

_PAGE: Final = 1000

_MARK: Final = """
-- KEYS: the marks. ARGV: which, most marks, seconds to keep them.
-- Returns ms now.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', now))
redis.call('EXPIRE', KEYS[1], ARGV[3])
local all, oldest = redis.call('HGETALL', KEYS[1]), nil
for n = 1, #all, 2 do
  if now - all[n + 1] > 1000 * ARGV[3] then redis.call('HDEL', KEYS[1], all[n]) end
  if not oldest or tonumber(all[n + 1]) < tonumber(all[oldest + 1]) then oldest = n end
end
if #all / 2 > tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], all[oldest]) end
return now
"""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a batch's or a workflow's jobs when it was cancelled, as far as they have not ended.

    `cancelled`: no attempt is made of so many any more. `in_flight`: so many are being sent; their attempt
    counts, and is not repeated. `bought`: so many of the batch were sent before, or may have been; of a
    workflow only those are counted whose message was met. `unread`: so many messages in the queue could not
    be looked into.
    """

    cancelled: int = 0
    in_flight: int = 0
    bought: int = 0
    unread: int = 0

    def __add__(self, other: Cancelled) -> Cancelled:
        return Cancelled(
            self.cancelled + other.cancelled,
            self.in_flight + other.in_flight,
            self.bought + other.bought,
            self.unread + other.unread,
        )


def cancel_jobs(client: Any, queue: str, job_ids: Iterable[str]) -> Cancelled:
    """Cancel these jobs, each as `tasks.cancel` does."""
    done = Cancelled()
    ids = iter(dict.fromkeys(job_ids))
    while page := list(islice(ids, JOBS_A_CALL)):
        found: Marked = promptly(partial(mark_in, client, queue, page, also_sending=False))
        done += Cancelled(found.marked, found.sending, found.bought)
    return done


def cancel_batch(client: Any, queue: str, batch: str) -> Cancelled:
    """Cancel the jobs that are in a batch now, by a client of the queue's Redis.

    Raises:
        redis.RedisError: it may have been done in part; to call again is safe.
    """
    key = f"{queue}:batch:{batch}"
    since_ms = _mark(client, queue, f"batch {batch}")
    done = _marked_in_queue(client, queue, lambda found: found.batch == batch, since_ms)
    # In this order: what a worker had in hand, and gave back to a list that was read before, is in it now.
    done += _marked(client, queue, _waiting_in(client, key), since_ms)
    return replace(done, bought=_bought_in(client, queue, batch))


def cancel_workflow(client: Any, queue: str, workflow: str) -> Cancelled:
    """Cancel the jobs of a workflow that are queued now; else as `cancel_batch`."""
    since_ms = _mark(client, queue, f"workflow {workflow}")
    return _marked_in_queue(client, queue, lambda found: found.workflow == workflow, since_ms)


def _mark(client: Any, queue: str, which: str) -> int:
    script = client.register_script(_MARK)
    args = [which, MARKS_MOST, MARKS_KEPT_S]
    return int(promptly(lambda: script(keys=[f"{queue}:cancels"], args=args)))


def _waiting_in(client: Any, key: str) -> Iterator[str]:
    """The ids of a batch's jobs that have not ended."""
    cursor, waiting = 0, WAITING.encode()
    while True:
        cursor, entries = promptly(partial(client.hscan, key, cursor, count=_PAGE))
        for job_id, entry in entries.items():
            if entry.startswith(waiting) and not job_id.startswith(b"\n"):
                yield job_id.decode()
        if not cursor:
            return


def _bought_in(client: Any, queue: str, batch: str) -> int:
    """How many of a batch's jobs were bought, or may have been."""
    found = promptly(partial(scripts.read, client, queue, batch))
    counts = found[2].values() if found else ()
    return sum(of[LETTERS["submitted"]] + of[LETTERS["unknown"]] for of in counts)


def _marked_in_queue(client: Any, queue: str, wanted: Callable[[Queued], bool], since_ms: int) -> Cancelled:
    unread, unstamped = 0, False

    def ids(places: Iterable[Queued | None]) -> Iterator[str]:
        nonlocal unread, unstamped
        for found in places:
            if found is None:
                unread += 1
            elif wanted(found):
                unstamped = unstamped or not found.stamped
                yield found.job_id

    done = _marked(client, queue, ids(queued(client, queue)), since_ms)
    seen = unread
    if unstamped:
        # One that moved meanwhile, and whose message does not say when it was sent.
        done += _marked(client, queue, ids(queued(client, queue)), since_ms)
    return done + Cancelled(unread=seen)


def _marked(client: Any, queue: str, job_ids: Iterator[str], since_ms: int) -> Cancelled:
    done = Cancelled()
    while page := list(islice(job_ids, JOBS_A_CALL)):
        mark = partial(mark_in, client, queue, page, also_sending=True, since_ms=since_ms)
        found: Marked = promptly(mark)
        done += Cancelled(found.marked, found.sending, found.bought)
    return done
