"""Celery: threads or prefork, acknowledged late, results ignored."""

from __future__ import annotations

from celery import Celery

from bench import work
from bench.peers.threaded import submit

app = Celery("bench", broker=work.REDIS_URL)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    worker_send_task_events=False,
    task_default_queue=work.QUEUE,
    broker_connection_retry_on_startup=True,
)
task = app.task(name="bench.submit")(submit)


def enqueue(job_id: str, number: int) -> None:
    task.apply_async((job_id, work.payload(number)), task_id=job_id)
