"""Put jobs into the queue: one, many, or as part of a Celery canvas."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_args

from . import broker
from .checks import check_job_id, check_metadata, clip
from .clients import promptly, reported
from .contract import BATCH_JOBS, ENQUEUED_AT_HEADER, TASK_NAME, Priority, queue_for
from .eager import refuse_eager
from .envelope import ARGSREPR, KWARGSREPR, Job, encode, encode_batch
from .exceptions import InvalidPayload
from .lazy import WarnsUnasked
from .options import check_dedupe, check_options, one_id
from .payload import Listed, Workflow, doubts, parse, to_wire

if TYPE_CHECKING:
    from celery.canvas import Signature

log = logging.getLogger("tasks")

Payload = Listed | Workflow | dict[str, Any]
"""A model, or a dict in the vendor's JSON shape."""

_MESSAGES_A_PUSH: Final = 20
_UNASKED: Final = (
    "submit_many() queued nothing, for nobody asked it for an id: iterate over what it returns,"
    " or ids = list(submit_many(…))"
)
_OF_SUBMIT: Final = ("payload", "job_id", "metadata", "unlisted", "priority", "dedupe_key", "dedupe_ttl_s")

_PUSH_ONCE: Final = """
local first = redis.call('GET', KEYS[1])
if first then return first end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
-- Nothing is rolled back: a key that stood for a job which was refused would keep it from ever being queued.
local pushed = redis.pcall('LPUSH', KEYS[2], ARGV[3])
if type(pushed) == 'table' then redis.call('DEL', KEYS[1]) return pushed end
return ARGV[1]
"""


@dataclass(frozen=True, slots=True)
class Submission:
    """An item for `submit_many` that needs more than a payload; the fields are those of `submit`."""

    payload: Payload
    job_id: str | None = None
    metadata: dict[str, Any] | None = None
    unlisted: bool | None = None
    dedupe_key: str | None = None
    dedupe_ttl_s: float = 86400


