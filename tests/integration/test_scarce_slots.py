"""`AIGC_MAX_INFLIGHT` below what the workers could do: who waits is woken, and nobody asks in between."""

from __future__ import annotations

import time

import pytest

from tests.integration.stage import Stage, faulty

SCRIPTS_A_JOB = 6
"""Claim and settle, a claim that finds the slot taken, and some for those that were in hand beside it."""

SCRIPTS_A_SECOND = 20
"""Heartbeat, promoter, and a look each second of who waits."""


def scripts_run(stage: Stage) -> int:
    found = stage.redis.info("commandstats")
    return int(found.get("cmdstat_evalsha", {"calls": 0})["calls"])


@pytest.mark.parametrize("workers", [1, 2])
def test_who_waits_for_a_slot_does_not_poll(stage: Stage, workers: int) -> None:
    """With one slot for all workers and a slow vendor, the scripts that are run grow with the jobs, and not
    with the time that jobs wait."""
    for _ in range(workers):
        stage.worker(MAX_INFLIGHT=1)
    stage.result(stage.enqueue(faulty()))
    stage.vendor.set("latency", latency_ms=400)
    before, began = scripts_run(stage), time.monotonic()
    jobs = [stage.enqueue(faulty()) for _ in range(10)]
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    ran, seconds = scripts_run(stage) - before, time.monotonic() - began
    assert ran <= SCRIPTS_A_JOB * len(jobs) + SCRIPTS_A_SECOND * workers * seconds
    assert stage.vendor.get("stats")["max_in_flight"] == 1
