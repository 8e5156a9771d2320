"""What an event puts into Redis, in one script: once, and the last one of a product that is changed again."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar
from unittest import mock

import pytest

from tasks.dedupe import Keyed, key_name, push_keyed
from tasks.envelope import Job, encode
from tasks.exceptions import BrokerUnavailable
from tests.conditions import PATIENCE_S, until
from tests.integration.desk import KEYS
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.store import events as events_module
from worker.store.events import ANSWER_WITHIN_S, PROBLEMS_KEPT, Enqueued, EventQueue, Order
from worker.store.scripts import Scripts

T = TypeVar("T")
SOON_S = 0.05


def keyed(job_id: str, key: str = "") -> Keyed:
    """A job of that id, whose purchase key is its first letter where none is given."""
    stamp = time.time_ns() // 1_000_000
    message = encode(Job(job_id, CAT, enqueued_ms=stamp), KEYS.queue)
    return Keyed(key or job_id[0], 100, job_id, stamp, message)


def order(*job_ids: str, event: str = "", wait_s: float = 0.0, **more: Any) -> Order:
    debounce = {"debounce": "product", "wait_s": wait_s} if wait_s else {}
    return Order((event,) if event else (), tuple(map(keyed, job_ids)), **{**debounce, **more})


class Desk:
    """A queue, and what is in it."""

    def __init__(self, server: RedisServer) -> None:
        self.url = server.url
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=2)
        self.redis: Any = self.scripts.client

    def run(
        self,
        use: Callable[[EventQueue], Awaitable[T]],
        priority: Any = "normal",
        within_s: float = PATIENCE_S,
    ) -> T:
        """`within_s`: for how long Redis is waited for; its own bound a busy machine may reach."""

        async def main() -> T:
            events = EventQueue(self.url, KEYS, priority, 100)
            try:
                return await use(events)
            finally:
                await events.close()

        with mock.patch.object(events_module, "ANSWER_WITHIN_S", within_s):
            return asyncio.run(main())

    def enqueue(self, *orders: Order) -> list[Enqueued]:
        """One after the other."""

        async def each(events: EventQueue) -> list[Enqueued]:
            return [await events.enqueue(order) for order in orders]

        return self.run(each)

    def queued(self) -> list[str]:
        """Ids of what a worker would take now, the next one first."""
        self.scripts.run("promote", 100)
        return [json.loads(raw)["headers"]["id"] for raw in reversed(self.redis.lrange(KEYS.queue, 0, -1))]

    def waiting(self) -> set[str]:
        members = {member.decode() for member in self.redis.zrange(KEYS.delayed, 0, -1)}
        assert members == {member.decode() for member in self.redis.hkeys(KEYS.delayed_messages)}
        return members

    def holder(self, key: str) -> str | None:
        held = self.redis.get(key_name(KEYS.queue, key))
        return held.decode() if held else None


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.scripts.close()


def test_an_event_queues_its_jobs_once(desk: Desk) -> None:
    """The same event again, and another one about the same pictures, queue nothing more."""
    first, again, other = desk.enqueue(
        order("a1", "b1", event="e"), order("a2", event="e"), order("a3", "c3")
    )
    assert (first, again) == (Enqueued("queued", ("a1", "b1")), Enqueued("seen"))
    assert other == Enqueued("queued", ("c3",), ("a1",))
    assert desk.queued() == ["a1", "b1", "c3"]
    assert 90 < desk.redis.ttl(key_name(KEYS.queue, "a")) <= 100
    (mark,) = desk.redis.keys("aigc:event:*")
    assert 90 < desk.redis.ttl(mark) <= 100


def test_events_at_once_go_together(desk: Desk) -> None:
    """Of a hundred about one picture, one is queued; those of others are not lost among them."""

    async def at_once(events: EventQueue) -> list[Enqueued]:
        same = [events.enqueue(order(f"a{number}", event=f"e{number}")) for number in range(100)]
        others = [events.enqueue(Order((), (keyed(f"{number}", f"k{number}"),))) for number in range(100)]
        return list(await asyncio.gather(*same, *others))

    answers = desk.run(at_once)
    assert sum(len(each.queued) for each in answers[:100]) == 1
    assert all(len(each.queued) == 1 for each in answers[100:])
    assert len(desk.queued()) == 101


def test_two_jobs_of_one_key_in_an_event_are_one(desk: Desk) -> None:
    """A variation repeats its parent's picture."""
    assert desk.enqueue(order("a1", "a2")) == [Enqueued("queued", ("a1",), ("a1",))]


