"""What may be done in the main thread only, for tests that wait in several threads at a time.

The embedded Redis ends with the thread that started it, so the product starts it in no other one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, TypeVar

T = TypeVar("T")
ANSWER_WITHIN_S: Final = 60.0

_calls: Final[SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]] = SimpleQueue()


def in_main_thread(call: Callable[[], T]) -> T:
    """What the call returns, or raises; in another thread it is made by `serve_until`."""
    if threading.current_thread() is threading.main_thread():
        return call()
    answer = Future[T]()
    _calls.put((call, answer))
    try:
        return answer.result(ANSWER_WITHIN_S)
    finally:
        answer.cancel()  # nobody waits for it any more


def serve_until(ended: Collection[Future[Any]]) -> None:
    """Make the calls of other threads until all of these have ended."""
    for future in ended:
        future.add_done_callback(lambda _: _calls.put(None))
    while not all(future.done() for future in ended):
        if (order := _calls.get()) and order[1].set_running_or_notify_cancel():
            call, answer = order
            try:
                answer.set_result(call())
            except Exception as error:
                answer.set_exception(error)
