"""arq; a job is removed after the work."""

from __future__ import annotations

from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from bench import work
from bench.peers import concurrent

_settings = RedisSettings.from_dsn(work.REDIS_URL)
_pool: Any = None


async def submit(_context: Any, job_id: str, job: dict[str, Any]) -> None:
    await concurrent.submit(job_id, job)


class WorkerSettings:
    functions = (submit,)
    redis_settings = _settings
    queue_name = work.QUEUE
    max_jobs = work.CONCURRENCY
    poll_delay = 0.5
    keep_result = 0


async def start() -> None:
    global _pool
    _pool = await create_pool(_settings, default_queue_name=work.QUEUE)


async def enqueue(job_id: str, number: int) -> None:
    await _pool.enqueue_job("submit", job_id, work.payload(number))
