"""Put jobs into the queue: one, many, or as part of a Celery canvas."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, get_args

from . import backend, broker
from .checks import check_batch
from .clients import reported
from .contract import ENQUEUED_AT_HEADER, JOBS_PER_MESSAGE, TASK_NAME, Priority, queue_for
from .envelope import ARGSREPR, KWARGSREPR
from .lazy import WarnsUnasked
from .options import check_eta, check_options, one_id
from .payload import Listed, Workflow
from .push import Push, pushes
from .submission import DEDUPE_TTL_S, Payload, Submission, arguments_of, checked_job
from .trace_context import headers_of

if TYPE_CHECKING:
    from celery.canvas import Signature

_UNASKED: Final = (
    "submit_many() queued nothing, for nobody asked it for an id: iterate over what it returns,"
    " or ids = list(submit_many(…))"
)
_OF_SIGNATURE: Final = ("payload", "metadata", "unlisted", "batch")
OF_SUBMIT: Final = (
    *("payload", "job_id", "metadata", "unlisted", "priority", "dedupe_key", "dedupe_ttl_s", "batch"),
)
"""The arguments of `submit` and `submit_async` that are ours, not Celery's."""


def submit(
    payload: Payload,
    *,
    job_id: str | None = None,
    metadata: dict[str, Any] | None = None,
    unlisted: bool | None = None,
    priority: Priority | int = "normal",
    dedupe_key: str | None = None,
    dedupe_ttl_s: float = DEDUPE_TTL_S,
    batch: str | None = None,
    **celery_options: Any,
) -> str:
    """Queue one job and return its id.

    Args:
        payload: what the vendor is to do.
        job_id: the job's id, a random UUID if not given. Queued twice, it is still paid for once.
        metadata: a JSON object of at most 4096 bytes, echoed in the result, never sent to the vendor.
        unlisted: send a workflow that is not known here, its algoInput unchecked. A `Workflow` is.
        priority: "high", "normal" or "low"; a number is Celery's own priority.
        dedupe_key: for `dedupe_ttl_s` seconds, the same key queues nothing more and gives the first
            job's id. It is free again once that job ended without a purchase: rejected, exhausted or
            cancelled. Does not go with Celery options or a numeric priority.
        dedupe_ttl_s: how long the key holds, in seconds.
        batch: the name of the batch that the job belongs to, of 1 to 100 printable characters without
            blanks: `tasks.batches`. One that was closed is open again.
        celery_options: those of Celery's `apply_async`, such as countdown, expires, headers, connection,
            `link` (gets the result's fields) and `link_error` (gets the job's id); docs/reliability.md.

    Raises:
        InvalidPayload: nothing was queued.
        BrokerUnavailable: the job may have been queued; to submit it again under its id is safe.
        SettingsError: a ValueError; a variable of the broker's cannot be right, or a Celery app of this
            process has `task_always_eager`. Nothing was queued.
        ValueError: no such priority, or a callback that would go to the jobs' queue. Nothing was queued.
        TypeError: no such option, the arguments do not go together, or an errback must take one. Likewise.
    """
    backend.current().check_may_queue()
    if celery_options:
        check_options("submit", celery_options, OF_SUBMIT)
        check_eta(celery_options)
        job_id = one_id(job_id, celery_options.pop("task_id", None))
    item = Submission(payload, job_id, metadata, unlisted, dedupe_key, dedupe_ttl_s, batch)
    if celery_options or isinstance(priority, int):
        return _send_by_celery(item, priority, celery_options)
    push = Push(list_for(priority))
    push.add(item)
    (first,) = backend.current().push(push)
    return first


def submit_many(
    payloads: Iterable[Payload | Submission],
    *,
    batch: str | None = None,
    jobs_per_message: int = JOBS_PER_MESSAGE,
    priority: Priority = "normal",
) -> Iterator[str]:
    """Queue jobs while the iterator is consumed, up to 20 messages of `jobs_per_message` at a time.

    Yields each job's id, in order, once the job is in the queue. Nothing happens before the first
    `next()`: to queue all of a list, `ids = list(submit_many(jobs))`. An iterator that nobody asked for a
    single id says so in a RuntimeWarning. What was read from `payloads` but not yet yielded is not queued.

    Args:
        payloads: what the vendor is to do, each alone or as a `Submission`; read as they are needed.
        batch: the name of the batch of all jobs that bring none, as for `submit`.
        jobs_per_message: at least 1. What has a dedupe key travels alone.
        priority: "high", "normal" or "low", of all of them.

    Raises:
        InvalidPayload: the batch's name.
        ValueError: no such priority, fewer than 1 job a message, or (SettingsError) as for `submit`.
        TypeError: `payloads` is a single payload, or `batch` a number, which is `jobs_per_message` now.

    Raises, at a `next()`:
        InvalidPayload: the first bad one, by its index; those before it are queued, none after it was read.
        BrokerUnavailable: the jobs not yet yielded may have been queued. Give each a job id of your own
            (`Submission`) where you want to submit them again.
    """
    check_many("submit_many", payloads, batch, jobs_per_message)
    return WarnsUnasked(_queue_many(payloads, list_for(priority), jobs_per_message, batch), _UNASKED)


