"""One message, by the id of what it is about."""

from __future__ import annotations

from .. import backend
from ..checks import time_to_wait
from .feed import Feed, M


def get(feed: Feed[M], of: str) -> M | None:
    """The last message about this; None where there is none."""
    feed.check_id(of)
    return backend.current().message(feed, of)


def wait(feed: Feed[M], of: str, timeout_s: float | None) -> M:
    """The message about this, once it is there. Raises TimeoutError."""
    feed.check_id(of)
    timeout_s = time_to_wait(timeout_s)
    if timeout_s != 0:
        return backend.current().wait(feed, of, timeout_s)
    message = get(feed, of)
    if message is None:
        raise feed.timed_out(of, timeout_s)
    return message


async def wait_async(feed: Feed[M], of: str, timeout_s: float | None) -> M:
    """`wait` for asyncio."""
    feed.check_id(of)
    timeout_s = time_to_wait(timeout_s)
    return await backend.current().wait_async(feed, of, timeout_s)
