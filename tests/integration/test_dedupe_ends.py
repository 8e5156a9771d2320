"""For how long a dedupe key holds once a worker has settled its job, and what an operator changes of that."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import tasks
from tasks import Submission, dedupe
from tasks.contract import Status
from tests.integration.desk import KEYS, Desk
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image

KEEP_S, HOLD_S = 1000, 100_000
KEY = dedupe.key_name(KEYS.queue, "a")


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    """A desk whose workers keep records for 1000 s; `tasks` is told to use its Redis."""
    tasks.configure(redis_url=redis_server.url)
    desk = Desk(redis_server, keep_s=KEEP_S)
    yield desk
    desk.close()
    tasks.configure()


def submitted(job_id: str) -> str:
    return tasks.submit(text_to_image(), job_id=job_id, dedupe_key="a", dedupe_ttl_s=HOLD_S)


def forget(desk: Desk, job_id: str) -> None:
    """A job's record is over, and so is whatever is to be kept no longer."""
    assert 0 < desk.redis.ttl(KEYS.job(job_id)) <= KEEP_S
    desk.redis.delete(KEYS.job(job_id))
    if desk.redis.ttl(KEY) <= KEEP_S:
        desk.redis.delete(KEY)


@pytest.mark.parametrize("status", ["rejected", "exhausted"])
def test_a_key_stays_free_once_the_record_of_its_end_is_forgotten(desk: Desk, status: Status) -> None:
    """A catalogue of each month queues again what was refused the last time."""
    submitted("first")
    desk.add_dead_letter("first", status)
    assert dedupe.holders(["a"]) == [None]
    forget(desk, "first")
    assert dedupe.holders(["a"]) == [None]
    assert submitted("second") == "second"


def test_a_key_holds_for_its_time_where_its_job_was_bought_or_may_have_been(desk: Desk) -> None:
    """Whatever is known of the job by then."""
    submitted("first")
    desk.add_dead_letter("first", "unknown")
    assert HOLD_S - 60 < desk.redis.ttl(KEY) <= HOLD_S
    assert desk.accepted_late("first", "t-1") == "settled"
    forget(desk, "first")
    assert submitted("second") == "first"


def test_a_key_holds_for_its_time_where_a_job_that_may_have_been_bought_is_discarded(desk: Desk) -> None:
    """An operator gives it up, and does not know more than the worker did."""
    submitted("first")
    desk.add_dead_letter("first", "unknown")
    assert desk.aigc("failed", "discard", "first", "--yes").code == 0
    assert HOLD_S - 60 < desk.redis.ttl(KEY) <= HOLD_S
    assert submitted("second") == "first"


def test_a_job_that_is_queued_again_by_hand_holds_its_key_for_its_time(desk: Desk) -> None:
    """The time for which its end was remembered is over."""
    submitted("first")
    desk.add_dead_letter("first", "exhausted")
    assert desk.redis.ttl(KEY) <= KEEP_S
    assert desk.aigc("failed", "retry", "first", "--yes").code == 0
    assert HOLD_S - 60 < desk.redis.ttl(KEY) <= HOLD_S
    assert submitted("second") == "first"


def test_an_attempt_that_was_accepted_after_all_holds_its_key_again(desk: Desk) -> None:
    """Also where the key was over by then, but not where another job holds it."""
    submitted("first")
    desk.add_dead_letter("first", "exhausted")
    desk.redis.delete(KEY)
    assert desk.accepted_late("first", "t-1") == "settled"
    assert HOLD_S - 60 < desk.redis.ttl(KEY) <= HOLD_S
    assert submitted("second") == "first"


def test_a_job_whose_key_another_one_holds_by_now_is_not_queued_again(desk: Desk) -> None:
    """A catalogue queued it anew in the meantime: both would be bought."""
    submitted("first")
    desk.add_dead_letter("first", "exhausted")
    assert submitted("second") == "second"
    done = desk.aigc("failed", "retry", "first", "--yes")
    assert (done.code, done.out) == (1, "retry: 0 of 1 job\n")
    assert "left 1 job: another was queued since, under the same purchase key" in done.err
    assert desk.state("first") == "exhausted"
    desk.add_dead_letter("second", "exhausted")
    assert desk.aigc("failed", "retry", "first", "--yes").code == 0
    assert submitted("third") == "first"


def test_a_key_stays_free_where_its_jobs_message_was_put_aside(desk: Desk) -> None:
    """No worker could read it; once that is forgotten it can be submitted again."""
    submitted("first")
    tag, owner = "1.7", desk.registry.owner
    desk.redis.hset(KEYS.unacked(owner), tag, b"x")
    limits = json.dumps({"keep_s": KEEP_S, "results_maxlen": 1000, "max_inflight": 0})
    assert desk.scripts.run("quarantine", owner, tag, "{}", 10, "first", "{}", limits) == 1
    assert dedupe.holders(["a"]) == [None]
    forget(desk, "first")
    assert submitted("second") == "second"


def test_the_key_of_another_job_is_left_to_it(desk: Desk) -> None:
    """A late end of the one that held it before does not shorten it."""
    submitted("first")
    desk.redis.set(KEY, "second", ex=HOLD_S)
    desk.add_dead_letter("first", "exhausted")
    assert dedupe.holders(["a"]) == ["second"]
    assert HOLD_S - 60 < desk.redis.ttl(KEY) <= HOLD_S


def test_a_key_that_was_renewed_holds_until_then_after_a_purchase(desk: Desk) -> None:
    """The end of its job does not take back what was asked for meanwhile."""
    submitted("first")
    longer = Submission(text_to_image(), dedupe_key="a", dedupe_ttl_s=2 * HOLD_S, dedupe_renew=True)
    assert list(tasks.submit_many([longer])) == ["first"]
    desk.add_dead_letter("first", "unknown")
    assert 2 * HOLD_S - 60 < desk.redis.ttl(KEY) <= 2 * HOLD_S
