"""SAQ over Redis; a job is marked as finished after the work."""

from __future__ import annotations

from typing import Any

from saq import Queue

from bench import work
from bench.peers import concurrent

queue = Queue.from_url(work.REDIS_URL, name=work.QUEUE)


async def submit(_context: Any, *, job_id: str, job: dict[str, Any]) -> None:
    await concurrent.submit(job_id, job)


settings = {"queue": queue, "functions": [submit], "concurrency": work.CONCURRENCY}


async def start() -> None:
    await queue.connect()


async def enqueue(job_id: str, number: int) -> None:
    await queue.enqueue("submit", job_id=job_id, job=work.payload(number))
