"""Cancel all jobs of a batch or a workflow that were enqueued before, wherever they wait.

First a mark: a worker that claims a job which was enqueued before it, by the job's stamp, ends it. So at once
nothing is bought any more of what our producers have queued. Then each job is marked by itself, for neither
a stamp nor a mark says all: foreign messages have none, clocks differ, what waits for an ETA is stamped with
that, and who counts has to look anyway. In a batch its jobs are known; what is queued is read page by page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
_TRACES: Final = ("s", "e", "m", "t", "v")
"""Fields of a job's record that it has from its producer or a worker; worker/store/record.py."""

_CLOSED_MS: Final = "z"
"""The field that says when the job has ended."""

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
    be looked into. `unknown`: of so many that were named by their ids nothing is known, and no message of the
    queue is theirs; they are cancelled should they come within a week.
    """

    cancelled: int = 0
    in_flight: int = 0
    bought: int = 0
    unread: int = 0
    unknown: int = 0

    def __add__(self, other: Cancelled) -> Cancelled:
        return Cancelled(
            self.cancelled + other.cancelled,
            self.in_flight + other.in_flight,
            self.bought + other.bought,
            self.unread + other.unread,
            self.unknown + other.unknown,
        )


def cancel_jobs(client: Any, queue: str, job_ids: Iterable[str]) -> Cancelled:
    """Cancel these jobs, each as `tasks.cancel` does, and look for those of which nothing is known."""
    done, nowhere = Cancelled(), set[str]()
    ids = iter(dict.fromkeys(job_ids))
    while page := list(islice(ids, JOBS_A_CALL)):
        nowhere |= _without_a_trace(client, queue, page)
        found: Marked = promptly(partial(mark_in, client, queue, page, also_sending=False))
        done += Cancelled(found.marked, found.sending, found.bought)
    return done + _looked_for(client, queue, nowhere) if nowhere else done


def _looked_for(client: Any, queue: str, nowhere: set[str]) -> Cancelled:
    """What there is to correct of a count in which these jobs are cancelled: which of them are none."""
    missing, unread = set(nowhere), 0
    for found in queued(client, queue):
        unread += found is None
        missing -= {found.job_id} if found is not None else set()
        if not missing:
            return Cancelled()
    left, unknown = iter(sorted(missing)), 0
    while page := list(islice(left, JOBS_A_CALL)):
        unknown += len(_without_a_trace(client, queue, page))  # one that moved meanwhile was met by a worker
    return Cancelled(cancelled=-unknown, unread=unread, unknown=unknown)


def _without_a_trace(client: Any, queue: str, job_ids: Sequence[str]) -> set[str]:
    """Those that have no record, or only the mark of a cancellation, and do not wait to be due."""

    def traces() -> list[Any]:
        with client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(f"{queue}:job:{job_id}", _TRACES)
                pipe.zscore(f"{queue}:waiting", job_id)
            return list(pipe.execute())

    found = promptly(traces)
    return {
        job_id
        for job_id, record, due in zip(job_ids, found[::2], found[1::2], strict=True)
        if due is None and not any(record)
    }


def cancel_batch(client: Any, queue: str, batch: str) -> Cancelled:
    """Cancel the jobs that are in a batch now, by a client of the queue's Redis.

    Raises:
        redis.RedisError: it may have been done in part; to call again is safe.
    """
    since_ms = _mark(client, queue, f"batch {batch}")
    done = _marked(client, queue, _not_bought_in(client, queue, batch, since_ms), since_ms)
    # Those that the batch knows are marked before and after: workers may have ended some of them meanwhile.
    done += _marked_in_queue(client, queue, lambda found: found.batch == batch, since_ms, unknown_to=batch)
    # What a worker had in hand, and gave back to a list that was read before, is in the batch by now.
    done += _marked(client, queue, _not_bought_in(client, queue, batch), since_ms)
    return replace(done, bought=_bought_in(client, queue, batch))


def cancel_workflow(client: Any, queue: str, workflow: str) -> Cancelled:
    """Cancel the jobs of a workflow that are queued now; else as `cancel_batch`."""
    since_ms = _mark(client, queue, f"workflow {workflow}")
    return _marked_in_queue(client, queue, lambda found: found.workflow == workflow, since_ms)


def _mark(client: Any, queue: str, which: str) -> int:
    script = client.register_script(_MARK)
    args = [which, MARKS_MOST, MARKS_KEPT_S]
    return int(promptly(lambda: script(keys=[f"{queue}:cancels"], args=args)))


def _not_bought_in(client: Any, queue: str, batch: str, since_ms: int | None = None) -> Iterator[str]:
    """The ids of a batch's jobs that have not ended, and of those that ended cancelled since then."""
    cursor = 0
    while True:
        read = partial(client.hscan, f"{queue}:batch:{batch}", cursor, count=_PAGE)
        cursor, entries = promptly(read)
        letters = {
            job_id.decode(): entry[:1].decode()
            for job_id, entry in entries.items()
            if not job_id.startswith(b"\n")
        }
        yield from (job_id for job_id, letter in letters.items() if letter == WAITING)
        if since_ms is not None:
            cancelled = [job_id for job_id, letter in letters.items() if letter == LETTERS["cancelled"]]
            yield from promptly(partial(_ended_since, client, queue, cancelled, since_ms))
        if not cursor:
            return


