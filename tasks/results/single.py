"""One job's result, by its id."""

from __future__ import annotations

from ..reading import single
from ..result import Result
from .feed import RESULTS


def get(job_id: str) -> Result | None:
    """A job's result; None where it has not ended, or its result is kept no more.

    Of a job that ended more than once it is the last result: an `unknown` one may have been decided since,
    and one that ended without a purchase may have been submitted again. That one has none any more once a
    worker has begun with it.

    A result is found for as long as the job's record (`AIGC_JOURNAL_TTL_S`) and the stream
    (`AIGC_RESULTS_MAXLEN`) keep it, and by programs that use the job's own queue.

    Args:
        job_id: as `submit` returned it.

    Raises:
        InvalidPayload: no job can have that id.
        BrokerUnavailable: Redis did not answer, or refused.
        NewerResult: (`tasks.result`, a ValueError) only a later version of this program can read it.
    """
    return single.get(RESULTS, job_id)


def wait(job_id: str, *, timeout_s: float | None = None) -> Result:
    """Wait until a job has ended; its result. One that has ended already is found at once.

    Any result ends it, `unknown` too. Of a job that was submitted again under its id, it may be the earlier
    result until a worker has begun with it: give what is submitted again an id of its own to wait for it.

    However many threads of a process wait, they share one connection for what comes, and one for what there
    is already, that of `submit`. While Redis is away they go on waiting, and miss nothing.

    Args:
        job_id: as `submit` returned it.
        timeout_s: how long to wait, in seconds; 0 only looks; None for ever.

    Raises:
        TimeoutError: it has not ended by then. It goes on all the same.
        BrokerUnavailable: Redis is away at the beginning, or refuses; later on only what waiting cannot mend.
        InvalidPayload: no job can have that id.
        ValueError: no such time.
    """
    return single.wait(RESULTS, job_id, timeout_s)


async def wait_async(job_id: str, *, timeout_s: float | None = None) -> Result:
    """`wait` for asyncio, with its arguments and errors; takes no thread.

    However many coroutines of an event loop wait, they share one connection for what comes, and one for what
    there is already, that of `submit_async`. To cancel one ends its waiting, and nothing else.
    """
    return await single.wait_async(RESULTS, job_id, timeout_s)
