"""A job as a Celery message on a Redis list: written without Celery, read without trust. Pure.

The messages are those that Celery itself would send (task protocol 2, JSON body in base64), with
the fewest headers that its workers need. Any producer may write them, so reading takes nothing for
granted: what is not a job becomes a `InvalidJob` that says why, and the rest of its batch goes on.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final

from .arguments import KNOWN, newer_arguments
from .checks import check_batch, check_job_id, check_metadata, clip
from .contract import (
    BATCH_TASK_NAME,
    ENQUEUED_AT_HEADER,
    REFUSAL_HEADER,
    TASK_NAME,
)
from .exceptions import InvalidPayload
from .frozen import value
from .json_text import dumps
from .trace_context import TraceContext, found_in, headers_of
from .typed_json import plain

ARGSREPR: Final = "<payload>"
"""What logs and Flower show instead of the arguments: prompts stay out of them."""
KWARGSREPR: Final = "{}"
ORIGIN: Final = "aigc"


@value(frozen=True, slots=True)
class Job:
    """One payload on its way. `enqueued_ms` is in milliseconds since the epoch, None where not known.

    `newer` are arguments that this version does not know: the job is for a worker that does. `batch` is the
    name of the batch that it belongs to, `trace` the trace context of whoever enqueued it.
    """

    id: str
    payload: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    unlisted: bool = False
    enqueued_ms: int | None = None
    newer: dict[str, Any] = field(default_factory=dict)
    batch: str | None = None
    trace: TraceContext | None = None


@value(frozen=True, slots=True)
class InvalidJob:
    """What cannot be a job, and why. Payload and metadata are what could be made out, else `{}`.

    `enqueued_ms`, `batch` and `trace` are as in `Job`.
    """

    id: str
    reason: str
    payload: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    enqueued_ms: int | None = None
    batch: str | None = None
    trace: TraceContext | None = None


def encode(job: Job, queue: str) -> bytes:
    """The message of one job, ready to be LPUSHed to `queue`. Raises nothing for a validated payload."""
    body = dumps([[job.payload], _options(job), {}])
    return _message(TASK_NAME, job.id, body, queue, job.enqueued_ms, job.trace)


def encode_batch(jobs: Sequence[Job], queue: str, batch_id: str) -> bytes:
    """One message of many jobs (at least one, all of one trace), enqueued at the last one's time.

    Of one that was submitted again after its end an earlier one's time might be before that end.
    """
    stamps = [job.enqueued_ms for job in jobs if job.enqueued_ms is not None]
    entries = [{"id": job.id, "payload": job.payload, **_options(job)} for job in jobs]
    body, stamp = dumps([[entries], {}, {}]), max(stamps, default=None)
    return _message(BATCH_TASK_NAME, batch_id, body, queue, stamp, jobs[0].trace)


def _options(job: Job) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if job.metadata:
        options["metadata"] = job.metadata
    if job.unlisted:
        options["unlisted"] = True
    if job.batch is not None:
        options["batch"] = job.batch
    return {**options, **job.newer} if job.newer else options


def _message(
    task: str, message_id: str, body: bytes, queue: str, enqueued_ms: int | None, trace: TraceContext | None
) -> bytes:
    headers = {
        "lang": "py",
        "task": task,
        "id": message_id,
        "root_id": message_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "argsrepr": ARGSREPR,
        "kwargsrepr": KWARGSREPR,
        "origin": ORIGIN,
    }
    if enqueued_ms is not None:
        headers[ENQUEUED_AT_HEADER] = enqueued_ms
    if trace is not None:
        # Headers, and no argument of a job: a worker of an earlier version would leave that to a newer one.
        headers |= headers_of(trace)
    message = {
        "body": b2a_base64(body, newline=False).decode("ascii"),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "correlation_id": message_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            # Not the job's id: kombu keeps unacknowledged messages by tag, and a job may be sent twice.
            "delivery_tag": os.urandom(16).hex(),
        },
    }
    return dumps(message)


def jobs_of(
    task_name: str, job_id: str, args: object, kwargs: object, headers: Mapping[str, Any]
) -> list[Job | InvalidJob]:
    """The jobs of a message, each good or bad by itself. Never raises.

    The payload's own fields are not checked here, only that it is an object:
    :func:`tasks.payload.parse` does the rest.

    Args:
        headers: those that a worker hands on; a reason under `REFUSAL_HEADER` makes all of its jobs bad.
    """
    jobs = _jobs_of(task_name, job_id, args, kwargs, headers)
    reason = headers.get(REFUSAL_HEADER)
    if not reason:
        return jobs
    return [
        InvalidJob(job.id, reason, job.payload, job.metadata, job.enqueued_ms, job.batch, job.trace)
        for job in jobs
    ]


def _jobs_of(
    task_name: str, job_id: str, args: object, kwargs: object, headers: Mapping[str, Any]
) -> list[Job | InvalidJob]:
    stamp = headers.get(ENQUEUED_AT_HEADER)
    enqueued_ms = stamp if isinstance(stamp, int) and not isinstance(stamp, bool) else None
    jobs = _jobs(task_name, job_id, args, kwargs, enqueued_ms)
    if (trace := found_in(headers)) is not None:
        jobs = [replace(job, trace=trace) for job in jobs]
    return [replace(job, enqueued_ms=enqueued_ms) if isinstance(job, InvalidJob) else job for job in jobs]


def _jobs(
    task_name: str, job_id: str, args: object, kwargs: object, enqueued_ms: int | None
) -> list[Job | InvalidJob]:
    if not isinstance(args, list | tuple) or len(args) != 1:
        count = len(args) if isinstance(args, list | tuple) else clip(args)
        return [InvalidJob(job_id, f"args: must be one positional argument, got {count}")]
    if not isinstance(kwargs, Mapping):
        return [InvalidJob(job_id, f"kwargs: must be an object, got {clip(kwargs)}")]
    if task_name == TASK_NAME:
        return [_job(job_id, args[0], kwargs, enqueued_ms)]
    try:
        newer = newer_arguments(kwargs)
    except InvalidPayload as error:
        return [InvalidJob(job_id, str(error))]
    shared = {"batch": kwargs["batch"], **newer} if "batch" in kwargs else newer
    if len(shared) < len(kwargs) or not isinstance(args[0], list):
        beside = ", ".join(name for name in KNOWN if name != "batch")
        return [InvalidJob(job_id, f"args: must be one list of entries, without {beside} beside")]
    return [_entry(f"{job_id}:{index}", entry, shared, enqueued_ms) for index, entry in enumerate(args[0])]


def _entry(
    fallback_id: str, entry: object, shared: Mapping[str, Any], enqueued_ms: int | None
) -> Job | InvalidJob:
    """One job of a batch. One without a usable id gets an id that is the same at each delivery."""
    if not isinstance(entry, dict):
        return InvalidJob(fallback_id, f"entry: must be an object, got {_type(entry)}")
    options = {**shared, **{name: value for name, value in entry.items() if name not in ("id", "payload")}}
    job_id = entry.get("id")
    try:
        check_job_id(job_id)
    except InvalidPayload as error:
        return InvalidJob(fallback_id, str(error))
    return _job(str(job_id), entry.get("payload"), options, enqueued_ms)


def _job(
    job_id: str, payload: object, options: Mapping[Any, Any], enqueued_ms: int | None
) -> Job | InvalidJob:
    known = payload if isinstance(payload, dict) else {}
    metadata = options.get("metadata", {})
    batch = None
    try:
        if "batch" in options:
            check_batch(options["batch"])
            batch = str(options["batch"])
        check_metadata(metadata)
    except InvalidPayload as error:
        return InvalidJob(job_id, str(error), known, batch=batch)
    metadata = plain(metadata)
    if not isinstance(payload, dict):
        reason = f"payload: must be an object, got {_type(payload)}"
        return InvalidJob(job_id, reason, known, metadata, batch=batch)
    unlisted = options.get("unlisted", False)
    if not isinstance(unlisted, bool):
        reason = f"unlisted: must be true or false, got {clip(unlisted)}"
        return InvalidJob(job_id, reason, known, metadata, batch=batch)
    if len(options) == ("metadata" in options) + ("unlisted" in options) + ("batch" in options):
        return Job(job_id, payload, metadata, unlisted, enqueued_ms, batch=batch)
    try:
        return Job(job_id, payload, metadata, unlisted, enqueued_ms, newer_arguments(options), batch)
    except InvalidPayload as error:
        return InvalidJob(job_id, str(error), known, metadata, batch=batch)


def _type(value: object) -> str:
    """The JSON type's name: what stands where a payload should may be a prompt, so it is not repeated."""
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return names.get(type(value), "null")