def submit(
    payload: Payload,
    *,
    job_id: str | None = None,
    metadata: dict[str, Any] | None = None,
    unlisted: bool | None = None,
    priority: Priority | int = "normal",
    dedupe_key: str | None = None,
    dedupe_ttl_s: float = 86400,
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
            job's id. Does not go with Celery options or a numeric priority.
        dedupe_ttl_s: how long the key holds, in seconds.
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
    refuse_eager()
    if celery_options:
        check_options("submit", celery_options, _OF_SUBMIT)
        job_id = one_id(job_id, celery_options.pop("task_id", None))
    if dedupe_key is not None:
        check_dedupe(dedupe_key, dedupe_ttl_s)
    job = _job(Submission(payload, job_id, metadata, unlisted))
    if celery_options or isinstance(priority, int):
        if dedupe_key is not None:
            raise TypeError("dedupe_key does not go with Celery options or a numeric priority")
        return _send(job, priority, celery_options)
    queue = _queue(priority)
    message = encode(job, queue)
    if dedupe_key is not None:
        return _push_once(job.id, message, queue, dedupe_key, dedupe_ttl_s)
    _push(queue, message)
    return job.id


def submit_many(
    payloads: Iterable[Payload | Submission], *, batch: int = BATCH_JOBS, priority: Priority = "normal"
) -> Iterator[str]:
    """Queue jobs while the iterator is consumed, up to 20 messages of `batch` jobs at a time.

    Yields each job's id, in order, once the job is in the queue. Nothing happens before the first
    `next()`: to queue all of a list, `ids = list(submit_many(jobs))`. An iterator that nobody asked for a
    single id says so in a RuntimeWarning. What was read from `payloads` but not yet yielded is not queued.

    Args:
        payloads: what the vendor is to do, each alone or as a `Submission`; read as they are needed.
        batch, priority: jobs in one message, at least 1; "high", "normal" or "low", of all of them.

    Raises:
        ValueError: no such priority, a batch below 1, or (SettingsError) as for `submit`.
        TypeError: `payloads` is a single payload.

    Raises, at a `next()`:
        InvalidPayload: the first bad one, by its index; those before it are queued, none after it was read.
        BrokerUnavailable: the jobs not yet yielded may have been queued. Give each a job id of your own
            (`Submission`) where you want to submit them again.
    """
    refuse_eager()
    if batch < 1:
        raise ValueError("batch must be at least 1")
    if isinstance(payloads, Listed | Workflow | Submission | dict):
        raise TypeError("submit_many() takes an iterable of payloads; for a single one there is submit()")
    return WarnsUnasked(_queue_many(payloads, batch, _queue(priority)), _UNASKED)


def _queue_many(
    payloads: Iterable[Payload | Submission], batch: int, queue: str
) -> Generator[str, None, None]:
    jobs: list[Job] = []
    messages: list[bytes] = []
    ids: list[str] = []

    def push() -> list[str]:
        pushed = ids[:]
        if jobs:
            messages.append(encode_batch(jobs, queue, _new_id()))
        if messages:
            _push(queue, *messages)
        for each in (jobs, messages, ids):
            each.clear()
        return pushed

    for index, item in enumerate(payloads):
        try:
            job = _job(item if isinstance(item, Submission) else Submission(item))
        except InvalidPayload as error:
            yield from push()
            raise InvalidPayload((f"[{index}].{path}", message) for path, message in error.errors) from None
        jobs.append(job)
        ids.append(job.id)
        if len(jobs) == batch:
            # Encoded at once: a thousand jobs as objects are more than fits into a processor's cache.
            messages.append(encode_batch(jobs, queue, _new_id()))
            jobs.clear()
            if len(messages) == _MESSAGES_A_PUSH:
                yield from push()
    yield from push()


def signature(
    payload: Payload,
    *,
    metadata: dict[str, Any] | None = None,
    unlisted: bool | None = None,
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

    Raises:
        InvalidPayload: naming each wrong field.
        SettingsError: a ValueError; as for `submit`.
        TypeError: no such option.
    """
    refuse_eager()
    check_options("signature", options, ("payload", "metadata", "unlisted"))
    job = _job(Submission(payload, metadata=metadata, unlisted=unlisted))
    options = {"queue": broker.settings().queue, "argsrepr": ARGSREPR, "kwargsrepr": KWARGSREPR, **options}
    return broker.celery_app().signature(
        TASK_NAME, args=(job.payload,), kwargs=_arguments(job), immutable=True, options=options
    )


def _job(item: Submission) -> Job:
    unlisted = isinstance(item.payload, Workflow) if item.unlisted is None else item.unlisted
    if not isinstance(unlisted, bool):
        raise InvalidPayload([("unlisted", f"must be true or false, got {clip(unlisted)}")])
    payload = parse(to_wire(item.payload), unlisted=unlisted)
    for doubt in doubts(payload):
        _warn_once(doubt)
    if item.metadata is not None:
        check_metadata(item.metadata)
    if item.job_id is not None:
        check_job_id(item.job_id)
    return Job(item.job_id or _new_id(), payload, item.metadata or {}, unlisted, time.time_ns() // 1_000_000)


@cache
def _warn_once(doubt: str) -> None:
    """In words that name no job: a catalogue has the same fault in thousands of rows."""
    log.warning("%s", doubt)


def _new_id() -> str:
    """A random UUID as `uuid.uuid4` makes them, at a third of its cost."""
    raw = os.urandom(16)
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[raw[8] & 3]}{text[17:20]}-{text[20:]}"


def _arguments(job: Job) -> dict[str, Any]:
    arguments: dict[str, Any] = {"metadata": job.metadata} if job.metadata else {}
    return {**arguments, "unlisted": True} if job.unlisted else arguments


def _queue(priority: Priority) -> str:
    if priority not in get_args(Priority):
        raise ValueError(f"priority must be one of {', '.join(get_args(Priority))}")
    return queue_for(broker.settings().queue, priority)


def _push(queue: str, *messages: bytes) -> None:
    # After a lost reply it is pushed again, so a message may be in the queue twice: by its id each job is one
    # purchase all the same.
    with reported(queue):
        promptly(lambda: broker.redis_client().lpush(queue, *messages))


def _push_once(job_id: str, message: bytes, queue: str, key: str, ttl_s: float) -> str:
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    script = broker.redis_client().register_script(_PUSH_ONCE)
    keys = [f"{broker.settings().queue}:dedupe:{digest}", queue]
    args: list[str | int | bytes] = [job_id, max(1, round(ttl_s * 1000)), message]
    with reported(queue):
        first: bytes = promptly(lambda: script(keys=keys, args=args))
    return first.decode()


def _send(job: Job, priority: Priority | int, options: dict[str, Any]) -> str:
    if isinstance(priority, int):
        options["priority"] = priority
    else:
        options.setdefault("queue", _queue(priority))
    options["headers"] = {ENQUEUED_AT_HEADER: job.enqueued_ms, **(options.get("headers") or {})}
    with reported(str(options.get("queue", ""))):
        broker.celery_app().send_task(
            TASK_NAME,
            args=[job.payload],
            kwargs=_arguments(job),
            task_id=job.id,
            argsrepr=ARGSREPR,
            kwargsrepr=KWARGSREPR,
            **options,
        )
    return job.id
