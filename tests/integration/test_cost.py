"""What a job costs, counted and not timed: a guard against a hot path that grows unnoticed."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import Any

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job, encode, encode_batch
from tests.conditions import until
from tests.integration.stage import Stage, text
from worker.bootstrap import Runtime
from worker.config.settings import load

JOBS = 400
SCRIPTS_A_JOB = 2
"""One to claim, one to settle."""

PACKETS_A_JOB = 0.6
"""What Redis reads of a worker for one of many jobs, where a job alone takes two. 0.2 to 0.5 were counted."""

LOOKS_A_SECOND = 60
"""Of this test, for results."""

CALLS_A_JOB = 600
"""Without the log line. 582 were counted, and 630 where an answer comes in two parts, as chance has it."""


def scripts_run(stage: Stage) -> int:
    return int(stage.redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def packets_read(stage: Stage) -> int:
    return int(stage.redis.info("stats")["total_reads_processed"])


def maintenance_allowance(seconds: float) -> float:
    """Scripts that one worker runs a second beside its jobs: promoter, heartbeat, looks at an empty queue."""
    return 10 + 8 * seconds


def drain(stage: Stage, messages: list[bytes], jobs: int) -> tuple[int, int, float]:
    """Scripts run, packets read, and seconds passed, while a worker with open connections drains these."""
    stage.worker()
    stage.vendor.set("latency", latency_ms=100)
    warm_up = [Job(str(uuid.uuid4()), text(f"warm up {i}")) for i in range(50)]
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(warm_up, DEFAULT_QUEUE, "warm-up"))
    until(lambda: stage.redis.xlen("aigc:results") == len(warm_up), "the connections")
    stage.vendor.set("latency", latency_ms=0)
    scripts, packets, began = scripts_run(stage), packets_read(stage), time.monotonic()
    stage.redis.lpush(DEFAULT_QUEUE, *messages)
    until(lambda: stage.redis.xlen("aigc:results") == jobs + len(warm_up), "all results")
    return scripts_run(stage) - scripts, packets_read(stage) - packets, time.monotonic() - began


def test_single_jobs_share_their_round_trips(stage: Stage) -> None:
    """Claim and settle; acknowledging is part of settling, and what was taken together goes together."""
    messages = [encode(Job(str(uuid.uuid4()), text(f"{i}")), DEFAULT_QUEUE) for i in range(JOBS)]
    scripts, packets, seconds = drain(stage, messages, JOBS)
    takes = JOBS / 4
    assert scripts <= SCRIPTS_A_JOB * JOBS + takes + maintenance_allowance(seconds)
    assert packets <= PACKETS_A_JOB * JOBS + maintenance_allowance(seconds) + LOOKS_A_SECOND * seconds


def test_jobs_of_a_batch_share_their_round_trips(stage: Stage) -> None:
    """Fifty jobs in a message share its take, and each claims and settles together with others."""
    batches = []
    for number in range(JOBS // 50):
        jobs = [Job(str(uuid.uuid4()), text(f"{number} {i}")) for i in range(50)]
        batches.append(encode_batch(jobs, DEFAULT_QUEUE, f"batch-{number}"))
    scripts, packets, seconds = drain(stage, batches, JOBS)
    assert scripts <= SCRIPTS_A_JOB * JOBS + len(batches) + maintenance_allowance(seconds)
    assert packets <= PACKETS_A_JOB * JOBS + maintenance_allowance(seconds) + LOOKS_A_SECOND * seconds


def test_a_job_makes_no_more_than_so_many_calls(stage: Stage) -> None:
    """Python and C functions called for one accepted job, from its validation to its settled result."""
    environ = {name: value for name, value in stage.env().items() if name.startswith("AIGC_")}
    runtime = Runtime(load(environ))
    runtime.registry.join()
    calls, counting = 0, False
    of_each: list[int] = []

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal calls
        calls += counting and event in ("call", "c_call")

    owner = runtime.registry.owner
    jobs = [Job(str(uuid.uuid4()), text(f"counted {i}")) for i in range(10)]
    logging.disable(logging.CRITICAL)  # its handlers are the test runner's here
    threading.setprofile(count)  # of threads that begin from now on: the loop's, and one that connects
    try:
        runtime.loop.process(f"{owner}/1.0", [Job(str(uuid.uuid4()), text("warm up"))], None)
        counting = True
        for number, job in enumerate(jobs, 1):
            before = calls
            runtime.loop.process(f"{owner}/1.{number}", [job], None)
            of_each.append(calls - before)
        counting = False
    finally:
        threading.setprofile(None)
        logging.disable(logging.NOTSET)
        runtime.close()
    assert stage.vendor.posts == len(jobs) + 1
    assert min(of_each) <= CALLS_A_JOB
