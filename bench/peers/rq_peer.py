"""RQ with its SimpleWorker, which does not fork for each job; one job at a time."""

from __future__ import annotations

import redis
from rq import Queue, SimpleWorker

from bench import work
from bench.peers import threaded

connection = redis.Redis.from_url(work.REDIS_URL)
queue = Queue(work.QUEUE, connection=connection)


def enqueue(job_id: str, number: int) -> None:
    queue.enqueue(threaded.submit, job_id, work.payload(number), job_id=job_id, result_ttl=0)


if __name__ == "__main__":
    SimpleWorker([queue], connection=connection).work(logging_level="WARNING")
