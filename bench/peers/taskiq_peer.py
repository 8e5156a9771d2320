"""taskiq over a Redis stream, acknowledged after the work."""

from __future__ import annotations

from taskiq_redis import RedisStreamBroker

from bench import work
from bench.peers.concurrent import submit

broker = RedisStreamBroker(work.REDIS_URL, queue_name=work.QUEUE, xread_count=work.CONCURRENCY)
task = broker.task(task_name="bench.submit")(submit)


async def start() -> None:
    await broker.startup()


async def enqueue(job_id: str, number: int) -> None:
    await task.kiq(job_id, work.payload(number))
