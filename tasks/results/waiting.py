"""Threads that wait for jobs' results: one dispatcher for all of them, in a thread of its own meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

from .. import broker
from ..clients import SOCKET_TIMEOUT_S, new_client, reported
from ..result import Result
from .dispatcher import Dispatcher
from .drivers import Blocking, finish
from .lookup import Found, found, look_up
from .patience import Patience

_MOST_S: Final = 10.0


class _Shared:
    """What the threads of this process share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.turn = threading.Lock()
        self.dispatcher: Dispatcher | None = None


_shared = _Shared()


def _forget() -> None:
    global _shared
    _shared = _Shared()  # the thread that served the others is the parent's, as are they


os.register_at_fork(after_in_child=_forget)


def wait(job_id: str, timeout_s: float | None) -> Result:
    """The job's result, once it is there; raises TimeoutError."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    waiter: Future[Result] = Future()
    dispatcher, has_to_look = _joined(job_id, waiter)
    try:
        if has_to_look and (result := _look_in_turn(job_id)):
            return result
        return waiter.result(None if until is None else max(0.0, until - time.monotonic()))
    except TimeoutError:
        if not has_to_look and (result := _look_in_turn(job_id)):  # it was not even subscribed by then
            return result
        raise TimeoutError(f"job {job_id} has not ended within {timeout_s:g} s") from None
    finally:
        dispatcher.remove(job_id, waiter)


def _joined(job_id: str, waiter: Future[Result]) -> tuple[Dispatcher, bool]:
    with _shared.lock:
        if _shared.dispatcher is not None and _shared.dispatcher.settings == broker.settings():
            has_to_look = _shared.dispatcher.add(job_id, waiter)
            if has_to_look is not None:
                return _shared.dispatcher, has_to_look
        client = new_client(broker.settings().redis_url, socket_timeout_s=SOCKET_TIMEOUT_S)
        dispatcher = Dispatcher(Blocking(client).as_async(), _found, Patience.blocking(None, None))
        dispatcher.add(job_id, waiter)
        _shared.dispatcher = dispatcher
        name = "aigc results"
        threading.Thread(target=lambda: finish(dispatcher.run()), name=name, daemon=True).start()
        return dispatcher, False


async def _found(job_ids: Sequence[str]) -> dict[str, Found]:
    with _turn():
        return await found(Blocking(broker.redis_client()).as_async(), job_ids)


def _look_in_turn(job_id: str) -> Result | None:
    with reported(), _turn():
        return look_up(job_id)


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