def test_a_key_is_free_where_its_job_was_refused(desk: Desk) -> None:
    """As for every producer; but the event itself is known."""
    desk.enqueue(order("a1", event="e"))
    desk.redis.hset(KEYS.job("a1"), mapping={"s": "rejected", "z": 1})
    assert desk.enqueue(order("a2", event="e"), order("a3")) == [
        Enqueued("seen"),
        Enqueued("queued", ("a3",)),
    ]


def test_a_key_that_is_renewed_holds_for_its_time_from_the_last_event(desk: Desk) -> None:
    """What stands in a shop is asked for again and again; other keys hold from the purchase on."""
    for job_id, renews in (("a1", True), ("b1", False)):
        job = keyed(job_id)._replace(ttl_s=10, renews=renews)
        longer = job._replace(job_id=f"{job_id}-again", ttl_s=1000)
        desk.enqueue(Order((), (job,)), Order((), (longer,)))
        left_s = desk.redis.ttl(key_name(KEYS.queue, job.key))
        assert (900 < left_s <= 1000) if renews else (0 < left_s <= 10)
    assert desk.queued() == ["a1", "b1"]


def test_the_shops_for_which_something_was_asked_for_are_known(desk: Desk) -> None:
    """A catalogue that names none, or another one, would buy it again; without jobs nothing was asked for."""
    for each in (order("a1", shop="a.example"), order("b1"), order(shop="c.example"), order("d1", shop="")):
        desk.enqueue(each)
    assert desk.redis.smembers(KEYS.shops) == {b"a.example", b""}


def test_what_is_replaced_leaves_no_record(desk: Desk) -> None:
    """It was never queued, and is nothing to remember."""
    desk.enqueue(order("a1", event="1", wait_s=60), order("b1", event="2", wait_s=60))
    assert desk.waiting() == {"b1"}
    assert not desk.redis.exists(KEYS.job("a1"))
    assert desk.redis.ttl(KEYS.job("b1")) > 366 * 86_400, "longer than a job can wait"


@pytest.mark.parametrize("priority", ["high", "low"])
def test_jobs_go_to_the_list_of_their_priority(desk: Desk, priority: str) -> None:
    """At once, and from the delayed set."""
    desk.run(lambda events: events.enqueue(order("a1")), priority)
    desk.run(lambda events: events.enqueue(order("b1", wait_s=SOON_S)), priority)
    name = f"{KEYS.queue}.{priority}"
    until(lambda: desk.scripts.run("promote", 100) and desk.redis.llen(name) == 2, "both in their list")


def test_the_last_event_of_a_product_wins(desk: Desk) -> None:
    """What waited of an earlier one is gone, and so is its hold on a picture that is no more."""
    answers = desk.enqueue(*(order(f"{key}{n}", wait_s=60, event=f"e{n}") for n, key in enumerate("abac")))
    assert [each.replaced for each in answers] == [0, 1, 1, 1]
    assert [each.queued for each in answers] == [("a0",), ("b1",), ("a2",), ("c3",)]
    assert desk.waiting() == {"c3"}
    assert [desk.holder(key) for key in "abc"] == [None, None, "c3"]


def test_a_product_that_wants_nothing_any_more_gets_nothing(desk: Desk) -> None:
    """It was unpublished within the time."""
    desk.enqueue(order("a1", wait_s=60))
    assert desk.enqueue(order(wait_s=60)) == [Enqueued("queued", replaced=1)]
    assert (desk.waiting(), desk.holder("a")) == (set(), None)


def test_an_earlier_change_that_comes_later_does_not_win(desk: Desk) -> None:
    """Webhooks come in any order."""
    newer, older = (
        order("b1", wait_s=60, modified_ms=2000),
        order("a1", wait_s=60, modified_ms=1000, event="e"),
    )
    assert desk.enqueue(newer, older)[1] == Enqueued("outdated")
    assert desk.waiting() == {"b1"}
    assert desk.enqueue(older) == [Enqueued("seen")]


def test_what_waits_is_queued_without_this_process(desk: Desk) -> None:
    """It is in Redis, and a worker's maintenance puts it into its list; from then on it is not replaced."""
    desk.enqueue(order("a1", wait_s=SOON_S))
    until(lambda: desk.queued() == ["a1"], "the job in its list")
    assert desk.enqueue(order("a2", "b2", wait_s=SOON_S)) == [Enqueued("queued", ("b2",), ("a1",))]
    until(lambda: desk.queued() == ["b2", "a1"], "the other one")


def test_a_job_that_was_claimed_once_is_not_replaced(desk: Desk) -> None:
    """It waits for its next attempt: it may have been bought."""
    desk.enqueue(order("a1", wait_s=60))
    desk.redis.hset(KEYS.job("a1"), "s", "waiting")
    assert desk.enqueue(order("a2", wait_s=60)) == [Enqueued("queued", (), ("a1",))]
    assert desk.waiting() == {"a1"}


