"""The short form of `./dev chaos`: kills at the points that matter, harm at random, and some refusals."""

from __future__ import annotations

import pytest

from tests.chaos import harms, soak
from tests.chaos.report import SCENARIOS, perform

SEED = 1
REFUSALS = [
    "refused everything garbage",
    "refused take NOSCRIPT",
    "refused backlog foreign",
    "refused withdraw OOM, restart",
]
"""Those that have found something, each for its kind. `./dev chaos --only refused` runs all."""

KILLS = ["after take", "after claim", "before settle", "after settle"]
RANDOM = ["worker kills", "redis kills", "vendor cuts"]
JOBS = {
    "following": 120,
    **dict.fromkeys(REFUSALS, 1000),
    **dict.fromkeys(RANDOM, 60),
    **dict.fromkeys(KILLS, 30),
}
"""Of each scenario."""


def violations(name: str) -> list[str]:
    return perform(SCENARIOS[name], jobs=JOBS[name], seed=SEED, gentle=True).violations


@pytest.mark.timeout(400)
def test_each_task_that_was_bought_has_one_output() -> None:
    """With its file, and no query above the rate, while workers and Redis are killed."""
    # Alone: beside other sandboxes in this process queries would arrive several at a time.
    assert violations("following") == []


def test_a_soak_of_a_moment_finds_nothing() -> None:
    """`./dev chaos --minutes` in short: one kind of harm, with following and forwarding on, and its audit."""
    report = soak.run(0.01, SEED, lambda _: None, (harms.worker_kill,))
    assert report["violations"] == []
    assert (report["checks"], report["harms"]) == (1, {"worker_kill": 1})
    assert report["figures"]["kills"] == 1
    assert report["outputs"] == report["figures"]["submitted"] > 0


@pytest.mark.parametrize("name", REFUSALS)
def test_a_step_that_redis_refuses_is_done_later(name: str) -> None:
    """No job is lost, bought twice or in doubt without reason, whatever Redis answers at one step."""
    assert violations(name) == []


@pytest.mark.parametrize("name", RANDOM)
def test_random_harm_loses_nothing_and_buys_nothing_twice(name: str) -> None:
    """Workers and Redis killed, the vendor cut off: ledger, results and journal agree."""
    assert violations(name) == []


@pytest.mark.parametrize("name", KILLS)
def test_a_worker_killed_at_a_point_of_the_way_costs_nothing_but_a_question(name: str) -> None:
    """Every job ends once, none is bought twice, and only those under way at the kill are in doubt."""
    assert violations(name) == []
