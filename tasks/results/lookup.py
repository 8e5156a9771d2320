"""Find the results of jobs by their ids: the record says in which entry of the stream the last one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from .. import broker
from ..contract import RESULT_FIELD
from ..reading.feed import Found
from ..reading.lookup import in_records, parsed
from ..result import Result

if TYPE_CHECKING:
    import redis.asyncio

ENTRY_FIELD: Final = "i"
"""Of a job's record; worker/store/record.py has all of them."""


async def find(client: redis.asyncio.Redis, job_ids: Sequence[str]) -> dict[str, Found[Result]]:
    """The results that there are of these jobs, by job. Raises RedisError as the client does."""
    settings = broker.settings()
    records = {job_id: f"{settings.queue}:job:{job_id}" for job_id in job_ids}
    entries = await in_records(client, records, ENTRY_FIELD)
    if not entries:
        return {}
    pipeline = client.pipeline(transaction=False)
    for entry in entries.values():
        await pipeline.xrange(settings.results, entry, entry)
    pages = zip(entries, await pipeline.execute(), strict=True)
    # Without a page the stream was trimmed since.
    return {job_id: parsed(Result.from_json, _text(page)) for job_id, page in pages if page}


def _text(page: Any) -> bytes:
    ((_, fields),) = page
    return cast("bytes", fields.get(RESULT_FIELD.encode(), b""))
