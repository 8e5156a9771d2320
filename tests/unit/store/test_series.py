"""Samples as series: what is counted is shown once, and what nobody knows is a gap."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.store.history_values import DAY, HOUR, NO_LATENCY, Numbers, Sample, Window
from worker.store.metric_fields import ATTEMPT_BOUNDS_S
from worker.store.series import GAP_S, quantile, series

NOW_S = 1_800_000_000.0
EMPTY = Sample(0, {}, {}, NO_LATENCY, 0.0, 0, 0, 0, 0, 0.0)


def at(ago_s: float, submitted: int = 0, **fields: Any) -> Sample:
    return replace(EMPTY, at_s=NOW_S - ago_s, jobs={"submitted": submitted}, **fields)


def every_minute(since_s: int, until_s: int, a_minute: int = 60) -> list[Sample]:
    """Samples between two times ago, while so many jobs end a minute."""
    return [at(ago, (100_000 - ago) * a_minute // 60) for ago in range(since_s, until_s - 1, -60)]


def known(numbers: Numbers) -> list[float]:
    return [number for number in numbers if number is not None]


@pytest.mark.parametrize("window", [HOUR, DAY])
def test_a_steady_rate_is_shown_as_it_is(window: Window) -> None:
    """In each step; and the steps begin at round times, whenever one looks."""
    shown = series(every_minute(90_000, 0), NOW_S, window)
    assert known(shown.jobs["submitted"]) == pytest.approx([60.0] * (window.length_s // window.step_s))
    assert len(shown.starts_s) == len(shown.queued) == window.length_s // window.step_s
    assert all(start % window.step_s == 0 for start in shown.starts_s)
    assert shown.newest_s == NOW_S


@given(
    st.lists(st.tuples(st.floats(1, GAP_S), st.integers(0, 1000)), min_size=1, max_size=40),
    st.sampled_from([HOUR, DAY]),
)
def test_what_was_counted_is_shown_once(steps: list[tuple[float, int]], window: Window) -> None:
    """However far the samples are apart: the rates, times the time that they stand for, are the total."""
    now_s, total, samples = NOW_S - 3000, 0, [replace(EMPTY, at_s=NOW_S - 3000)]
    for seconds, more in steps:
        if now_s + seconds > NOW_S:
            break
        now_s, total = now_s + seconds, total + more
        samples.append(replace(EMPTY, at_s=now_s, jobs={"submitted": total}))
    shown = series(samples, NOW_S, window)
    covered = [
        sum(
            max(0.0, min(other.at_s, start + window.step_s) - max(one.at_s, start))
            for one, other in pairwise(samples)
        )
        for start in shown.starts_s
    ]
    rates = shown.jobs["submitted"]
    assert sum((rate or 0) * s / 60 for rate, s in zip(rates, covered, strict=True)) == pytest.approx(total)
    assert [rate is None for rate in rates] == [seconds == 0 for seconds in covered]


@given(st.lists(st.tuples(st.integers(-300, 300), st.integers(0, 50)), max_size=30))
def test_no_rate_is_ever_negative(steps: list[tuple[int, int]]) -> None:
    """Clocks that go back, totals that fall, samples of the future: whatever the history holds."""
    time_s, samples = NOW_S - 1800, []
    for seconds, total in steps:
        time_s += seconds
        samples.append(replace(EMPTY, at_s=time_s, jobs={"submitted": total}, spent=float(total)))
    shown = series(samples, NOW_S, HOUR)
    assert all(rate >= 0 for numbers in (*shown.jobs.values(), shown.spent) for rate in known(numbers))


def test_where_nobody_looked_is_a_gap_and_not_nothing() -> None:
    """All workers were dead from 40 to 20 minutes ago; jobs of neither side are spread over it."""
    samples = [*every_minute(3600, 2400), *every_minute(1200, 0)]
    rates = series(samples, NOW_S, HOUR).jobs["submitted"]
    assert rates[:20] == pytest.approx([60.0] * 20)
    assert set(rates[20:40]) == {None}
    assert rates[40:] == pytest.approx([60.0] * 20)


def test_a_missed_sample_is_no_gap() -> None:
    """The worker that took them ended, and another went on within two minutes."""
    samples = [sample for sample in every_minute(3600, 0) if sample.at_s != NOW_S - 1800]
    assert None not in series(samples, NOW_S, HOUR).jobs["submitted"]


def test_samples_that_come_late_are_no_gap_in_gauges() -> None:
    """Further apart than a step is long, on a busy machine."""
    samples = [at(ago, queued=7) for ago in range(3700, -1, -110)]
    shown = series(samples, NOW_S, HOUR)
    assert set(shown.queued) == {7}


def test_no_sample_since_is_a_gap_at_the_end() -> None:
    """And says when the last one was."""
    shown = series(every_minute(3600, 600), NOW_S, HOUR)
    assert set(shown.jobs["submitted"][-10:]) == {None}
    assert shown.queued[-9:] == (None,) * 9
    assert (shown.newest_s, shown.silent_s) == (NOW_S - 600, 600)


def test_metrics_that_were_deleted_leave_a_gap_of_one_sample() -> None:
    """What ended in that minute is known to nobody."""
    samples = [at(180, 500), at(120, 560), at(60, 5), at(0, 65)]
    assert series(samples, NOW_S, HOUR).jobs["submitted"][-3:] == pytest.approx((60.0, None, 60.0))


def test_without_any_sample_nothing_is_known() -> None:
    """Of an empty Redis."""
    shown = series([], NOW_S, DAY)
    assert shown.newest_s is None
    assert set(shown.jobs["submitted"]) == set(shown.queued) == set(shown.p50_s) == {None}


def test_money_is_shown_an_hour() -> None:
    """Of all workflows together."""
    samples = [at(ago, spent=(3600 - ago) / 60 * 0.5) for ago in range(3600, -1, -60)]
    assert known(series(samples, NOW_S, HOUR).spent) == pytest.approx([30.0] * 60)


def test_gauges_are_the_last_that_was_seen() -> None:
    """In each step, and in one in which nobody looked those of a minute ago."""
    samples = [at(100, queued=1), at(70, queued=2), at(61, queued=3, oldest_s=None, held=4)]
    shown = series(samples, NOW_S, HOUR)
    assert shown.queued[-2:] == (3, 3)
    assert shown.held[-1] == 4
    assert shown.oldest_s[-1] is None


def test_latency_is_that_of_the_attempts_of_each_step() -> None:
    """A slow minute shows in its minute, and not in the next."""
    fast, slow = ATTEMPT_BOUNDS_S.index(0.5), ATTEMPT_BOUNDS_S.index(10.0)
    latency, samples = list(NO_LATENCY), []
    for ago in (240, 180, 120, 60):
        samples.append(at(ago, latency=tuple(latency)))
        latency[slow if ago == 180 else fast] += 100
    shown = series(samples, NOW_S, HOUR)
    assert shown.p50_s[-4:] == pytest.approx((0.375, 7.5, 0.375, None))
    assert shown.p95_s[-3] == pytest.approx(9.75)


@given(st.lists(st.integers(0, 1000), min_size=12, max_size=12), st.floats(0.01, 0.99))
def test_a_quantile_lies_in_its_bucket(counts: list[int], share: float) -> None:
    """The first up to which that share of attempts lies."""
    found = quantile(share, counts)
    if not sum(counts):
        assert found is None
        return
    bounds = (0.0, *ATTEMPT_BOUNDS_S, ATTEMPT_BOUNDS_S[-1])
    wanted = share * sum(counts)
    bucket = next(at for at in range(12) if sum(counts[: at + 1]) >= wanted * (1 - 1e-9))
    assert found is not None
    assert bounds[bucket] - 1e-9 <= found <= bounds[bucket + 1] + 1e-9
