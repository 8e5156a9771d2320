"""During an upgrade: what a later version wrote of webhooks and product events is understood or left."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

import tasks
from tests.conditions import until
from tests.integration.stage import CAT
from tests.integration.test_events_queue import Desk, keyed
from tests.integration.webhook_endpoint import (
    KEYS,
    NAMES,
    ShopEndpoint,
    forwarding,
    listening,
    output,
    publish,
    result,
)
from tests.redis_server import RedisServer
from worker.services.forward import turn
from worker.services.forward.endpoint import endpoint_of
from worker.store.events import Enqueued, Order
from worker.store.forward_state import group_of
from worker.store.forward_stats import forwards
from worker.store.forward_values import before


def stands(server: RedisServer) -> dict[str, Any]:
    """How the one endpoint stands."""
    (found,) = forwards(server.client(), KEYS, NAMES)
    return found


def delivered(server: RedisServer, count: int) -> Callable[[], bool]:
    """Whether so many are, and that is written down."""
    return lambda: stands(server)["delivered"] >= count


def test_a_retry_of_a_stream_of_a_later_version_is_left_to_it(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not sent, nor lost, and what is known goes on; it is said."""
    with listening() as endpoint:
        retries = KEYS.forward_retries(endpoint_of(endpoint.url).name)
        later = json.dumps({"stream": "batches", "entry_id": "5-0", "batch": "night", "due_ms": 0})
        redis_server.client().hset(retries, "batches:5-0", later)
        publish(redis_server.client(), result("a"))
        with caplog.at_level(logging.WARNING), forwarding(redis_server, endpoint) as running:
            until(delivered(redis_server, 1), "what is known")
        assert running.ending == "stopped"
        assert redis_server.client().hgetall(retries) == {b"batches:5-0": later.encode()}
    assert [each.job for each in endpoint.taken] == ["a"]
    assert "newer version" in caplog.text


def test_what_a_later_version_noted_of_a_retry_stays(redis_server: RedisServer) -> None:
    """Though it is tried again by this one, and put off once more."""
    client: Any = redis_server.client()
    (entry,) = publish(client, result("a"))
    with listening(ShopEndpoint(lambda _: 500)) as endpoint:
        retries = KEYS.forward_retries(endpoint_of(endpoint.url).name)
        later = {"stream": "results", "entry_id": entry, "job": "a", "attempts": 3, "of_later": {"a": 1}}
        client.hset(retries, f"results:{entry}", json.dumps(later))
        with forwarding(redis_server, endpoint):
            until(lambda: b'"attempts":4' in client.hvals(retries)[0], "another attempt")
        assert json.loads(client.hvals(retries)[0])["of_later"] == {"a": 1}
        endpoint.answer = lambda _: 204
        client.hset(retries, f"results:{entry}", json.dumps(later))
        with forwarding(redis_server, endpoint):
            until(delivered(redis_server, 1), "its delivery")
        assert client.hlen(retries) == 0
    assert len(set(endpoint.taken_ids())) == len(endpoint.taken) == 1


def test_a_replay_of_a_stream_of_a_later_version_is_left_to_it(redis_server: RedisServer) -> None:
    """It is not taken for one of results, and those that are asked for behind it are done."""
    client: Any = redis_server.client()
    publish(client, result("a"), result("b"), output("a", "t"))
    with listening() as endpoint:
        replays = KEYS.forward_replays(endpoint_of(endpoint.url).name)
        later = [
            json.dumps({"stream": stream, "first": "0", "last": f"{2**63}-0"}) for stream in ("batches", "x")
        ]
        with forwarding(redis_server, endpoint):
            until(delivered(redis_server, 3), "all")
            client.rpush(replays, *later, json.dumps({"stream": "outputs", "first": "0", "last": "+"}))
            publish(client, result("c"))
            until(delivered(redis_server, 5), "a new one, and the output again")
            until(lambda: client.llen(replays) == 2, "the replay's end")
        assert client.lrange(replays, 0, -1) == [text.encode() for text in later]
    assert sorted(each.what for each in endpoint.taken) == [
        ("a", "job.submitted"), ("a", "task.succeeded"), ("a", "task.succeeded"), ("b", "job.submitted"),
        ("c", "job.submitted"),
    ]  # fmt: skip


def test_a_dead_letter_of_a_stream_of_a_later_version_is_left_to_it(redis_server: RedisServer) -> None:
    """A replay of what was given up sends the others."""
    client: Any = redis_server.client()
    with listening() as endpoint:
        name = endpoint_of(endpoint.url).name
        for stream in ("batches", "results"):
            dead = {"stream": stream, "entry": "5-0", "jobId": "a", "attempts": 9, "text": result("a")}
            client.xadd(KEYS.forward_failed(name), {"failed": json.dumps(dead)})
        asked = {"stream": "failed", "last": f"{2**62}", "since": "0", "until": f"{2**62}"}
        client.rpush(KEYS.forward_replays(name), json.dumps(asked))
        with forwarding(redis_server, endpoint):
            until(delivered(redis_server, 1), "the one that is known")
        ((_, fields),) = client.xrange(KEYS.forward_failed(name))
        assert json.loads(fields[b"failed"])["stream"] == "batches"
    assert [each.what for each in endpoint.taken] == [("a", "job.submitted")]


