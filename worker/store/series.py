"""Samples of totals as series over an hour or a day: rates, quantiles and gauges. Pure.

What was counted between two samples is spread evenly over the time between them. Where two samples are
further apart than `GAP_S`, where a total fell (the metrics were deleted) or a clock went back, there is a
gap: nobody knows when what happened, and a gap is not nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from tasks.frozen import value
from worker.store.history_values import Numbers, Sample, Series, Window
from worker.store.metric_fields import ATTEMPT_BOUNDS_S

GAP_S: Final = 180.0
"""Samples are a minute apart, or two where the worker that took them has gone."""

FRESH_S: Final = 90.0
"""For so long a gauge is taken to stand as it was seen, where no later sample says so."""

_SPENT: Final = ("spent", "")
_Totals = dict[tuple[str, str | int], float]
"""By what is counted: jobs by status, attempts by outcome, latency by bucket, money."""


@value(frozen=True, slots=True)
class _Span:
    """By how much the totals rose between two samples."""

    since_s: float
    until_s: float
    rises: _Totals


def series(samples: Iterable[Sample], now_s: float, window: Window) -> Series:
    """The samples as series over a window that ends now, in steps that begin at round times.

    Args:
        samples: in the order in which they were taken.
        now_s: by Redis's clock.
    """
    taken = list(samples)
    end_s = math.ceil(now_s / window.step_s) * window.step_s
    steps = window.length_s // window.step_s
    starts = tuple(float(end_s - window.step_s * (steps - step)) for step in range(steps))
    recent = [each for each in taken if each.at_s >= starts[0] - GAP_S]
    covered, rises = _spread(_spans(recent), starts, window.step_s)
    newest_s = max((each.at_s for each in taken if each.at_s <= now_s), default=None)
    latest = _latest(recent, starts, covered, window, now_s)
    return Series(
        window=window,
        starts_s=starts,
        jobs=_rates("jobs", "submitted", covered, rises),
        attempts=_rates("attempts", "accepted", covered, rises),
        p50_s=_quantiles(0.5, covered, rises),
        p95_s=_quantiles(0.95, covered, rises),
        spent=_rate(_SPENT, 3600, covered, rises),
        queued=_gauge(latest, lambda sample: sample.queued),
        delayed=_gauge(latest, lambda sample: sample.delayed),
        in_flight=_gauge(latest, lambda sample: sample.in_flight),
        held=_gauge(latest, lambda sample: sample.held),
        oldest_s=_gauge(latest, lambda sample: sample.oldest_s),
        newest_s=newest_s,
        silent_s=None if newest_s is None else now_s - newest_s,
    )


def _totals(sample: Sample) -> _Totals:
    return {
        **{("jobs", status): count for status, count in sample.jobs.items()},
        **{("attempts", outcome): count for outcome, count in sample.attempts.items()},
        **{("latency", bucket): count for bucket, count in enumerate(sample.latency)},
        _SPENT: sample.spent,
    }


def _spans(samples: Sequence[Sample]) -> Iterator[_Span]:
    totals = map(_totals, samples)
    for (one, before), (other, after) in pairwise(zip(samples, totals, strict=True)):
        if not 0 < other.at_s - one.at_s <= GAP_S:
            continue
        if any(after.get(name, 0) < count for name, count in before.items()):
            continue
        rises = {name: count - before.get(name, 0) for name, count in after.items()}
        yield _Span(one.at_s, other.at_s, {name: rise for name, rise in rises.items() if rise})


def _spread(
    spans: Iterable[_Span], starts: Sequence[float], step_s: float
) -> tuple[list[float], list[_Totals]]:
    """Of each step, how many seconds of it are covered, and by how much the totals rose in those."""
    covered = [0.0] * len(starts)
    rises: list[_Totals] = [defaultdict(float) for _ in starts]
    for span in spans:
        first = max(0, math.floor((span.since_s - starts[0]) / step_s))
        last = min(len(starts) - 1, math.floor((span.until_s - starts[0]) / step_s))
        for step in range(first, last + 1):
            shared_s = min(span.until_s, starts[step] + step_s) - max(span.since_s, starts[step])
            if shared_s <= 0:
                continue
            covered[step] += shared_s
            share = shared_s / (span.until_s - span.since_s)
            for name, rise in span.rises.items():
                rises[step][name] += share * rise
    return covered, rises


def _rates(
    kind: str, always: str, covered: Sequence[float], rises: Sequence[_Totals]
) -> Mapping[str, Numbers]:
    """A minute, by label."""
    labels = {str(label) for step in rises for what, label in step if what == kind} | {always}
    return {label: _rate((kind, label), 60, covered, rises) for label in sorted(labels)}


def _rate(
    name: tuple[str, str | int], per_s: float, covered: Sequence[float], rises: Sequence[_Totals]
) -> Numbers:
    return tuple(
        per_s * step.get(name, 0.0) / seconds if seconds else None
        for seconds, step in zip(covered, rises, strict=True)
    )


def _quantiles(share: float, covered: Sequence[float], rises: Sequence[_Totals]) -> Numbers:
    buckets = range(len(ATTEMPT_BOUNDS_S) + 1)
    return tuple(
        quantile(share, [step.get(("latency", bucket), 0.0) for bucket in buckets]) if seconds else None
        for seconds, step in zip(covered, rises, strict=True)
    )


def quantile(share: float, counts: Sequence[float]) -> float | None:
    """The time that this share of attempts did not exceed, in seconds; as Prometheus has it, evenly spread
    within a bucket, and the last bound where it lies above that. None where there is none.

    Args:
        counts: by `ATTEMPT_BOUNDS_S`, those above the last bound at the end.
    """
    wanted, below = share * sum(counts), 0.0
    if wanted <= 0:
        return None
    lower = 0.0
    for bound, count in zip(ATTEMPT_BOUNDS_S, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below += count
        lower = bound
    return lower


def _gauge(latest: Iterable[Sample | None], of: Callable[[Sample], float | None]) -> Numbers:
    return tuple(None if sample is None else of(sample) for sample in latest)


def _latest(
    samples: Iterable[Sample], starts: Sequence[float], covered: Sequence[float], window: Window, now_s: float
) -> list[Sample | None]:
    """Of each step the last sample in it, or one before that still tells how things stand."""
    step_s = window.step_s
    of_step = {
        math.floor((sample.at_s - starts[0]) / step_s): sample for sample in samples if sample.at_s <= now_s
    }
    found, last = [], None
    for step, start in enumerate(starts):
        last = of_step.get(step, last)
        if last is not None and not covered[step] and min(start + step_s, now_s) - last.at_s >= FRESH_S:
            last = of_step.get(step)
        found.append(last)
    return found
