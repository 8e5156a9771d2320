"""Redis refuses what settles jobs: nothing is bought that cannot be settled, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS
from tests.chaos.report import SCENARIOS, Report, perform
from tests.integration.at_once import at_once
from tests.integration.stage import faulty, staged, until
from tests.redis_server import RedisServer

SEED = 1
JOBS = 2000
"""A tenth of them are ordered at first: 200."""


FORMS = ["early", "early, mended, restart"]
WAYS = ["key results", "ACL -xadd"]
NAMES = [f"refused real {way}, {form}" for form in FORMS for way in WAYS]


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> Callable[[str], Report]:
    """What each scenario came to, each with a Redis, a vendor and workers of its own."""

    def run(name: str) -> Report:
        return perform(SCENARIOS[name], jobs=JOBS, seed=SEED, gentle=True)

    return at_once(request, "name", run)


def test_a_worker_waits_where_it_could_not_settle(redis_server: RedisServer) -> None:
    """It takes nothing, tells operators which key is wrong, and goes on once that is mended."""
    with staged(redis_server) as stage:
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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_a_refused_result_costs_no_second_purchase(reports: Callable[[str], Report], name: str) -> None:
    """Buying stops at what is in flight; once Redis is mended each job ends once, also after a restart."""
    report = reports(name)
    assert report.violations == []
    assert report.figures["jobs"] >= 200