def test_an_entry_of_a_later_schema_that_cannot_be_read_waits_for_who_can(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays taken and unacknowledged, through restarts; one that can be read is sent as it is."""
    client: Any = redis_server.client()
    unreadable = json.dumps({"schema": 2, "job": {"id": "later"}})
    (left, _, _) = publish(client, unreadable, result("a", schema=2), result("b", "of_later"))
    with listening() as endpoint, caplog.at_level(logging.WARNING):
        for count, job in enumerate("cd", 3):
            publish(client, result(job))
            with forwarding(redis_server, endpoint):
                until(delivered(redis_server, count), "what can be read")
        assert stands(redis_server)["given_up"] == 0
        group = group_of(endpoint_of(endpoint.url).name)
        (pending,) = client.xpending_range(NAMES["results"], group, "-", "+", 9)
        assert pending["message_id"].decode() == left
    assert sorted(each.what for each in endpoint.taken) == [
        ("a", "job.submitted"), ("b", "job.of_later"), ("c", "job.submitted"), ("d", "job.submitted"),
    ]  # fmt: skip
    assert caplog.text.count("is left to a newer version") == 2  # once for each forwarder


def position(client: Any, endpoint: ShopEndpoint) -> str:
    """The entry up to which a new group of results would begin."""
    name = endpoint_of(endpoint.url).name
    return (client.hget(KEYS.forward_state(name), "position_results") or b"0-0").decode()


def test_what_is_left_to_a_later_version_outlives_its_group(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group that is made anew begins before it: others may be sent again, and it is there still."""
    monkeypatch.setattr(turn, "POSITION_EVERY_S", 0.1)
    client: Any = redis_server.client()
    later = json.dumps({"schema": 2, "job": {"id": "later"}})
    (_, left, _) = publish(client, result("a"), later, result("b"))
    with listening() as endpoint:
        group = group_of(endpoint_of(endpoint.url).name)
        with forwarding(redis_server, endpoint):
            until(delivered(redis_server, 2), "what can be read")
            until(lambda: position(client, endpoint) >= before(left), "its position to be written")
        client.xgroup_destroy(NAMES["results"], group)
        publish(client, result("c"))
        with forwarding(redis_server, endpoint):
            until(lambda: "c" in {each.job for each in endpoint.taken}, "what came after")
            until(lambda: stands(redis_server)["pending"] == 1, "all others to be acknowledged")
        (pending,) = client.xpending_range(NAMES["results"], group, "-", "+", 9)
        assert pending["message_id"].decode() == left


@pytest.mark.parametrize("has_text", [False, True])
def test_a_retry_of_a_later_schema_that_cannot_be_read_waits_for_who_can(
    has_text: bool, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """On the way back from an upgrade: the later version could send it, and the endpoint did not take it."""
    client: Any = redis_server.client()
    unreadable = json.dumps({"schema": 2, "job": {"id": "later"}})
    (entry, _) = publish(client, unreadable, result("a"))
    with listening() as endpoint, caplog.at_level(logging.WARNING):
        retries = KEYS.forward_retries(endpoint_of(endpoint.url).name)
        kept = {"stream": "results", "entry_id": entry, "job": "a", "attempts": 1}
        later = json.dumps(kept | ({"text": unreadable} if has_text else {}))
        client.hset(retries, f"results:{entry}", later)
        with forwarding(redis_server, endpoint):
            until(delivered(redis_server, 1), "what can be read, of the same job")
        assert client.hgetall(retries) == {f"results:{entry}".encode(): later.encode()}
        assert stands(redis_server)["given_up"] == 0
    assert [each.what for each in endpoint.taken] == [("a", "job.submitted")]
    assert caplog.text.count("is left to a newer version") == 1


@pytest.fixture
def desk(redis_server: RedisServer) -> Any:
    made = Desk(redis_server)
    yield made
    made.scripts.close()


def _debounced(*job_ids: str, event: str) -> Order:
    return Order((event,), tuple(keyed(each, each[0]) for each in job_ids), "product", 600.0)


def test_what_a_later_version_noted_of_a_debounce_stays(desk: Desk) -> None:
    """The last event of the product takes the place of the one before, as it would without it."""
    desk.enqueue(_debounced("a1", event="1"))
    (key,) = desk.redis.keys("aigc:debounce:*")
    stored = json.loads(desk.redis.get(key))
    desk.redis.set(key, json.dumps({**stored, "of_later": {"a": "b"}}), keepttl=True)
    assert desk.enqueue(_debounced("b1", event="2")) == [Enqueued("queued", ("b1",), replaced=1)]
    assert json.loads(desk.redis.get(key))["of_later"] == {"a": "b"}
    assert desk.waiting() == {"b1"}


def test_a_job_that_waits_for_a_debounce_in_a_state_of_a_later_version_is_not_replaced(desk: Desk) -> None:
    """It may be bought already: the later event's job comes beside it, and not the same purchase again."""
    desk.enqueue(_debounced("a1", event="1"))
    desk.redis.hset(KEYS.job("a1"), "s", "in-review")
    assert desk.enqueue(_debounced("a2", "b1", event="2")) == [Enqueued("queued", ("b1",), ("a1",))]
    assert desk.waiting() == {"a1", "b1"}


@pytest.mark.parametrize("held", ["a-job\nof a later version", "a-job\n17\nof a later version"])
def test_a_purchase_key_that_a_later_version_wrote_is_held(
    desk: Desk, redis_server: RedisServer, held: str
) -> None:
    """By the job that it names first: it is not bought again, by an event or by a producer."""
    desk.enqueue(Order((), (keyed("a1"),)))
    (key,) = desk.redis.keys("aigc:dedupe:*")
    desk.redis.set(key, held, keepttl=True)
    desk.redis.hset(KEYS.job("a-job"), mapping={"s": "in-review", "z": round(1000 * time.time())})
    assert desk.enqueue(Order((), (keyed("a2"),))) == [Enqueued("queued", (), ("a-job",))]
    tasks.configure(redis_url=redis_server.url)
    assert tasks.submit(CAT, dedupe_key="a") == "a-job"
    tasks.configure()
