"""The work with asyncio clients: aiohttp and redis-py."""

from __future__ import annotations

from typing import Any

import aiohttp
import redis.asyncio

from bench import work

_session: aiohttp.ClientSession | None = None
_client: Any = None


async def submit(job_id: str, job: dict[str, Any]) -> None:
    """One job, from payload to published result."""
    global _session, _client
    if _session is None:
        _session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        _client = redis.asyncio.Redis.from_url(work.REDIS_URL)
    request_id, body, headers = work.request(job)
    async with _session.post(work.ENDPOINT + work.URI, data=body, headers=headers) as response:
        answer = await response.read()
    result = work.result(job_id, job, request_id, answer)
    async with _client.pipeline(transaction=True) as pipe:
        pipe.xadd(work.RESULTS, {"result": result}, maxlen=work.RESULTS_MAXLEN)
        pipe.publish(work.RESULTS, result)
        await pipe.execute()
