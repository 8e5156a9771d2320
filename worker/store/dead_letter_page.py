"""Dead letters page by page, newest first, however many there are and however few of them are wanted."""

from __future__ import annotations

from typing import Final

from tasks.contract import Status
from tasks.frozen import value
from tasks.result import Result
from worker.store.dead_letters import DeadLetterFilter
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

PAGE_MOST: Final = 200
LOOK_MOST: Final = 2000
"""Dead letters that one call looks at: a filter that matches nothing must not read all of them."""


class BadCursor(ValueError):
    """No page has given this cursor."""


@value(frozen=True, slots=True)
class DeadLetter:
    """``result`` is that with which the job ended; ``request_ids`` are of all its attempts, oldest first."""

    result: Result
    request_ids: tuple[str, ...]


@value(frozen=True, slots=True)
class DeadLetterPage:
    """``letters`` newest first. ``older`` and ``newer`` are cursors for `page`; None where there is nothing.

    ``looked_at``: dead letters that were looked at for it. ``is_cut``: `LOOK_MOST` were looked at before the
    page was full, and there may be more that are wanted: go on from ``older`` (``newer``, if the cursor was
    one).
    """

    letters: tuple[DeadLetter, ...]
    older: str | None
    newer: str | None
    looked_at: int
    is_cut: bool


def page(
    scripts: Scripts,
    keys: KeyNames,
    wanted: DeadLetterFilter,
    cursor: str | None = None,
    most: int = 50,
) -> DeadLetterPage:
    """One page; in a few round trips, each a script that writes nothing.

    A cursor names a place and no number, so what is decided meanwhile shifts nothing: no dead letter is shown
    twice or passed over, and new ones come before the first page.

    Args:
        wanted: the same as for the page that gave the cursor, or another.
        cursor: ``older`` or ``newer`` of a page; None for the newest.
        most: letters, 1 to `PAGE_MOST`.

    Raises:
        BadCursor: a ValueError.
        redis.RedisError: Redis is away, or refuses.
    """
    raise NotImplementedError


def counts(scripts: Scripts, keys: KeyNames) -> dict[Status, int]:
    """How many dead letters there are of each state, in one round trip.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    raise NotImplementedError
