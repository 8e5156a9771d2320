"""The hash of what is counted for the metrics, read; and what of a decision is counted."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from tasks.envelope import Job
from tasks.result import Result
from worker.domain.outcome import OutcomeKind
from worker.store.marshalling import metrics_of
from worker.store.metric_fields import (
    ATTEMPT_BOUNDS_S,
    JOB_BOUNDS_S,
    OTHERS,
    counted,
    lua_measures,
    millionths,
)
from worker.store.values import Claim, ClaimVerdict, Delivery, Feedback, Reschedule, Settlement

JOB = Job("a-job", {"workflow": "TEXT2IMAGE"})
CLAIM = Claim(ClaimVerdict.GO, 0, 0, False, 0.0, 0.0, 0, "owner", "id")
NOWHERE = Delivery("", "", 1)
ORPHAN = Feedback(counted=False, vendor_works=None, orphan=True)
OTHER = Feedback(counted=True, vendor_works=True)


def test_counts_are_read_by_workflow_and_label_and_by_time() -> None:
    """Attempts of all outcomes share a histogram; those of which the time is not known are counted only."""
    found = counted(
        {
            b"a|accepted|0.25|TEXT2IMAGE": b"3", b"a|unknown|inf|TEXT2IMAGE": b"1",
            b"a|unknown|-|TEXT2IMAGE": b"2", b"ams|TEXT2IMAGE": b"61500",
            b"j|submitted|2.5|TEXT2IMAGE": b"3", b"j|rejected|-|-": b"4", b"jms|TEXT2IMAGE": b"4200",
            b"spent|TEXT2IMAGE": b"150000", b"workflows": b"1", b"w|TEXT2IMAGE": b"1",
        }
    )  # fmt: skip
    assert found.attempts == {("TEXT2IMAGE", "accepted"): 3, ("TEXT2IMAGE", "unknown"): 3}
    assert found.jobs == {("TEXT2IMAGE", "submitted"): 3, (OTHERS, "rejected"): 4}
    assert found.spent == {"TEXT2IMAGE": 0.15}
    attempts = found.attempt_s["TEXT2IMAGE"]
    assert attempts.sum_s == 61.5
    assert list(attempts.cumulative(ATTEMPT_BOUNDS_S))[1:4] == [(0.1, 0), (0.25, 3), (0.5, 3)]
    assert list(attempts.cumulative(ATTEMPT_BOUNDS_S))[-1] == (math.inf, 4)
    assert list(found.job_s["TEXT2IMAGE"].cumulative(JOB_BOUNDS_S))[-1] == (math.inf, 3)


def test_what_another_version_has_written_is_read_as_well_as_it_can_be() -> None:
    """A bound that this one has not counts under the next; another kind of field is passed over."""
    found = counted({b"a|accepted|0.3|W|with|bars": b"2", b"later|x": b"1"})
    histogram = found.attempt_s["W|with|bars"]
    assert dict(histogram.cumulative(ATTEMPT_BOUNDS_S))[0.25] == 0
    assert dict(histogram.cumulative(ATTEMPT_BOUNDS_S))[0.5] == 2


def test_a_workflow_of_that_name_adds_up_with_the_others() -> None:
    """A name is anybody's, so this one may be one, too."""
    found = counted({b"spent|-": b"2000000", b"spent|others": b"500000", b"j|submitted|-|-": b"4",
                     b"j|submitted|-|others": b"1"})  # fmt: skip
    assert found.spent == {OTHERS: 2.5}
    assert found.jobs == {(OTHERS, "submitted"): 5}


def test_lua_has_the_same_bounds() -> None:
    """As numbers that it writes as they are read back here."""
    lines = lua_measures().splitlines()[:2]
    read = [tuple(map(float, line.partition("{")[2].partition("}")[0].split(", "))) for line in lines]
    assert read == [ATTEMPT_BOUNDS_S, JOB_BOUNDS_S]


def test_prices_are_added_as_whole_millionths() -> None:
    """A tenth of a cent is no rounding error after a million jobs."""
    assert millionths(Decimal("0.0015")) == 1500


def settlement(
    kind: OutcomeKind, claim: Claim | None, feedback: Feedback, took_s: float | None
) -> Settlement:
    result = Result("a-job", "submitted", "t", "TEXT2IMAGE", "1.0.0", 1, None, None, None, False, "")
    return Settlement(JOB, NOWHERE, claim, result, kind, feedback, took_s=took_s)


@pytest.mark.parametrize(
    ("kind", "claim", "feedback", "took_s", "told"),
    [
        (OutcomeKind.ACCEPTED, CLAIM, OTHER, 0.5, {"outcome": "accepted", "ms": 500, "price": 7}),
        (OutcomeKind.ACCEPTED, CLAIM, OTHER, None, {"outcome": "accepted", "price": 7}),
        (OutcomeKind.REJECTED, CLAIM, OTHER, 0.5, {"outcome": "rejected", "ms": 500}),
        (OutcomeKind.NOT_SENT, CLAIM, OTHER, 0.0, {"outcome": "not_sent"}),
        (OutcomeKind.UNKNOWN, None, ORPHAN, None, {"outcome": "unknown"}),
        (OutcomeKind.REJECTED, None, OTHER, None, {}),
    ],
)
def test_an_attempt_is_told_where_one_was_made(
    kind: OutcomeKind, claim: Claim | None, feedback: Feedback, took_s: float | None, told: dict[str, object]
) -> None:
    """With its time where the vendor was waited for, and the price where it was bought."""
    about = metrics_of(settlement(kind, claim, feedback, took_s), "TEXT2IMAGE", 7)
    assert about == {"workflow": "TEXT2IMAGE", **told}


def test_an_attempt_of_a_job_that_waits_is_told_too() -> None:
    """What it took is known, for the rate's sake."""
    later = Reschedule(
        JOB, NOWHERE, CLAIM, OTHER, 1, 0, False, 1.0, took_s=0.2, kind=OutcomeKind.VENDOR_FAULT
    )
    assert metrics_of(later, "W", None) == {"workflow": "W", "outcome": "vendor_fault", "ms": 200}
