"""dramatiq over Redis; acknowledged after the work, as always with it."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench import work
from bench.peers import threaded

dramatiq.set_broker(RedisBroker(url=work.REDIS_URL, namespace=work.QUEUE))
task = dramatiq.actor(queue_name=work.QUEUE)(threaded.submit)


def enqueue(job_id: str, number: int) -> None:
    task.send(job_id, work.payload(number))
