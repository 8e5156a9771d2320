"""Our own producers, for `bench.produce`: one job a message, or 50."""

from __future__ import annotations

from collections.abc import Iterable

import tasks
from bench import work

tasks.configure(redis_url=work.REDIS_URL)


def enqueue(job_id: str, number: int) -> None:
    tasks.submit(work.payload(number), job_id=job_id)


def enqueue_many(job_ids: Iterable[tuple[str, int]]) -> None:
    for _ in tasks.submit_many(
        tasks.Submission(work.payload(number), job_id=job_id) for job_id, number in job_ids
    ):
        pass
