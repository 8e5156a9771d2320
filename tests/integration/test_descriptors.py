"""File descriptors: enough are asked for at the start, and running out of them costs no job."""

from __future__ import annotations

import os
import resource
import sys
import uuid

import pytest

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job, encode_batch
from tests.conditions import PATIENCE_S, until
from tests.integration.stage import CommandWorker, Stage, Worker, faulty
from worker.local.descriptors import needed

CELERY = ["-m", "celery", "-A", "worker.app", "worker"]
AIGC = ["-c", "from worker.cli import main; main()", "worker"]
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""
SOFT = 16  # a worker at work has more open
CONCURRENCY = 7  # odd, so that of messages of two jobs one has room for half of it


class LimitedWorker(CommandWorker):
    """One that is started under these limits."""

    def __init__(self, stage: Stage, command: list[str], soft: int, hard: int, **changes: object) -> None:
        super().__init__(stage, [sys.executable, "-c", LIMITED, str(soft), str(hard), *command], **changes)


def set_soft_limit(worker: Worker, soft: int) -> int:
    """Set that of a running worker; the one before."""
    before, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    return before


def opened(worker: Worker) -> int:
    return len(os.listdir(f"/proc/{worker.process.pid}/fd"))


def enqueue_in_twos(stage: Stage, count: int) -> None:
    """So many messages of two jobs, each of which waits until others are done."""
    for _ in range(count):
        jobs = [Job(str(uuid.uuid4()), faulty("slow(100)")) for _ in range(2)]
        stage.redis.lpush(DEFAULT_QUEUE, encode_batch(jobs, DEFAULT_QUEUE, str(uuid.uuid4())))


def ends_are(stage: Stage, count: int) -> bool:
    """Whether so many jobs have ended, all bought, none twice."""
    results = stage.results()
    assert {result["status"] for result in results} <= {"submitted"}
    assert len({result["jobId"] for result in results}) == len(results)
    return len(results) == count


@pytest.mark.parametrize("command", [CELERY, AIGC], ids=["celery", "aigc"])
def test_what_cannot_fit_is_refused_with_both_numbers(stage: Stage, command: list[str]) -> None:
    """One line with the setting, what it needs and what there is; exit 1, no traceback."""
    worker = LimitedWorker(stage, command, 64, 64)
    assert worker.process.wait(PATIENCE_S) == 1
    (line,) = [line for line in worker.output().splitlines() if line.startswith("aigc: ")]
    assert f"AIGC_CONCURRENCY=32 needs {needed(32)} file descriptors" in line
    assert "no more than 64 " in line
    assert "Traceback" not in worker.output()


@pytest.mark.parametrize("command", [CELERY, AIGC], ids=["celery", "aigc"])
def test_the_soft_limit_is_raised_and_what_is_needed_is_enough(stage: Stage, command: list[str]) -> None:
    """A worker with no descriptor more than it asks for goes through its busiest time."""
    enough = needed(CONCURRENCY)
    worker = LimitedWorker(stage, command, SOFT, enough, CONCURRENCY=CONCURRENCY)
    enqueue_in_twos(stage, 40)
    highest = 0

    def all_ended() -> bool:
        nonlocal highest
        highest = max(highest, opened(worker))
        return ends_are(stage, 80)

    until(all_ended, "the results")
    assert SOFT < highest <= enough
    assert "Too many open files" not in worker.output()
    assert "out of file descriptors" not in worker.output()


def test_running_out_later_takes_no_job_along(stage: Stage) -> None:
    """A worker that may open nothing any more waits, and goes on where it may again; each job ends once."""
    worker = stage.worker(CONCURRENCY=CONCURRENCY)
    stage.result(stage.enqueue(faulty()))
    enough = set_soft_limit(worker, 3)
    enqueue_in_twos(stage, 40)
    until(lambda: said_so(worker), "a word about it")
    assert worker.process.poll() is None
    set_soft_limit(worker, enough)
    until(lambda: ends_are(stage, 81), "the results")
    assert "a fault of this program" not in worker.output()
    assert stage.vendor.get("stats")["duplicates"] == 0
    stage.drain()
    assert worker.terminate() == 0


def said_so(worker: Worker) -> bool:
    return "Too many open files" in worker.output() or "out of file descriptors" in worker.output()


def test_running_out_in_the_middle_of_work_wedges_no_thread(stage: Stage) -> None:
    """What is connected goes on without a descriptor more, up to the last job."""
    worker = stage.worker(CONCURRENCY=CONCURRENCY)
    enqueue_in_twos(stage, 40)
    until(lambda: len(stage.results()) > 4 * CONCURRENCY, "a busy worker")
    enough = set_soft_limit(worker, 3)
    enqueue_in_twos(stage, 20)
    until(lambda: len(stage.results()) > 100, "jobs that end meanwhile")
    set_soft_limit(worker, enough)
    until(lambda: ends_are(stage, 120), "the results")
    assert "a fault of this program" not in worker.output()
    stage.drain()
    assert worker.terminate() == 0
