"""A worker whose log nobody reads any more: it works, and it stops when it is told to."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys

import pytest

from tests.conditions import PATIENCE_S, until
from tests.integration.stage import Stage, faulty


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_stalled_reader_of_the_log_stops_no_job_and_no_stop(stage: Stage, pool: str) -> None:
    """Its pipe is full after a few lines: all jobs are done, once, and SIGTERM ends it with 0."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "worker.app",
        "worker",
        "--pool",
        pool,
        "--concurrency",
        "2",
    ]
    worker = subprocess.Popen(
        command, env=stage.env(), stdout=subprocess.DEVNULL, stderr=writer, start_new_session=True
    )
    os.close(writer)
    try:
        jobs = [stage.enqueue(faulty()) for _ in range(100)]
        until(lambda: len(stage.results()) == len(jobs), "all results")
        assert stage.vendor.posts == len(jobs)
        worker.terminate()
        with os.fdopen(reader, "rb") as log:
            assert worker.wait(PATIENCE_S) == 0
            # What the pipe took. The rest waited in the worker's queue, for a reader that never came.
            assert 0 < len(log.read()) <= 2 * select.PIPE_BUF
    finally:
        worker.kill()
        worker.wait()
