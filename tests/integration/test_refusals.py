"""Redis refuses what settles jobs: nothing is bought that cannot be settled, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS
from tests.chaos.report import SCENARIOS, perform
from tests.conditions import until
from tests.integration.stage import Stage, faulty, staged
from tests.redis_server import RedisServer

SEED = 1
JOBS = 2000
"""A tenth of them are ordered at first: 200."""


@pytest.fixture
def stage(own_redis_server: RedisServer) -> Iterator[Stage]:
    with staged(own_redis_server) as stage:
        yield stage


@pytest.mark.parametrize("way", ["key results", "ACL -xadd"])
@pytest.mark.parametrize("form", ["early", "early, mended, restart"])
def test_a_refused_result_costs_no_second_purchase(way: str, form: str) -> None:
    """Buying stops at what is in flight; once Redis is mended each job ends once, also after a restart."""
    report = perform(SCENARIOS[f"refused real {way}, {form}"], jobs=JOBS, seed=SEED, gentle=True)
    assert report.violations == []
    assert report.figures["jobs"] >= 200


def test_a_worker_waits_where_it_could_not_settle(stage: Stage) -> None:
    """It takes nothing, tells operators which key is wrong, and goes on once that is mended."""
    worker = stage.worker()
    until(stage.living, "the worker")
    stage.redis.set(DEFAULT_RESULTS, "somebody else's")
    first, job = stage.enqueue(faulty()), stage.enqueue(faulty())

    def trouble() -> str:
        return b" ".join(stage.redis.hvals(f"{DEFAULT_QUEUE}:troubles")).decode()

    until(lambda: DEFAULT_RESULTS in trouble(), "its trouble to be told")
    assert DEFAULT_RESULTS in worker.output()
    stage.redis.delete(DEFAULT_RESULTS)
    assert stage.result(first)["status"] == stage.result(job)["status"] == "submitted"
    until(lambda: not trouble(), "its trouble to be over")
