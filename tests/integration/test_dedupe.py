"""Dedupe keys against a real Redis: who holds one, until when, and what a call that is repeated finds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import tasks
from tasks import Submission, broker, dedupe
from tasks.push import Push
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image


@pytest.fixture
def queue(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the Redis that `tasks` is told to use."""
    tasks.configure(redis_url=redis_server.url)
    yield redis_server.client()
    tasks.configure()


def submitted(key: str, job_id: str | None = None) -> str:
    return tasks.submit(text_to_image(), job_id=job_id, dedupe_key=key)


def end(client: redis.Redis, job_id: str, state: str, **more: str | int) -> None:
    """What a worker writes of a job's end."""
    fields: dict[str, str | int] = {"s": state, "z": time.time_ns() // 1_000_000, **more}
    client.hset(f"aigc:job:{job_id}", mapping=fields)  # type: ignore[arg-type]


def message_ids(client: redis.Redis) -> list[str]:
    found: list[bytes] = client.lrange("aigc", 0, -1)  # type: ignore[assignment]
    return [json.loads(message)["headers"]["id"] for message in reversed(found)]


def after_now() -> None:
    """Until Redis and this process agree that a millisecond is over."""
    until = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= until:
        time.sleep(0.0002)


@pytest.mark.parametrize("state", ["rejected", "exhausted", "cancelled"])
def test_a_key_is_free_once_its_job_ended_without_a_purchase(queue: redis.Redis, state: str) -> None:
    """The next job under it is queued, and holds it from then on."""
    submitted("a", "first")
    end(queue, "first", state)
    after_now()
    assert dedupe.holders(["a"]) == [None]
    assert submitted("a", "second") == "second"
    assert submitted("a", "third") == "second"
    assert message_ids(queue) == ["first", "second"]


@pytest.mark.parametrize(
    ("state", "more"),
    [
        *(("accepted", {}), ("unknown", {}), ("sending", {}), ("orphan", {}), ("waiting", {})),
        *(("exhausted", {"d": 1}), ("rejected", {"d": 1}), ("sending", {"c": 1})),
    ],
    ids=str,
)
def test_a_key_is_kept_where_something_may_have_been_bought(
    queue: redis.Redis, state: str, more: dict[str, int]
) -> None:
    """Also by a job that ended without a purchase, where an earlier attempt of it may have been accepted."""
    submitted("a", "first")
    end(queue, "first", state, **more)
    after_now()
    assert dedupe.holders(["a"]) == ["first"]
    assert submitted("a", "second") == "first"
    assert message_ids(queue) == ["first"]


def test_a_key_is_free_as_soon_as_its_waiting_job_is_cancelled(queue: redis.Redis) -> None:
    """No worker has to meet the cancelled job first."""
    submitted("a", "first")
    assert tasks.cancel("first")
    assert submitted("a", "second") == "second"


def test_a_job_submitted_again_after_its_end_holds_its_key_again(queue: redis.Redis) -> None:
    """Its record still says how it ended before: that frees the key for nobody else."""
    submitted("a", "first")
    end(queue, "first", "rejected")
    after_now()
    assert submitted("a", "first") == "first"
    assert submitted("a", "second") == "first"
    assert dedupe.holders(["a"]) == ["first"]
    assert message_ids(queue) == ["first", "first"]
    after_now()
    end(queue, "first", "rejected")
    after_now()
    assert submitted("a", "second") == "second"


def test_a_push_repeated_after_a_lost_reply_gives_the_same_id_and_pushes_nothing_more(
    queue: redis.Redis,
) -> None:
    """Also where the job has ended before the repetition, and where it was submitted again after an end."""
    end(queue, "again", "rejected")
    after_now()
    push = Push("aigc", 50)
    for job_id in ("new", "again"):
        push.add(Submission(text_to_image(), job_id, dedupe_key=job_id))
    first = push.ids(push.to_redis(broker.redis_client()))
    assert push.ids(push.to_redis(broker.redis_client())) == first == ["new", "again"]
    for job_id in first:
        end(queue, job_id, "rejected")
    assert push.ids(push.to_redis(broker.redis_client())) == first
    assert message_ids(queue) == first


def test_submit_many_takes_keys_and_gives_the_ids_in_order(queue: redis.Redis) -> None:
    """Those with a key travel alone, the others together; a key that is held gives the holder's id."""
    submitted("held", "holder")
    jobs: list[dict[str, Any] | Submission] = [
        text_to_image(),
        Submission(text_to_image(), "one", dedupe_key="a", dedupe_ttl_s=100),
        Submission(text_to_image(), "two"),
        Submission(text_to_image(), "three", dedupe_key="held"),
        Submission(text_to_image(), "four", dedupe_key="a"),
    ]
    ids = list(tasks.submit_many(jobs))
    assert ids[1:] == ["one", "two", "holder", "one"]
    assert message_ids(queue)[:2] == ["holder", "one"]
    assert len(message_ids(queue)) == 3
    assert 90 < queue.ttl(dedupe.key_name("aigc", "a")) <= 100


def test_a_thousand_and_one_keys_are_pushed_and_asked_for_in_a_few_calls(queue: redis.Redis) -> None:
    """5,000 rows of a catalogue are ten scripts, and five to ask who holds what."""
    keys = [f"key-{n}" for n in range(1001)]
    jobs = [Submission(text_to_image(), f"job-{n}", dedupe_key=key) for n, key in enumerate(keys)]
    queue.config_resetstat()
    assert list(tasks.submit_many(jobs)) == [job.job_id for job in jobs]
    assert list(tasks.submit_many(jobs)) == [job.job_id for job in jobs]
    assert dedupe.holders([*keys, "free"]) == [*(job.job_id for job in jobs), None]
    assert dedupe.holders([]) == []
    assert queue.llen("aigc") == 1001
    calls = queue.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert calls <= 3 + 3 + 2 + 2  # the first of each script once more, since Redis did not know it


def test_keys_go_with_the_message_of_the_urgent_queue(queue: redis.Redis) -> None:
    """The key is the same, whatever the priority."""
    ids = list(tasks.submit_many([Submission(text_to_image(), "one", dedupe_key="a")], priority="high"))
    assert ids == ["one"]
    assert submitted("a", "two") == "one"
    assert queue.llen("aigc.high") == 1


def test_a_bad_key_is_named_by_its_index(queue: redis.Redis) -> None:
    """What stands before it is queued, as for any other fault."""
    seen: list[str] = []
    with pytest.raises(tasks.InvalidPayload, match=r"^\[1\]\.dedupe_key: "):
        seen.extend(tasks.submit_many([text_to_image(), Submission(text_to_image(), dedupe_key="")]))
    assert len(seen) == 1


def test_no_key_is_held_for_jobs_that_redis_refused(queue: redis.Redis) -> None:
    """All of a push that was refused can be submitted again under their keys."""
    queue.set("aigc", "no list")
    jobs = [Submission(text_to_image(), name, dedupe_key=name) for name in "ab"]
    with pytest.raises(tasks.BrokerUnavailable, match="something of another type"):
        list(tasks.submit_many(jobs))
    assert dedupe.holders(["a", "b"]) == [None, None]


@pytest.mark.parametrize("renews", [True, False])
def test_a_key_that_is_renewed_holds_from_the_last_call_on(queue: redis.Redis, renews: bool) -> None:
    """Others from the first one on; a shorter time than is left shortens neither."""
    for ttl_s in (100, 1000, 10):
        job = Submission(text_to_image(), dedupe_key="a", dedupe_ttl_s=ttl_s, dedupe_renew=renews)
        assert len(list(tasks.submit_many([job]))) == 1
    expected_s = 1000 if renews else 100
    assert expected_s - 60 < queue.ttl(dedupe.key_name("aigc", "a")) <= expected_s
    assert queue.llen("aigc") == 1
