"""One look at the totals of a queue, how it is stored, and what many of them show. Values only."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from tasks.frozen import value
from worker.store.metric_fields import ATTEMPT_BOUNDS_S

Numbers = tuple[float | None, ...]
"""One for each step of a window, the oldest first; None where nobody looked."""


@value(frozen=True, slots=True)
class Window:
    """For how long until now, and in which steps; both in seconds."""

    name: str
    length_s: int
    step_s: int


HOUR: Final = Window("last hour", 3600, 60)
DAY: Final = Window("last day", 86_400, 900)


@value(frozen=True, slots=True)
class Sample:
    """The totals at one moment.

    ``at_s``: seconds since the epoch by Redis's clock. ``jobs``: how many ended by status, ``attempts``: how
    many by outcome, ``latency``: attempts by `worker.store.metric_fields.ATTEMPT_BOUNDS_S` (as
    `Histogram.counts`), ``spent``: money; these four since the queue was made. ``queued``: jobs in the
    lists and in the backlogs of workflows; ``delayed``: that wait for their next attempt; ``in_flight``: that
    are being sent; ``held``: `unknown` ones that wait for a decision. ``oldest_s``: age of the oldest job
    that goes on next, 0 where none waits; None where none says since when.
    """

    at_s: float
    jobs: Mapping[str, int]
    attempts: Mapping[str, int]
    latency: tuple[int, ...]
    spent: float
    queued: int
    delayed: int
    in_flight: int
    held: int
    oldest_s: float | None


@value(frozen=True, slots=True)
class Series:
    """What a window shows. Each `Numbers` has as many elements as ``starts_s``.

    ``starts_s``: when each step begins, seconds since the epoch. ``jobs``: ended a minute by status, and
    ``attempts``: made a minute by outcome; only those of which there was any in the window, and always
    `submitted` and `accepted`. ``p50_s``,
    ``p95_s``: latency of the vendor in seconds; None also where there was no attempt. ``spent``: money an
    hour. ``queued``, ``delayed``, ``in_flight``, ``held``, ``oldest_s``: the last that was seen in the step.
    ``newest_s``: when the last sample was taken, in whatever window, ``silent_s``: how long ago; None
    where there is none.
    """

    window: Window
    starts_s: tuple[float, ...]
    jobs: Mapping[str, Numbers]
    attempts: Mapping[str, Numbers]
    p50_s: Numbers
    p95_s: Numbers
    spent: Numbers
    queued: Numbers
    delayed: Numbers
    in_flight: Numbers
    held: Numbers
    oldest_s: Numbers
    newest_s: float | None
    silent_s: float | None


_BOUNDS: Final = (*ATTEMPT_BOUNDS_S, math.inf)
NO_LATENCY: Final = (0,) * len(_BOUNDS)


def to_json(sample: Sample) -> str:
    """A sample as it is stored, without its time. Names of fields are stored: they stay."""
    latency = {f"{bound:g}": count for bound, count in zip(_BOUNDS, sample.latency, strict=True) if count}
    stored = {
        "j": {status: count for status, count in sample.jobs.items() if count},
        "a": {outcome: count for outcome, count in sample.attempts.items() if count},
        "l": latency,
        "s": round(sample.spent, 6),
        "q": sample.queued,
        "d": sample.delayed,
        "f": sample.in_flight,
        "h": sample.held,
        "o": None if sample.oldest_s is None else round(sample.oldest_s, 3),
    }
    return json.dumps(stored, separators=(",", ":"))


def from_json(at_s: float, text: bytes | str) -> Sample:
    """The inverse. A bound that another version has counts under the next of ours.

    Raises:
        ValueError: it is no sample that this version can read.
    """
    try:
        stored = json.loads(text)
        latency = list(NO_LATENCY)
        for bound, count in stored["l"].items():
            latency[bisect_left(_BOUNDS, float(bound))] += int(count)
        oldest = stored["o"]
        return Sample(
            at_s=at_s,
            jobs=_counts(stored["j"]),
            attempts=_counts(stored["a"]),
            latency=tuple(latency),
            spent=float(stored["s"]),
            queued=int(stored["q"]),
            delayed=int(stored["d"]),
            in_flight=int(stored["f"]),
            held=int(stored["h"]),
            oldest_s=None if oldest is None else float(oldest),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a sample: {error!r}") from None


def _counts(found: Mapping[str, int]) -> dict[str, int]:
    return {str(name): int(count) for name, count in found.items()}
