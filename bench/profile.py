"""Where our worker's CPU time goes, by function: ``python -m bench.profile [JOBS] 2>/dev/null``.

The log, which is part of the cost, goes to the standard error.

The loop's thread, on that thread's CPU clock: waiting is not counted, and neither is what Celery and the
reading of messages add; that is the difference to the figures of `bench`. The profiler makes small functions
look dear: the first line is the cost without it, below it only the order counts.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import sys
import time
import uuid
from unittest.mock import patch

from bench import work
from bench.contenders import CONTENDERS
from bench.stage import Stage, staged
from tasks.envelope import Job
from worker import observability
from worker.bootstrap import Runtime, settings_or_exit
from worker.processing.loop import Loop

WARM_UP = 100
FUNCTIONS = 40
PER_MESSAGE = 50


_in_loop = Loop._run


def submit(runtime: Runtime, count: int) -> float:
    """Take so many jobs through the whole way; CPU microseconds of this process for each."""
    now_ms = time.time_ns() // 1_000_000
    jobs = [Job(str(uuid.uuid4()), work.payload(number), enqueued_ms=now_ms) for number in range(count)]
    started = time.process_time()
    for first in range(0, count, PER_MESSAGE):
        name = f"{runtime.registry.owner}/0.{first}"
        runtime.loop.process(name, jobs[first : first + PER_MESSAGE], None)
    return (time.process_time() - started) * 1e6 / count


def started() -> Runtime:
    """A worker without a queue."""
    runtime = Runtime(settings_or_exit())
    runtime.registry.join()
    return runtime


def run(stage: Stage, count: int) -> None:
    """Be a worker, and profile its loop."""
    ours = next(contender for contender in CONTENDERS if contender.ours)
    os.environ.update(stage.env(ours, work.CONCURRENCY))
    observability.setup(settings_or_exit())
    runtime = started()
    submit(runtime, WARM_UP)
    print(f"{submit(runtime, count):.0f} µs a job")
    runtime.close()
    profile, runtime = cProfile.Profile(time.thread_time), started()
    with patch.object(Loop, "_run", lambda loop: profile.runcall(_in_loop, loop)):
        submit(runtime, count)
        runtime.close()
    statistics = pstats.Stats(profile).strip_dirs()
    for order in ("tottime", "cumulative"):
        statistics.sort_stats(order).print_stats(FUNCTIONS)


if __name__ == "__main__":
    with staged(sys.executable) as stage:
        run(stage, int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
