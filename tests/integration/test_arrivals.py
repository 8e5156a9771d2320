"""A message that arrives in an empty queue is noticed at once, and is left where it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer
from worker.store.arrivals import ArrivalWatcher
from worker.store.scripts import connect

LISTS = ["q.high", "q", "q.low"]
LONG_S = 20.0


@pytest.fixture
def watcher(own_redis_server: RedisServer) -> Iterator[ArrivalWatcher]:
    watcher = ArrivalWatcher(connect(own_redis_server.url, 4), LISTS)
    yield watcher
    watcher.close()


def noticing(watcher: ArrivalWatcher) -> threading.Thread:
    """A wait that lasts for long unless something is noticed."""
    waiting = threading.Thread(target=watcher, args=(LONG_S,), daemon=True)
    waiting.start()
    return waiting


def has_noticed(waiting: threading.Thread) -> bool:
    waiting.join(LONG_S / 2)
    return not waiting.is_alive()


@pytest.mark.parametrize("name", LISTS)
def test_a_message_is_noticed_in_whichever_list_it_arrives(
    own_redis_server: RedisServer, watcher: ArrivalWatcher, name: str
) -> None:
    """The wait ends, and the message is still there."""
    waiting = noticing(watcher)
    client = own_redis_server.client()
    client.lpush(name, "a message")
    assert has_noticed(waiting)
    assert client.lrange(name, 0, -1) == [b"a message"]


def test_a_message_is_noticed_but_once(own_redis_server: RedisServer, watcher: ArrivalWatcher) -> None:
    """One that was there already is; after it was taken the next wait is for the next message."""
    client = own_redis_server.client()
    client.lpush("q", "first")
    assert has_noticed(noticing(watcher))
    client.rpop("q")
    waiting = noticing(watcher)
    client.lpush("q", "second")
    assert has_noticed(waiting)
    assert client.rpop("q") == b"second"


def test_a_restarted_redis_is_waited_at_again(own_redis_server: RedisServer, watcher: ArrivalWatcher) -> None:
    """A connection that was lost is made anew by the next wait."""
    watcher(0.05)
    own_redis_server.kill()
    watcher(0.05)
    own_redis_server.start()
    own_redis_server.client().lpush("q", "a message")
    assert has_noticed(noticing(watcher))


def test_the_end_is_noticed_at_once_and_for_good(watcher: ArrivalWatcher) -> None:
    """By a wait that is under way, and by each later one."""
    waiting = noticing(watcher)
    watcher.end()
    assert has_noticed(waiting)
    assert has_noticed(noticing(watcher))
