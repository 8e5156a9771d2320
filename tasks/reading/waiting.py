"""Threads that wait for messages: one dispatcher of a feed for all, in a thread of its own meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from .. import broker
from ..clients import SOCKET_TIMEOUT_S, new_client, reported
from .dispatcher import Dispatcher
from .drivers import Blocking, finish
from .feed import AnyFeed, Feed, Found, M
from .lookup import found, look_up
from .patience import Patience

_MOST_S: Final = 10.0


class _Shared:
    """What the threads of this process share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.turn = threading.Lock()
        self.dispatchers: dict[AnyFeed, Dispatcher[Any]] = {}


_shared = _Shared()


def _forget() -> None:
    global _shared
    _shared = _Shared()  # the thread that served the others is the parent's, as are they


os.register_at_fork(after_in_child=_forget)


def wait(feed: Feed[M], of: str, timeout_s: float | None) -> M:
    """The message about this, once it is there; raises TimeoutError."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    waiter: Future[M] = Future()
    dispatcher, has_to_look = _joined(feed, of, waiter)
    try:
        if has_to_look and (message := _look_in_turn(feed, of)):
            return message
        return waiter.result(None if until is None else max(0.0, until - time.monotonic()))
    except TimeoutError:
        if not has_to_look and (message := _look_in_turn(feed, of)):  # it was not even subscribed by then
            return message
        raise feed.timed_out(of, timeout_s) from None
    finally:
        dispatcher.remove(of, waiter)


def _joined(feed: Feed[M], of: str, waiter: Future[M]) -> tuple[Dispatcher[M], bool]:
    with _shared.lock:
        known = _shared.dispatchers.get(feed)
        if known is not None and known.settings == broker.settings():
            has_to_look = known.add(of, waiter)
            if has_to_look is not None:
                return known, has_to_look
        client = new_client(broker.settings().redis_url, socket_timeout_s=SOCKET_TIMEOUT_S)
        patience = Patience.blocking(feed.log, None, None)
        dispatcher = Dispatcher(feed, Blocking(client).as_async(), partial(_found, feed), patience)
        dispatcher.add(of, waiter)
        _shared.dispatchers[feed] = dispatcher
        name = f"aigc {feed.noun}"
        threading.Thread(target=lambda: finish(dispatcher.run()), name=name, daemon=True).start()
        return dispatcher, False


async def _found(feed: Feed[M], ids: Sequence[str]) -> dict[str, Found[M]]:
    with _turn():
        return await found(feed, Blocking(broker.redis_client()).as_async(), ids)


def _look_in_turn(feed: Feed[M], of: str) -> M | None:
    with reported(), _turn():
        return look_up(feed, of)


@contextmanager
def _turn() -> Iterator[None]:
    """One thread at a time: a thousand that begin to wait at once take one connection for it."""
    from redis.exceptions import TimeoutError

    turn = _shared.turn
    if not turn.acquire(timeout=_MOST_S):
        raise TimeoutError(f"no answer within {_MOST_S:.0f} s")
    try:
        yield
    finally:
        turn.release()
