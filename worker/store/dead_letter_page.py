"""Dead letters page by page, newest first, however many there are and however few of them are wanted."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from typing import Any, Final, Literal, Self

from tasks.checks import clip
from tasks.contract import JOB_ID_MAX_CHARS, Status
from tasks.exceptions import AigcError
from tasks.frozen import value
from tasks.json_text import dumps
from tasks.result import Result
from worker.store.dead_letters import DeadLetterFilter, DeadLetters, read_result
from worker.store.keys import DEAD_LETTER_STATES, KeyNames
from worker.store.redis_health import ask
from worker.store.scripts import Scripts

PAGE_MOST: Final = 200
LOOK_MOST: Final = 3000
"""Dead letters that one call looks at: a filter that matches nothing must not read all of them."""

_READ: Final = 500
"""Dead letters that one script reads."""

Side = Literal["older", "newer"]


class BadCursor(AigcError, ValueError):
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


@value(frozen=True, slots=True)
class Place:
    """A place among the dead letters, and the side of it that is wanted. ``second`` is as Redis has it."""

    side: Side
    second: str
    job_id: str

    def cursor(self) -> str:
        """It as text that stands in a URL as it is."""
        told = json.dumps([self.side, self.second, self.job_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str) -> Self:
        """The inverse.

        Raises:
            BadCursor: no page has given it.
        """
        problem = BadCursor(f"cursor: must be one that a page has given, got {clip(cursor)}")
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            side, second, job_id = json.loads(base64.b64decode(padded, b"-_", validate=True))
            is_place = side in ("older", "newer") and isinstance(job_id, str)
            if not is_place or not math.isfinite(float(second)) or len(job_id) > JOB_ID_MAX_CHARS:
                raise problem
        except (ValueError, TypeError, binascii.Error):
            raise problem from None
        return cls(side, str(second), job_id)


_NEWEST: Final = Place("older", "+inf", "")


@value(frozen=True, slots=True)
class _Look:
    """What was found from a place on, nearest first. ``last`` is the place of the last one that was looked
    at; ``has_more``: there may be others behind it."""

    found: tuple[tuple[Place, Result], ...]
    last: Place
    looked_at: int
    has_more: bool


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
    place, most = _NEWEST if cursor is None else Place.of(cursor), max(1, min(most, PAGE_MOST))
    look = _look(scripts, wanted, place, most)
    results = [result for _, result in look.found]
    ids = DeadLetters(scripts, keys).request_ids([result.job_id for result in results])
    letters = [DeadLetter(result, tuple(of)) for result, of in zip(results, ids, strict=True)]
    onwards = look.last.cursor() if look.has_more else None
    # Back from the first one shown; where none is, from where this page began.
    back_from = look.found[0][0] if look.found else place
    other: Side = "newer" if place.side == "older" else "older"
    back = Place(other, back_from.second, back_from.job_id).cursor() if cursor is not None else None
    is_older = place.side == "older"
    return DeadLetterPage(
        letters=tuple(letters if is_older else reversed(letters)),
        older=onwards if is_older else back,
        newer=back if is_older else onwards,
        looked_at=look.looked_at,
        is_cut=look.has_more and len(look.found) < most,
    )


def _look(scripts: Scripts, wanted: DeadLetterFilter, place: Place, most: int) -> _Look:
    """Look at dead letters until so many are found that are wanted, or `LOOK_MOST` were looked at."""
    found: list[tuple[Place, Result]] = []
    looked_at, count = 0, most + 1
    # Read only where these stand in it: of thousands of letters that nobody wants, the JSON takes the time.
    marks = [dumps(words) for words in (wanted.workflow, wanted.code) if words is not None]
    while True:
        read = _read(scripts, wanted, place, count)
        for number, (state, second, job_id, raw) in enumerate(read, 1):
            place = Place(place.side, second.decode(), job_id.decode("utf-8", "replace"))
            result = read_result(raw) if all(mark in raw for mark in marks) else None
            if result is not None and result.status == state.decode() and wanted.has(result):
                found.append((place, result))
            if len(found) == most:
                return _Look(tuple(found), place, looked_at + number, number < len(read))
        looked_at += len(read)
        if len(read) < count or looked_at >= LOOK_MOST:
            return _Look(tuple(found), place, looked_at, len(read) == count)
        count = min(_READ, LOOK_MOST - looked_at)


def _read(
    scripts: Scripts, wanted: DeadLetterFilter, place: Place, count: int
) -> Sequence[tuple[bytes, bytes, bytes, bytes]]:
    bounds = [_bound(wanted.since_s), _bound(wanted.until_s)]
    flat: list[Any] = scripts.run(
        "dead_letters_from", place.side, place.second, place.job_id, *bounds, count, *wanted.states
    )
    return list(zip(*(flat[at::4] for at in range(4)), strict=True))


def _bound(seconds: float) -> str:
    return f"{seconds:+f}" if math.isinf(seconds) else repr(seconds)


def counts(scripts: Scripts, keys: KeyNames) -> dict[Status, int]:
    """How many dead letters there are of each state, in one round trip.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    return ask(scripts.client, {state: ("zcard", keys.dead_letters(state)) for state in DEAD_LETTER_STATES})
