"""Enqueue in a contender's environment, and time it: what a producer of that queue would do.

``python -m bench.produce MODULE fill COUNT [bulk]`` prints the CPU microseconds of one enqueue;
``… latency COUNT PER_SECOND`` prints each job's milliseconds from before its enqueue to its published
result, as JSON. At 0 a second the next job is enqueued once the one before is done: an idle worker's latency.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import redis

from bench import work

WARM_UP = 100
"""Jobs enqueued before the clock starts: connections, imports at first use."""

LONGEST_S = 15.0
"""A queue that polls every half a second is not measured 500 times."""


def fill(module: Any, count: int, bulk: bool) -> float:
    """Enqueue so many jobs; CPU seconds for each."""
    jobs = [(str(uuid.uuid4()), number) for number in range(count)]
    if bulk:
        run: Callable[[list[tuple[str, int]]], None] = module.enqueue_many
    else:
        enqueue = module.enqueue
        if inspect.iscoroutinefunction(enqueue):
            return asyncio.run(_fill_async(module, jobs))

        def run(some: list[tuple[str, int]]) -> None:
            for job_id, number in some:
                enqueue(job_id, number)

    run(jobs[:WARM_UP])
    started = time.process_time()
    run(jobs[WARM_UP:])
    return (time.process_time() - started) / (count - WARM_UP)


async def _fill_async(module: Any, jobs: list[tuple[str, int]]) -> float:
    await module.start()
    for job_id, number in jobs[:WARM_UP]:
        await module.enqueue(job_id, number)
    started = time.process_time()
    for job_id, number in jobs[WARM_UP:]:
        await module.enqueue(job_id, number)
    return (time.process_time() - started) / (len(jobs) - WARM_UP)


def latencies(module: Any, count: int, per_second: float) -> list[float]:
    """Milliseconds of each job, after a warm-up."""
    enqueue, loop = module.enqueue, None
    if inspect.iscoroutinefunction(enqueue):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(module.start())
        coroutine_function = enqueue

        def enqueue(job_id: str, number: int) -> None:
            loop.run_until_complete(coroutine_function(job_id, number))

    total = count + WARM_UP
    give_up_at = time.monotonic() + LONGEST_S
    arrivals = Arrivals()
    sent: dict[str, float] = {}
    started = time.monotonic()
    for number in range(total):
        if per_second:
            time.sleep(max(0.0, started + number / per_second - time.monotonic()))
        job_id = str(uuid.uuid4())
        sent[job_id] = time.monotonic()
        enqueue(job_id, number)
        if not per_second:
            arrivals.wait_for(number + 1)
            time.sleep(0.005)  # let the worker go back to waiting
            if time.monotonic() > give_up_at:
                break
    arrivals.wait_for(len(sent))
    latencies = [(arrivals.times[job_id] - moment) * 1000 for job_id, moment in sent.items()]
    return latencies[min(WARM_UP, len(latencies) // 4) :]


class Arrivals:
    """When each result was published, noted by a thread."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._changed = threading.Condition()
        self._pubsub = redis.Redis.from_url(work.REDIS_URL).pubsub(  # type: ignore[no-untyped-call]
            ignore_subscribe_messages=True
        )
        self._pubsub.subscribe(work.RESULTS)
        while not self._pubsub.subscribed or self._pubsub.get_message(timeout=0.1):
            pass
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_for(self, count: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.times) >= count, timeout=60):
                raise TimeoutError(f"{len(self.times)} of {count} results after a minute")

    def _listen(self) -> None:
        for message in self._pubsub.listen():
            now = time.monotonic()
            with self._changed:
                self.times[json.loads(message["data"])["jobId"]] = now
                self._changed.notify_all()


def main(name: str, mode: str, count: str, *rest: str) -> None:
    """Run one mode and print its figure."""
    module = importlib.import_module(name)
    if mode == "fill":
        print(fill(module, int(count), bulk="bulk" in rest) * 1e6)
    else:
        print(json.dumps(latencies(module, int(count), float(rest[0]))))


if __name__ == "__main__":
    main(*sys.argv[1:])
