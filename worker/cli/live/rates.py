"""How fast it goes, from two looks at the totals that the settling scripts count. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tasks.frozen import value
from worker.store.metric_fields import ATTEMPT_BOUNDS_S, Counted
from worker.store.series import quantile

WINDOW_S: Final = 30.0
"""Over so many seconds rates and times are taken: a slow vendor's are steady then, and news is soon seen."""


@value(frozen=True, slots=True)
class Totals:
    """What was counted until ``at_s``, in seconds of a clock that never steps."""

    at_s: float
    attempts: int
    by_status: dict[str, int]
    attempt_counts: list[int]
    spent: float


@value(frozen=True, slots=True)
class Rates:
    """Per second over ``over_s`` seconds. Times are of attempts, in seconds: None where there was none."""

    over_s: float
    attempts: float
    jobs: dict[str, float]
    p50_s: float | None
    p95_s: float | None
    spent: float


def totals(counted: Counted, at_s: float) -> Totals:
    """Of all workflows together."""
    by_status: dict[str, int] = {}
    for (_, status), count in counted.jobs.items():
        by_status[status] = by_status.get(status, 0) + count
    counts = [0] * (len(ATTEMPT_BOUNDS_S) + 1)
    for histogram in counted.attempt_s.values():
        counts = [sum(pair) for pair in zip(counts, histogram.counts, strict=True)]
    return Totals(at_s, sum(counted.attempts.values()), by_status, counts, sum(counted.spent.values()))


def within(seen: Sequence[Totals], new: Totals) -> list[Totals]:
    """The looks that count from now on, oldest first: of the window, and since the queue was last emptied."""
    if seen and new.attempts < seen[-1].attempts:
        return [new]  # purged meanwhile
    kept = [*seen, new]
    recent = [each for each in kept if new.at_s - each.at_s <= WINDOW_S]
    return recent if len(recent) > 1 else kept[-2:]


def rates(seen: Sequence[Totals]) -> Rates | None:
    """From the oldest look to the newest; None where there was but one."""
    if len(seen) < 2 or seen[-1].at_s <= seen[0].at_s:
        return None
    first, last = seen[0], seen[-1]
    over_s = last.at_s - first.at_s
    names = sorted({*first.by_status, *last.by_status})
    ended = {name: last.by_status.get(name, 0) - first.by_status.get(name, 0) for name in names}
    counts = [b - a for a, b in zip(first.attempt_counts, last.attempt_counts, strict=True)]
    return Rates(
        over_s=over_s,
        attempts=(last.attempts - first.attempts) / over_s,
        jobs={name: count / over_s for name, count in ended.items()},
        p50_s=quantile(0.5, counts),
        p95_s=quantile(0.95, counts),
        spent=(last.spent - first.spent) / over_s,
    )