def _ended_since(client: Any, queue: str, job_ids: list[str], since_ms: int) -> list[str]:
    """Those that workers have ended by the mark since then: who marks them one by one comes too late."""

    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        for job_id in job_ids:
            pipe.hget(f"{queue}:job:{job_id}", _CLOSED_MS)
        (second, _), *ends = pipe.execute()
    # A later end is an ETA: such a job ended by a mark of its own, and was counted when it got that.
    until_ms = 1000 * (second + 1)
    return [job_id for job_id, ms in zip(job_ids, ends, strict=True) if since_ms <= int(ms or 0) < until_ms]


def _bought_in(client: Any, queue: str, batch: str) -> int:
    """How many of a batch's jobs were bought, or may have been."""
    found = promptly(partial(scripts.read, client, queue, batch))
    counts = found[2].values() if found else ()
    return sum(of[LETTERS["submitted"]] + of[LETTERS["unknown"]] for of in counts)


def _marked_in_queue(
    client: Any, queue: str, wanted: Callable[[Queued], bool], since_ms: int, unknown_to: str | None = None
) -> Cancelled:
    """Mark the wanted jobs whose messages are met; not those that the batch `unknown_to` knows."""
    unread, unstamped = 0, False
    # Met again, one that a worker has ended meanwhile would be counted twice. Numbers: there may be millions.
    met = set[int]()

    def ids(places: Iterable[Queued | None]) -> Iterator[str]:
        nonlocal unread, unstamped
        for found in places:
            if found is None:
                unread += 1
            elif wanted(found):
                unstamped = unstamped or not found.stamped
                if (number := hash(found.job_id)) not in met:
                    met.add(number)
                    yield found.job_id

    done = _marked(client, queue, ids(queued(client, queue)), since_ms, unknown_to)
    seen = unread
    if unstamped:
        # One that moved meanwhile, and whose message does not say when it was sent.
        done += _marked(client, queue, ids(queued(client, queue)), since_ms, unknown_to)
    return done + Cancelled(unread=seen)


def _marked(
    client: Any, queue: str, job_ids: Iterator[str], since_ms: int, unknown_to: str | None = None
) -> Cancelled:
    done = Cancelled()
    while page := list(islice(job_ids, JOBS_A_CALL)):
        if unknown_to is not None:
            entries = promptly(partial(client.hmget, f"{queue}:batch:{unknown_to}", page))
            page = [job_id for job_id, entry in zip(page, entries, strict=True) if entry is None]
        mark = partial(mark_in, client, queue, page, also_sending=True, since_ms=since_ms)
        found: Marked = promptly(mark)
        done += Cancelled(found.marked, found.sending, found.bought)
    return done
