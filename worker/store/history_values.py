"""One look at the totals of a queue, and many of them as series for plots. Values and pure functions only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tasks.frozen import value

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
    `Histogram.counts`), ``spent``: money; these four since the queue was made. ``queued``: jobs in the lists;
    ``delayed``: that wait for their next attempt; ``in_flight``: that are being sent; ``held``: `unknown` ones
    that wait for a decision. ``oldest_s``: age of the oldest job that goes on next; None where none waits.
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
    ``attempts``: made a minute by outcome; only those of which there was any in the window. ``p50_s``,
    ``p95_s``: latency of the vendor in seconds; None also where there was no attempt. ``spent``: money an
    hour. ``queued``, ``delayed``, ``in_flight``, ``held``, ``oldest_s``: the last that was seen in the step.
    ``newest_s``: when the last sample was taken, in whatever window; None where there is none.
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


def series(samples: Iterable[Sample], now_s: float, window: Window) -> Series:
    """The samples as series over a window that ends now. Pure.

    What was counted between two samples is spread evenly over the time between them. Samples further apart
    than `GAP_S`, a total that fell (the metrics were deleted), and a clock that went back leave a gap.

    Args:
        samples: in the order in which they were taken.
        now_s: by Redis's clock.
    """
    raise NotImplementedError
