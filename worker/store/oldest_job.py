"""The oldest of the jobs that go on next: of each list, each backlog and the delayed set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tasks.contract import ENQUEUED_AT_HEADER
from worker.domain.message import Malformed, Message, parse
from worker.store.keys import KeyNames
from worker.store.record import FIELDS
from worker.store.redis_health import Question

SAMPLE: Final = 3
"""Of the jobs that wait for their next attempt, those that are due first."""


def questions(keys: KeyNames, backlogs: Iterable[bytes], next_ones: Iterable[bytes]) -> dict[Any, Question]:
    """What has to be asked for to know it.

    Args:
        backlogs: workflows that have one.
        next_ones: jobs of the delayed set that are due first, `SAMPLE` of them.
    """
    lists = {*keys.lists, *keys.further_lists, *(keys.backlog(name.decode()) for name in backlogs)}
    return {
        **{("oldest", name): ("lrange", name, -1, -1) for name in lists},
        **{
            ("enqueued", job): ("hget", keys.job(job.decode()), FIELDS["enqueued_ms"].stored)
            for job in next_ones
        },
    }


def found_s(answers: dict[Any, Any], now_ms: int) -> float | None:
    """Its age, from the answers to `questions`; None where no job says since when it waits."""
    last = (raw for (what, _), found in answers.items() if what == "oldest" for raw in found)
    stamps = (found for (what, _), found in answers.items() if what == "enqueued")
    return age_s(map(message_of, last), stamps, now_ms)


def age_s(messages: Iterable[Message | None], stamps: Iterable[bytes | None], now_ms: int) -> float | None:
    """The age of the oldest in seconds; None where none says since when it waits.

    Args:
        stamps: of jobs without their messages: ms at which they were queued.
    """
    known: list[Any] = [message.headers.get(ENQUEUED_AT_HEADER) for message in messages if message]
    known += [int(stamp) for stamp in stamps if stamp]
    oldest = min((stamp for stamp in known if isinstance(stamp, int)), default=None)
    # None where a clock was set back meanwhile.
    return None if oldest is None else max(0.0, now_ms - oldest) / 1000


def message_of(kept: bytes) -> Message | None:
    """A queued message, or one that is kept as "<index of its list>|<message>"; None: nobody can read it."""
    index, bar, rest = kept.partition(b"|")
    try:
        return parse(rest if bar and index.isdigit() else kept, "")
    except Malformed:
        return None
