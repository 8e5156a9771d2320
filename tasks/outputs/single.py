"""One task's output, by the task's id."""

from __future__ import annotations

from ..output import Output
from ..reading import single
from .feed import OUTPUTS


def get(task_id: str) -> Output | None:
    """A task's output; None where it has not ended, is not followed, or its record is kept no more.

    It is found for as long as the task's record is kept, which is as long as a job's (`AIGC_JOURNAL_TTL_S`),
    and by programs that use the queue of the worker that followed it.

    Args:
        task_id: the vendor's, as a job's result has it.

    Raises:
        InvalidPayload: no task can have that id.
        BrokerUnavailable: Redis did not answer, or refused.
        NewerOutput: (`tasks.output`, a ValueError) only a later version of this program can read it.
    """
    return single.get(OUTPUTS, task_id)


def wait(task_id: str, *, timeout_s: float | None = None) -> Output:
    """Wait until a task has ended; its output. One that has ended already is found at once.

    Any output ends it, `failed` and `lost` too. A task that nobody follows never ends.

    However many threads of a process wait, they share one connection for what comes, and one for what there
    is already, that of `submit`. While Redis is away they go on waiting, and miss nothing.

    Args:
        task_id: the vendor's, as a job's result has it.
        timeout_s: how long to wait, in seconds; 0 only looks; None for ever.

    Raises:
        TimeoutError: it has not ended by then. It goes on all the same.
        BrokerUnavailable: Redis is away at the beginning, or refuses; later on only what waiting cannot mend.
        InvalidPayload: no task can have that id.
        NewerOutput: (`tasks.output`, a ValueError) only a later version of this program can read it.
        ValueError: no such time.
    """
    return single.wait(OUTPUTS, task_id, timeout_s)


async def wait_async(task_id: str, *, timeout_s: float | None = None) -> Output:
    """`wait` for asyncio, with its arguments and errors; takes no thread.

    However many coroutines of an event loop wait, they share one connection for what comes, and one for what
    there is already, that of `submit_async`. To cancel one ends its waiting, and nothing else.
    """
    return await single.wait_async(OUTPUTS, task_id, timeout_s)
