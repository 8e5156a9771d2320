"""The results of jobs by their ids, as the scripts of real workers and operators leave them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tasks
from tasks import results
from tasks.results import lookup
from tests.integration.desk import Desk
from tests.integration.stage import Stage, faulty, working
from tests.redis_server import RedisServer
from worker.store.keys import KeyNames
from worker.store.record import FIELDS

KEYS = KeyNames("aigc", "aigc:results")


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    tasks.configure(redis_url=redis_server.url)
    made = Desk(redis_server)
    yield made
    made.close()
    tasks.configure()


def test_the_field_is_the_records_own() -> None:
    """Producers know it by its stored name."""
    assert FIELDS["result_entry"].stored == lookup.ENTRY_FIELD


def test_an_unknown_job_has_its_decisions_result(desk: Desk) -> None:
    """Whether it was accepted after all, as an operator says, or discarded."""
    for job_id, options, status in (
        ("a", ("accept", "t-1", "--job", "a"), "submitted"),
        ("b", ("discard", "b", "--yes"), "rejected"),
    ):
        desk.add_dead_letter(job_id)
        assert results.wait(job_id, timeout_s=0).status == "unknown"
        done = desk.aigc("failed", *options)
        assert done.code == 0, done.err
        found = results.wait(job_id, timeout_s=0)
        assert (found.status, found) == (status, desk.results_of(job_id)[-1])


def test_a_late_acceptance_is_the_last_result(desk: Desk) -> None:
    """It comes after the result that said unknown."""
    desk.add_dead_letter("a")
    assert desk.accepted_late("a", "t-9") == "settled"
    assert results.wait("a", timeout_s=0).task_id == "t-9"


def test_a_job_that_is_queued_again_has_no_result(desk: Desk) -> None:
    """Until it ends once more."""
    desk.add_dead_letter("a", "exhausted")
    assert (found := results.get("a"))
    assert found.status == "exhausted"
    assert desk.aigc("failed", "retry", "a", "--yes").code == 0
    assert results.get("a") is None


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working() as made:
        yield made


def test_real_workers_results_are_found_and_waited_for(stage: Stage) -> None:
    """Of a job that is bought, one that is refused, one that is invalid and one that nobody can read."""
    tasks.configure(redis_url=stage.server.url)
    try:
        good, refused = tasks.submit(faulty()), tasks.submit(faulty("param_error"))
        invalid = stage.put([{"workflow": "TEXT2IMAGE"}], {})
        unreadable = stage.put_body("not JSON")
        found = {
            job_id: results.wait(job_id, timeout_s=60) for job_id in (good, refused, invalid, unreadable)
        }
        assert [result.status for result in found.values()] == ["submitted", *3 * ["rejected"]]
        assert {job_id: results.get(job_id) for job_id in found} == found
        tasks.submit(faulty(), job_id=good)  # bought already: told again
        stage.drain()
        assert (told := results.get(good))
        assert told.to_json() == stage.redis.xrevrange(KEYS.results, count=1)[0][1][b"result"].decode()
    finally:
        tasks.configure()
