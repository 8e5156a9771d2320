"""A job with an argument of a later version: never sent, never ended in haste, never in a circle."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tasks.envelope import Job
from tests.unit.processing.fakes import CAT, Clock, Stage
from worker.processing.validation import LOOK_S
from worker.processing.values import Disposition
from worker.store.values import Postponement

DAY_S = 86_400


def _newer(job_id: str = "newer", **options: Any) -> Job:
    return Job(job_id, CAT, newer={"tenant": "north"}, **options)


def _now_ms(clock: Clock) -> int:
    return round(clock.time() * 1000)


def test_it_waits_for_a_newer_worker(stage: Stage) -> None:
    """It is put off with its time of arrival noted, and nothing is claimed for it."""
    stage.receive(_newer(), "plain")
    stage.settle()
    assert stage.network.sent == ["plain"]
    (put_off,) = stage.store.told
    assert isinstance(put_off, Postponement)
    assert (put_off.job.newer, put_off.delay_s, put_off.first_seen) == ({"tenant": "north"}, LOOK_S[0], True)
    assert stage.ended("newer") is Disposition.DEFERRED


@pytest.mark.parametrize("known", ["record", "message"])
def test_the_longer_it_waits_the_less_often_it_is_looked_at(stage: Stage, clock: Clock, known: str) -> None:
    """Every ten minutes in the end, and then at its deadline."""
    put_off = []
    for age_s in (100, 1000, 10_000, DAY_S - 30):
        since_ms = _now_ms(clock) - age_s * 1000
        job_id = str(age_s)
        stage.store.records[job_id] = {"enqueued_ms": since_ms} if known == "record" else {}
        stage.receive(_newer(job_id, enqueued_ms=None if known == "record" else since_ms))
        stage.settle()
        put_off.append(round(stage.store.told[-1].delay_s))
    assert put_off == [60, 250, 600, 30]


def test_its_deadline_ends_it(stage: Stage, clock: Clock) -> None:
    """As exhausted, with the argument's name: queued again later, it may find a worker that knows it."""
    stage.receive(_newer(enqueued_ms=_now_ms(clock) - (DAY_S + 1) * 1000))
    stage.settle()
    (settlement,) = stage.store.told
    assert (settlement.result.status, settlement.result.error_code) == ("exhausted", "AIGC_DEADLINE_EXCEEDED")
    assert "tenant" in settlement.result.error_msg


def test_a_job_with_an_attempt_on_record_is_not_ended(stage: Stage, clock: Clock) -> None:
    """A newer worker may have bought it: only one that understands it may say how it ended."""
    stage.store.records["newer"] = {"enqueued_ms": 1, "request_ids": ["r"]}
    stage.receive(_newer())
    stage.settle()
    assert isinstance(stage.store.told[0], Postponement)
    assert stage.store.told[0].delay_s == LOOK_S[1]


@pytest.mark.parametrize("request_ids", [[], ["r"]])
@pytest.mark.parametrize("age_s", [10, 2 * DAY_S])
def test_when_it_ran_before_does_not_count(
    stage: Stage, clock: Clock, request_ids: list[str], age_s: int
) -> None:
    """Submitted again after its end, it waits for a newer worker until the new message's deadline."""
    stage.store.records["newer"] = {"state": "rejected", "enqueued_ms": 1, "request_ids": request_ids}
    stage.receive(_newer(enqueued_ms=_now_ms(clock) - age_s * 1000))
    stage.settle()
    assert isinstance(stage.store.told[0], Postponement) is (age_s < DAY_S)


def test_it_is_said_once_for_many(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A queue full of such jobs is one line a minute."""
    with caplog.at_level(logging.ERROR):
        stage.receive(*[_newer(str(number)) for number in range(8)])
        stage.settle()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "an argument that this version does not know (tenant)" in line
