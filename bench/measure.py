"""The measurements, each of one contender on a stage."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass

from bench import work
from bench.contenders import Contender
from bench.stage import Stage, wait_until

WARM_UP, TAIL = 500, 200
CONNECTED = 101
"""Jobs that a worker has done before latencies are taken: it is started, and its connections are open."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a job, of the worker and of the producer; bytes of Redis a waiting job."""

    worker_us: float
    enqueue_us: float
    waiting_bytes: float


def cost(stage: Stage, contender: Contender, jobs: int, backlog: int = TAIL) -> Cost:
    """Fill the queue, let a worker drain it, and take its CPU time between two numbers of results.

    Start-up and warm-up come before the first number; after the second, `backlog` jobs still wait.
    """
    stage.clear()
    memory, total = stage.redis_bytes(), WARM_UP + jobs + backlog
    enqueue_us = stage.fill(contender, total)
    waiting_bytes = (stage.redis_bytes() - memory) / total
    with stage.worker(contender) as worker:
        stage.wait_for_results(WARM_UP, worker)
        cpu_s, count = worker.cpu_s(), stage.results()
        stage.wait_for_results(WARM_UP + jobs, worker)
        cpu_s, count = worker.cpu_s() - cpu_s, stage.results() - count
    return Cost(cpu_s / count * 1e6, enqueue_us, waiting_bytes)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from before the enqueue to the published result."""

    p50: float
    p99: float
    jobs: int


def latency(stage: Stage, contender: Contender, jobs: int, per_second: float = 0.0) -> Latency:
    """At so many jobs a second; at 0 one after another, which is an idle worker's latency."""
    stage.clear()
    with stage.worker(contender) as worker:
        stage.produce(contender, "fill", str(CONNECTED))
        stage.wait_for_results(CONNECTED, worker)
        found: list[float] = json.loads(stage.produce(contender, "latency", str(jobs), str(per_second)))
    hundredths = statistics.quantiles(found, n=100)
    return Latency(hundredths[49], hundredths[98], len(found))


@dataclass(frozen=True, slots=True)
class Throughput:
    """Jobs a second, their share of the ideal, and the memory of one worker meanwhile."""

    per_second: float
    of_ideal: float
    pss_mb: float


def throughput(
    stage: Stage,
    contender: Contender,
    *,
    in_flight: int,
    delay_s: float,
    seconds: float = 4.0,
    workers: int = 1,
) -> Throughput:
    """Drain a full queue for so many seconds against a vendor that takes `delay_s` for each answer."""
    stage.clear()
    ideal = workers * in_flight / delay_s
    warm_up, jobs = round(ideal * 1.5), round(ideal * seconds)
    stage.fill(contender, warm_up + jobs + round(ideal))
    with ExitStack() as stack:
        running = [stack.enter_context(stage.worker(contender, in_flight)) for _ in range(workers)]
        stage.wait_for_results(warm_up, running[0])
        started, count = time.monotonic(), stage.results()
        stage.wait_for_results(warm_up + jobs, running[0])
        rate = (stage.results() - count) / (time.monotonic() - started)
        return Throughput(rate, rate / ideal, running[0].pss_mb())


def startup_s(stage: Stage, contender: Contender) -> float:
    """Seconds from the worker's start to its first result, with jobs waiting."""
    stage.clear()
    stage.fill(contender, CONNECTED)
    started = time.monotonic()
    with stage.worker(contender) as worker:
        wait_until(lambda: stage.redis.exists(work.RESULTS), "first result", worker)
        return time.monotonic() - started


def import_s(python: str, module: str) -> float:
    """Seconds that importing a module adds to an empty program: the median of five."""

    def run(code: str) -> float:
        started = time.monotonic()
        subprocess.run([python, "-c", code], check=True)
        return time.monotonic() - started

    return statistics.median(run(f"import {module}") - run("pass") for _ in range(5))
