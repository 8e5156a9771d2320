"""Where our worker's CPU time goes, by function: ``python -m bench.profile [JOBS]``.

In one thread, on that thread's CPU clock: waiting is not counted, and neither is what Celery and many
threads add; that is the difference to the figures of `bench`. The profiler makes small functions look
dear: the first line is the cost without it, below it only the order counts.
"""

from __future__ import annotations

import cProfile
import logging
import os
import pstats
import sys
import time
import uuid

from bench import work
from bench.contenders import CONTENDERS
from bench.stage import Stage, staged
from tasks.envelope import Job
from worker import observability
from worker.bootstrap import Runtime, settings_or_exit

WARM_UP = 50
FUNCTIONS = 40


def submit(runtime: Runtime, count: int) -> float:
    """Take so many jobs through the whole way; CPU microseconds for each."""
    now_ms = time.time_ns() // 1_000_000
    jobs = [Job(str(uuid.uuid4()), work.payload(number), enqueued_ms=now_ms) for number in range(count)]
    started = time.process_time()
    for number, job in enumerate(jobs):
        runtime.loop.process(f"{runtime.registry.owner}/0.{number}", [job], None)
    return (time.process_time() - started) * 1e6 / count


def run(stage: Stage, count: int) -> None:
    """Be a worker, without a queue, and profile it."""
    ours = next(contender for contender in CONTENDERS if contender.ours)
    os.environ.update(stage.env(ours, work.CONCURRENCY))
    observability.setup(settings_or_exit())
    for handler in logging.getLogger().handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(open(os.devnull, "w"))  # noqa: SIM115 - log lines are part of the cost, not of the output
    runtime = Runtime(settings_or_exit())
    runtime.registry.join()
    submit(runtime, WARM_UP)
    print(f"{submit(runtime, count):.0f} µs a job")
    with cProfile.Profile(time.thread_time) as profile:
        submit(runtime, count)
    statistics = pstats.Stats(profile).strip_dirs()
    for order in ("tottime", "cumulative"):
        statistics.sort_stats(order).print_stats(FUNCTIONS)
    runtime.close()


if __name__ == "__main__":
    with staged(sys.executable) as stage:
        run(stage, int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
