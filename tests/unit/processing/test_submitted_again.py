"""Jobs that had ended and come again, as the pipeline sees them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.processing.fakes import AUTH_ERROR, Stage, claim_of, settles
from worker.processing.steps import HELD
from worker.processing.values import Disposition
from worker.store.jobs import ClaimRequest
from worker.store.values import Claim, ClaimVerdict, Decision, Past, Republication, Settlement, WriteReply

BOUGHT = Past("accepted", 2, False, 1_800_000_000, "task-1", "request-1")
MAY_BE_BOUGHT = Past(HELD, 2, False, 1_800_000_000, None, "request-1")


def repeated(past: Past | None) -> Any:
    """The first claim of a job finds what had become of it; a second one may be sent."""
    asked: list[str] = []

    def claim(request: ClaimRequest) -> Claim:
        asked.append(request.job.id)
        again = len(asked) == 1
        return claim_of(
            request, ClaimVerdict.REPEATED if again else ClaimVerdict.GO, past=past if again else None
        )

    return claim


@pytest.mark.parametrize(
    ("past", "status", "task_id"), [(BOUGHT, "submitted", "task-1"), (MAY_BE_BOUGHT, "unknown", None)]
)
def test_what_was_bought_has_its_result_published_again(
    stage: Stage, past: Past, status: str, task_id: str | None
) -> None:
    """Nothing is sent; the result says what is known of the purchase."""
    stage.store.claim = repeated(past)
    stage.receive("a")
    stage.settle()
    (told,) = stage.store.told_of(Republication)
    assert (told.result.status, told.result.task_id, told.result.attempts) == (status, task_id, 2)
    assert (stage.network.sent, stage.ended("a")) == ([], Disposition.SETTLED)
    assert stage.reporter.told == [("submitted again", "a")]


@pytest.mark.parametrize("past", [BOUGHT, None])
def test_what_was_decided_about_meanwhile_is_claimed_anew(stage: Stage, past: Past | None) -> None:
    """Its record says something else by now, or is gone."""
    stage.store.claim = repeated(past)
    stage.store.decide = lambda decision: (
        WriteReply("changed") if isinstance(decision, Republication) else settles(decision)
    )
    stage.receive("a")
    stage.settle()
    assert (stage.network.sent, stage.ended("a")) == (["a"], None)


@pytest.mark.parametrize("past", [BOUGHT, None])
def test_a_refused_job_that_was_bought_before_has_its_result_published_again(
    stage: Stage, past: Past | None
) -> None:
    """A settlement without an attempt finds it; where the record is gone by then, the job is taken anew."""
    if past is not None:
        stage.store.pasts["a"] = past
    answers = iter(["repeated"])

    def decide(decision: Decision) -> WriteReply:
        if isinstance(decision, Settlement) and (verdict := next(answers, None)):
            return WriteReply(verdict)
        return settles(decision)

    stage.store.decide = decide
    stage.receive("a")
    stage.settle()
    stage.network.answer("a")
    stage.settle()
    assert bool(stage.store.told_of(Republication)) == (past is not None)
    assert (stage.ended("a") is Disposition.SETTLED) == (past is not None)


def test_a_settlement_that_is_one_too_many_is_told_as_ignored(stage: Stage) -> None:
    """Its job had ended, and its message does not say that it was queued after that."""
    stage.store.decide = lambda _: WriteReply("ignored")
    stage.receive("a")
    stage.settle()
    stage.network.answer("a")
    stage.settle()
    assert stage.reporter.told == [("submitted again", "a")]


def test_what_cannot_be_told_hinders_nothing(stage: Stage) -> None:
    """That a job came again, and what the vendor answered to a key."""
    stage.reporter.fails = {"submitted again", "refusal"}
    stage.store.claim = repeated(BOUGHT)
    stage.receive("a")
    stage.settle()
    assert stage.ended("a") is Disposition.SETTLED
    stage.receive("b")
    stage.settle()
    stage.network.answer("b", AUTH_ERROR)
    stage.settle()
    assert stage.ended("b") is not None
    assert stage.around.first_attempt.refusal == "see its log"
