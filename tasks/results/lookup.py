"""Find the results of jobs by their ids: the record says in which entry of the stream the last one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from .. import broker
from ..clients import promptly, reported
from ..contract import RESULT_FIELD
from ..result import Result
from .drivers import Blocking, finish

if TYPE_CHECKING:
    import redis.asyncio

ENTRY_FIELD: Final = "i"
"""Of a job's record; worker/store/record.py has all of them."""

_JOBS_A_CALL: Final = 200


Found = Result | ValueError
"""The error where it is no result, or a NewerResult."""


def look_up(job_id: str) -> Result | None:
    """The job's result; None where there is none. Raises BrokerUnavailable, and what `Found` has."""

    def call() -> dict[str, Found]:
        return finish(found(Blocking(broker.redis_client()).as_async(), [job_id]))

    with reported(broker.settings().results):
        return of_one(promptly(call))


def of_one(results: dict[str, Found]) -> Result | None:
    """What was found of a single job; raises the error that there is in its place."""
    for result in results.values():
        if isinstance(result, ValueError):
            raise result
        return result
    return None


async def found(client: redis.asyncio.Redis, job_ids: Sequence[str]) -> dict[str, Found]:
    """The results that there are of these jobs, by job. Raises RedisError as the client does."""
    results: dict[str, Found] = {}
    for start in range(0, len(job_ids), _JOBS_A_CALL):
        results |= await _found(client, job_ids[start : start + _JOBS_A_CALL])
    return results


async def _found(client: redis.asyncio.Redis, job_ids: Sequence[str]) -> dict[str, Found]:
    settings = broker.settings()
    pipeline = client.pipeline(transaction=False)
    for job_id in job_ids:
        await pipeline.hget(f"{settings.queue}:job:{job_id}", ENTRY_FIELD)
    replies = await pipeline.execute(raise_on_error=False)
    entries = {
        job_id: entry for job_id, entry in zip(job_ids, map(_no_record, replies), strict=True) if entry
    }
    if not entries:
        return {}
    pipeline = client.pipeline(transaction=False)
    for entry in entries.values():
        await pipeline.xrange(settings.results, entry, entry)
    pages = zip(entries, await pipeline.execute(), strict=True)
    return {job_id: _read(page) for job_id, page in pages if page}  # else the stream was trimmed since


def _no_record(reply: Any) -> bytes | None:
    """The entry; a key of another type is nobody's record."""
    if isinstance(reply, Exception):
        if "WRONGTYPE" not in str(reply):
            raise reply
        return None
    entry: bytes | None = reply
    return entry


def _read(page: Any) -> Found:
    ((_, fields),) = page
    try:
        return Result.from_json(fields.get(RESULT_FIELD.encode(), b""))
    except ValueError as error:
        return error
