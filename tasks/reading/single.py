"""One message, by the id of what it is about."""

from __future__ import annotations

from .. import backend
from ..checks import clip
from .feed import Feed, M


def get(feed: Feed[M], of: str) -> M | None:
    """The last message about this; None where there is none."""
    feed.check_id(of)
    return backend.current().message(feed, of)


def wait(feed: Feed[M], of: str, timeout_s: float | None) -> M:
    """The message about this, once it is there. Raises TimeoutError."""
    _check(feed, of, timeout_s)
    if timeout_s != 0:
        return backend.current().wait(feed, of, timeout_s)
    message = get(feed, of)
    if message is None:
        raise feed.timed_out(of, timeout_s)
    return message


async def wait_async(feed: Feed[M], of: str, timeout_s: float | None) -> M:
    """`wait` for asyncio."""
    _check(feed, of, timeout_s)
    return await backend.current().wait_async(feed, of, timeout_s)


def _check(feed: Feed[M], of: str, timeout_s: object) -> None:
    feed.check_id(of)
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if timeout_s is not None and not (is_number and timeout_s >= 0):  # type: ignore[operator]
        raise ValueError(f"timeout_s must be a number of seconds, 0 or more, or None, got {clip(timeout_s)}")
