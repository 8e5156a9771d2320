"""All that is known of one job, as `aigc failed show` and the page tell it."""

from __future__ import annotations

import json
from typing import Any

from tasks.times import utc_iso
from worker.store.dead_letters import DeadLetters
from worker.store.record import status_of


def job_details(dead_letters: DeadLetters, job: str, *, payload: bool = False) -> dict[str, Any] | None:
    """The job as JSON values, whether it failed or not; None where nothing is known of it.

    Args:
        payload: with the payload, prompt and all.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    record, result, kept = dead_letters.record(job), dead_letters.get(job), dead_letters.job(job)
    if not record and result is None:
        return None
    document: dict[str, Any] = {"jobId": job, **{_camel(name): value for name, value in record.items()}}
    document["status"] = status_of(record["state"]) if record else None
    if (enqueued_ms := document.pop("enqueuedMs", None) or kept.get("enqueued_ms")) is not None:
        document["enqueuedAt"] = utc_iso(enqueued_ms / 1000)
    if (finished_s := document.pop("finishedS", None)) is not None:
        document["finishedAt"] = utc_iso(finished_s, precision="seconds")
    if (cancelled_ms := document.pop("cancelAskedMs", None)) is not None:
        document["cancelAskedAt"] = utc_iso(cancelled_ms / 1000)
    if (due_ms := document.pop("dueMs", None)) is not None:
        document["dueAt"] = utc_iso(due_ms / 1000)
    document["result"] = json.loads(result.to_json()) if result else None
    document["canRetry"] = bool(kept.get("payload"))
    if payload:
        document["payload"] = kept.get("payload")
    return document


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
