"""Attempts go alone until the vendor's application has answered one, and again when several do not come
through."""

from __future__ import annotations

import pytest

from worker.alone import LOST_IN_A_ROW, PROBE_BASE_S, Alone
from worker.core.outcome import Kind, Outcome
from worker.gate import CUT_OFF, Gate

ACCEPTED = Outcome(Kind.ACCEPTED, from_application=True)
GATEWAY = Outcome(Kind.UNKNOWN, error_code="AIGC_HTTP_502", error_msg="no answer in the vendor's format")
NOT_SENT = Outcome(Kind.NOT_SENT, error_code="AIGC_NOT_SENT", error_msg="refused")


class Stage:
    def __init__(self) -> None:
        self.now = 100.0
        self.gate = Gate(clock=lambda: self.now)
        self.alone = Alone(self.gate)

    def may_attempt(self) -> bool:
        with self.alone.until_answered() as may:
            return may


@pytest.mark.parametrize(
    ("outcome", "proven"),
    [
        (ACCEPTED, True),
        (Outcome(Kind.REJECTED, from_application=True), True),
        (Outcome(Kind.UNKNOWN, from_application=True), True),
        (Outcome(Kind.THROTTLED), True),
        (GATEWAY, False),
        (NOT_SENT, False),
        (Outcome(Kind.MISCONFIGURED, from_application=True), False),
    ],
)
def test_only_an_answer_of_the_application_proves_the_way(outcome: Outcome, proven: bool) -> None:
    """A gateway's page is none: behind a broken proxy each attempt leaves a job in doubt."""
    stage = Stage()
    stage.alone.answered(outcome)
    assert stage.alone.proven is proven


@pytest.mark.parametrize("lost", [GATEWAY, NOT_SENT])
def test_several_in_a_row_go_alone_and_with_pauses(lost: Outcome) -> None:
    """One or two are chance; the pauses grow, and a success ends it all at once."""
    stage = Stage()
    stage.alone.answered(ACCEPTED)
    for _ in range(LOST_IN_A_ROW - 1):
        stage.alone.answered(lost)
    assert (stage.alone.proven, stage.gate.reasons()) == (True, [])
    stage.alone.answered(lost)
    assert (stage.alone.proven, stage.gate.reasons(), stage.may_attempt()) == (False, [CUT_OFF], False)
    stage.now += 10
    assert stage.may_attempt()
    stage.alone.answered(ACCEPTED)
    assert (stage.alone.proven, stage.gate.reasons(), stage.alone.trouble()) == (True, [], "")


def test_while_others_succeed_it_is_this_workers_own_trouble() -> None:
    """It is said once, shows until it is over, and is probed ever more rarely."""
    stage = Stage()
    for _ in range(LOST_IN_A_ROW):
        stage.alone.answered(GATEWAY)
    assert [stage.alone.others_succeed() for _ in range(3)] == [True, False, False]
    assert "AIGC_HTTP_502" in stage.alone.trouble()
    stage.now += 2 * PROBE_BASE_S
    assert stage.gate.reasons() == [CUT_OFF]
    stage.now += 4 * PROBE_BASE_S
    assert stage.may_attempt()
    stage.alone.answered(ACCEPTED)
    assert stage.alone.trouble() == ""


def test_others_succeed_is_no_news_to_a_worker_that_does() -> None:
    """A single failure of a worker whose others come through closes nothing."""
    stage = Stage()
    stage.alone.answered(ACCEPTED)
    stage.alone.answered(GATEWAY)
    assert not stage.alone.others_succeed()
    assert stage.gate.reasons() == []