def test_a_product_that_is_changed_all_the_time_is_queued_all_the_same(desk: Desk) -> None:
    """After ten times its debounce."""
    end = time.monotonic() + PATIENCE_S
    for number in itertools.count():
        if desk.queued():
            break
        assert time.monotonic() < end
        desk.enqueue(order(f"a{number}", wait_s=SOON_S))


def test_what_is_asked_again_after_a_lost_reply_is_there_once(desk: Desk) -> None:
    """With a mark, without one, and where it waits."""
    for asked in (order("a1", event="e"), order("b1"), order("c1", wait_s=60)):
        desk.enqueue(asked, asked)
    assert desk.queued() == ["a1", "b1"]
    assert desk.waiting() == {"c1"}


def test_a_list_of_another_type_gives_the_keys_back(desk: Desk) -> None:
    """Else nobody could queue the picture once that is mended."""
    desk.redis.set(KEYS.queue, "no list")
    with pytest.raises(BrokerUnavailable):
        desk.enqueue(order("a1", event="e"))
    assert desk.redis.keys() == [b"aigc"]
    desk.redis.delete(KEYS.queue)
    assert desk.enqueue(order("a1", event="e")) == [Enqueued("queued", ("a1",))]


def test_redis_may_forget_its_scripts_and_close_connections(desk: Desk) -> None:
    """Neither is told to a sender."""

    async def meanwhile(events: EventQueue) -> list[Enqueued]:
        answers = [await events.enqueue(order("a1"))]
        desk.redis.script_flush()
        answers.append(await events.enqueue(order("b1")))
        desk.redis.client_kill_filter(_type="normal", skipme=True)
        return [*answers, await events.enqueue(order("c1"))]

    assert [each.queued for each in desk.run(meanwhile)] == [("a1",), ("b1",), ("c1",)]


def test_a_redis_that_hangs_is_told_in_time(own_redis_server: RedisServer) -> None:
    """Of everybody who waits; what goes through later is in the queue once."""
    desk = Desk(own_redis_server)
    pid = int(desk.redis.info("server")["process_id"])

    async def meanwhile(events: EventQueue) -> list[Any]:
        await events.enqueue(order("a1"))
        os.kill(pid, signal.SIGSTOP)
        try:
            asked = [events.enqueue(order(f"b{n}", event="e")) for n in range(3)]
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            os.kill(pid, signal.SIGCONT)

    assert [type(each) for each in desk.run(meanwhile, within_s=3)] == [BrokerUnavailable] * 3
    until(lambda: len(desk.queued()) <= 2, "at most one of them")
    desk.enqueue(order("b9", event="e"))
    assert len(desk.queued()) == 2
    assert ANSWER_WITHIN_S < 1
    desk.scripts.close()


def test_problems_are_kept_and_trimmed(desk: Desk) -> None:
    """The newest first, and each counted."""

    async def note(events: EventQueue) -> None:
        for number in range(3):
            await events.note(f"problem {number}")

    desk.redis.rpush(KEYS.event_problems, *range(PROBLEMS_KEPT))
    desk.run(note)
    assert desk.redis.lrange(KEYS.event_problems, 0, 1) == [b"problem 2", b"problem 1"]
    assert desk.redis.llen(KEYS.event_problems) == PROBLEMS_KEPT
    assert desk.redis.hget(KEYS.counters, "event_problems") == b"3"


def test_a_job_that_another_product_relies_on_is_not_replaced(desk: Desk) -> None:
    """Two products have one picture: a change of the first must not take away what the second has."""
    desk.enqueue(order("a1", wait_s=9), order("a2", wait_s=9, debounce="another"))
    (changed,) = desk.enqueue(order("b1", wait_s=9))
    assert (changed.queued, changed.replaced) == (("b1",), 0)
    assert (desk.waiting(), desk.holder("a")) == ({"a1", "b1"}, "a1")


def test_a_job_that_a_catalogue_relies_on_is_not_replaced(desk: Desk) -> None:
    """A catalogue was told that the picture is queued already: it stays, whatever becomes of the product."""
    desk.enqueue(order("a1", wait_s=9))
    push = push_keyed(KEYS.queue, KEYS.queue, [keyed("a2")], [])
    desk.redis.eval(push.text, len(push.keys), *push.keys, *push.args)
    (changed,) = desk.enqueue(order("b1", wait_s=9))
    assert (changed.queued, changed.replaced) == (("b1",), 0)
    assert desk.waiting() == {"a1", "b1"}
