"""huey over Redis. It has no acknowledgement: a job is gone from the queue when it is taken."""

from __future__ import annotations

from huey import RedisHuey

from bench import work
from bench.peers import threaded

huey = RedisHuey(work.QUEUE, url=work.REDIS_URL, results=False, blocking=True)
task = huey.task()(threaded.submit)


def enqueue(job_id: str, number: int) -> None:
    task(job_id, work.payload(number))