def check_many(function: str, payloads: object, batch: object, jobs_per_message: int) -> None:
    """The arguments of `submit_many`, or of another function that has them; raises what it does."""
    backend.current().check_may_queue()
    if isinstance(batch, int):
        raise TypeError("batch is the name of a batch; how many jobs go into a message is jobs_per_message")
    if batch is not None:
        check_batch(batch)
    if jobs_per_message < 1:
        raise ValueError("jobs_per_message must be at least 1")
    if isinstance(payloads, Listed | Workflow | Submission | dict):
        single = function.replace("_many", "")
        raise TypeError(f"{function}() takes an iterable of payloads; for a single one there is {single}()")


def _queue_many(
    payloads: Iterable[Payload | Submission], queue: str, jobs_per_message: int, batch: str | None
) -> Generator[str, None, None]:
    for each in pushes(payloads, queue, jobs_per_message, batch):
        yield from backend.current().push(each)


def signature(
    payload: Payload,
    *,
    metadata: dict[str, Any] | None = None,
    unlisted: bool | None = None,
    batch: str | None = None,
    **options: Any,
) -> Signature:
    """A Celery signature of one job, for groups and chains; `options` are those of `apply_async`.

    It is immutable: what an earlier task of a chain returns is not added to the arguments. The task after
    it gets the fields of its result, if it is submitted. It has no Celery result to wait for, so no chord
    can be made of it.

    Args:
        payload: what the vendor is to do.
        metadata: a JSON object of at most 4096 bytes, echoed in the result, never sent to the vendor.
        unlisted: send a workflow that is not known here, its algoInput unchecked. A `Workflow` is.
        batch: the name of its batch, as for `submit`; it counts there once it is sent.

    Raises:
        InvalidPayload: naming each wrong field.
        SettingsError: a ValueError; as for `submit`.
        TypeError: no such option.
    """
    backend.current().check_may_queue()
    check_options("signature", options, _OF_SIGNATURE)
    check_eta(options)
    job = checked_job(Submission(payload, metadata=metadata, unlisted=unlisted, batch=batch))
    options = {"queue": broker.settings().queue, "argsrepr": ARGSREPR, "kwargsrepr": KWARGSREPR, **options}
    if job.trace is not None:
        options["headers"] = {**headers_of(job.trace), **(options.get("headers") or {})}
    app = backend.current().celery_app()
    return app.signature(
        TASK_NAME, args=(job.payload,), kwargs=arguments_of(job), immutable=True, options=options
    )


def list_for(priority: Priority) -> str:
    """The list of a priority. Raises ValueError where there is none."""
    if priority not in get_args(Priority):
        raise ValueError(f"priority must be one of {', '.join(get_args(Priority))}")
    return queue_for(broker.settings().queue, priority)


def _send_by_celery(item: Submission, priority: Priority | int, options: dict[str, Any]) -> str:
    job = checked_job(item)
    if item.dedupe_key is not None:
        raise TypeError("dedupe_key does not go with Celery options or a numeric priority")
    if isinstance(priority, int):
        options["priority"] = priority
    else:
        options.setdefault("queue", list_for(priority))
    own = {ENQUEUED_AT_HEADER: job.enqueued_ms, **headers_of(job.trace)}
    options["headers"] = {**own, **(options.get("headers") or {})}
    with reported(str(options.get("queue", ""))):
        backend.current().celery_app().send_task(
            TASK_NAME,
            args=[job.payload],
            kwargs=arguments_of(job),
            task_id=job.id,
            argsrepr=ARGSREPR,
            kwargsrepr=KWARGSREPR,
            **options,
        )
    return job.id
