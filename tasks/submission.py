"""What a producer gives to be queued, checked and made into jobs."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from .checks import check_batch, check_job_id, check_metadata, clip
from .envelope import Job
from .exceptions import InvalidPayload
from .options import check_dedupe
from .payload import Listed, Workflow, doubts, parse, to_wire
from .tracing import current

log = logging.getLogger("tasks")

Payload = Listed | Workflow | dict[str, Any]
"""A model, or a dict in the vendor's JSON shape."""

DEDUPE_TTL_S = 86400


@dataclass(frozen=True, slots=True)
class Submission:
    """An item for `submit_many` that needs more than a payload; the fields are those of `submit`.

    With `dedupe_renew` a key that another job holds is held for `dedupe_ttl_s` anew: what is asked for each
    night is not bought again once that time is over.
    """

    payload: Payload
    job_id: str | None = None
    metadata: dict[str, Any] | None = None
    unlisted: bool | None = None
    dedupe_key: str | None = None
    dedupe_ttl_s: float = DEDUPE_TTL_S
    batch: str | None = None
    dedupe_renew: bool = False


def checked_job(item: Submission, batch: str | None = None) -> Job:
    """The job that a submission asks for, enqueued now.

    Args:
        batch: the batch of one that brings none, checked.

    Raises:
        InvalidPayload: naming each wrong field.
    """
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
    if item.dedupe_key is not None or item.dedupe_ttl_s != DEDUPE_TTL_S:
        check_dedupe(item.dedupe_key, item.dedupe_ttl_s)
    if item.batch is not None:
        check_batch(item.batch)
        batch = item.batch
    now_ms = time.time_ns() // 1_000_000
    job_id, metadata = item.job_id or new_id(), item.metadata or {}
    return Job(job_id, payload, metadata, unlisted, now_ms, batch=batch, trace=current())


@cache
def _warn_once(doubt: str) -> None:
    """In words that name no job: a catalogue has the same fault in thousands of rows."""
    log.warning("%s", doubt)


def new_id() -> str:
    """A random UUID as `uuid.uuid4` makes them, at a third of its cost."""
    raw = os.urandom(16)
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[raw[8] & 3]}{text[17:20]}-{text[20:]}"


def arguments_of(job: Job) -> dict[str, Any]:
    """The keyword arguments of a job's Celery message."""
    arguments: dict[str, Any] = {"metadata": job.metadata} if job.metadata else {}
    if job.unlisted:
        arguments["unlisted"] = True
    if job.batch is not None:
        arguments["batch"] = job.batch
    return arguments
