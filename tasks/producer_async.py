"""Put jobs into the queue from asyncio: without a thread, over one connection for each event loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import backend
from .contract import JOBS_PER_MESSAGE, Priority
from .options import check_options
from .producer import OF_SUBMIT, check_many, list_for
from .push import Push, pushes
from .submission import DEDUPE_TTL_S, Payload, Submission


async def submit_async(
    payload: Payload,
    *,
    job_id: str | None = None,
    metadata: dict[str, Any] | None = None,
    unlisted: bool | None = None,
    priority: Priority = "normal",
    dedupe_key: str | None = None,
    dedupe_ttl_s: float = DEDUPE_TTL_S,
    batch: str | None = None,
    **celery_options: Any,
) -> str:
    """`submit` for asyncio, with its arguments; Celery's options and numeric priorities are not among them.

    A call that is cancelled has queued the job or not; to submit it again under the same `job_id`, or the
    same `dedupe_key`, is safe. The calls of an event loop go over one connection, one after another.

    Raises:
        InvalidPayload: nothing was queued.
        BrokerUnavailable: the job may have been queued; to submit it again under its id is safe.
        SettingsError: as for `submit`. Nothing was queued.
        ValueError: no such priority. Nothing was queued.
        TypeError: no such option, or one of Celery's. Nothing was queued.
    """
    backend.current().check_may_queue()
    if celery_options:
        check_options("submit_async", celery_options, OF_SUBMIT)
        raise TypeError(
            f"submit_async() takes no options of Celery's, got {', '.join(celery_options)}: submit()"
        )
    push = Push(list_for(priority))
    push.add(Submission(payload, job_id, metadata, unlisted, dedupe_key, dedupe_ttl_s, batch))
    (first,) = await backend.current().push_async(push)
    return first


async def submit_many_async(
    payloads: Iterable[Payload | Submission],
    *,
    batch: str | None = None,
    jobs_per_message: int = JOBS_PER_MESSAGE,
    priority: Priority = "normal",
) -> list[str]:
    """Queue many jobs from asyncio; their ids, in order, once all of them are in the queue.

    Unlike `submit_many` it reads and checks all of `payloads` before it queues the first one, so with an
    InvalidPayload nothing is queued. A call that is cancelled has queued the first so many, or none.

    Args:
        payloads, batch, jobs_per_message, priority: as for `submit_many`.

    Raises:
        InvalidPayload: the first bad one, by its index. Nothing was queued.
        BrokerUnavailable: some of the jobs may have been queued. Give each a job id of your own, or a dedupe
            key, (`Submission`) where you want to submit them again.
        TypeError, ValueError: as for `submit_many`.
    """
    check_many("submit_many_async", payloads, batch, jobs_per_message)
    ids: list[str] = []
    for push in list(pushes(payloads, list_for(priority), jobs_per_message, batch)):
        ids += await backend.current().push_async(push)
    return ids
