"""Attempts go alone until the vendor's application has answered one, and again when several do not come
through."""

from __future__ import annotations

import pytest

from worker.alone import LOST_IN_A_ROW, PROBE_BASE_S, Alone
from worker.core.outcome import Kind, Others, Outcome
from worker.gate import CUT_OFF, Gate

ACCEPTED = Outcome(Kind.ACCEPTED, from_application=True)
GATEWAY = Outcome(Kind.UNKNOWN, error_code="AIGC_HTTP_502", error_msg="no answer in the vendor's format")
NOT_SENT = Outcome(Kind.NOT_SENT, error_code="AIGC_NOT_SENT", error_msg="refused")


class Stage:
    def __init__(self, *, proven: bool = False) -> None:
        self.now = 100.0
        self.gate = Gate(clock=lambda: self.now)
        self.alone = Alone(self.gate, clock=lambda: self.now)
        if proven:
            self.alone.answered(ACCEPTED)

    def may_attempt(self) -> bool:
        with self.alone.until_answered() as may:
            return may

    def lose(self, times: int = 1, others: Others = Others.NONE, lost: Outcome = GATEWAY) -> list[bool]:
        """So many attempts that do not come through, and what the journal then says of other workers."""
        for _ in range(times):
            self.alone.answered(lost)
        return [self.alone.heard_of(others) for _ in range(times)]


@pytest.mark.parametrize(
    ("outcome", "proven"),
    [
        (ACCEPTED, True),
        (Outcome(Kind.REJECTED, from_application=True), True),
        (Outcome(Kind.REJECTED, http_status=413), True),
        (Outcome(Kind.UNKNOWN, from_application=True), True),
        (Outcome(Kind.THROTTLED), True),
        (GATEWAY, False),
        (NOT_SENT, False),
        (Outcome(Kind.MISCONFIGURED, from_application=True), False),
    ],
)
def test_what_proves_the_way_to_the_vendor(outcome: Outcome, proven: bool) -> None:
    """A gateway's page does not: behind a broken proxy each attempt leaves a job in doubt."""
    stage = Stage()
    stage.alone.answered(outcome)
    assert stage.alone.proven is proven


def test_before_the_first_answer_each_loss_is_followed_by_a_pause() -> None:
    """So that a worker that starts behind a broken way does not race through the queue."""
    stage = Stage()
    stage.lose()
    assert (stage.gate.reasons(), stage.may_attempt()) == ([CUT_OFF], False)
    stage.now += 1
    assert stage.may_attempt()


def test_where_no_other_worker_sends_it_may_be_an_outage() -> None:
    """The breaker is for that: this worker goes on as it did, and does not hide it by pausing."""
    stage = Stage(proven=True)
    stage.lose(32, Others.NONE)
    assert (stage.alone.proven, stage.gate.reasons()) == (True, [])


@pytest.mark.parametrize("lost", [GATEWAY, NOT_SENT])
def test_several_in_a_row_go_alone_where_others_send(lost: Outcome) -> None:
    """One or two are chance; a success ends it all at once."""
    stage = Stage(proven=True)
    stage.lose(LOST_IN_A_ROW - 1, Others.SEND, lost)
    assert (stage.alone.proven, stage.gate.reasons()) == (True, [])
    stage.lose(1, Others.SEND, lost)
    assert (stage.alone.proven, stage.gate.reasons(), stage.may_attempt()) == (False, [CUT_OFF], False)
    stage.now += 10
    assert stage.may_attempt()
    stage.alone.answered(ACCEPTED)
    assert (stage.alone.proven, stage.gate.reasons(), stage.alone.trouble()) == (True, [], "")


def test_while_others_succeed_it_is_this_workers_own_trouble() -> None:
    """It is said once, shows until it is over, and is probed ever more rarely."""
    stage = Stage()
    assert stage.lose(LOST_IN_A_ROW, Others.SUCCEED) == [True, False, False]
    assert "AIGC_HTTP_502" in stage.alone.trouble()
    stage.now += PROBE_BASE_S
    assert stage.lose(1, Others.SUCCEED) == [False]
    stage.now += PROBE_BASE_S
    assert stage.gate.reasons() == [CUT_OFF]
    stage.now += PROBE_BASE_S
    assert stage.may_attempt()
    stage.alone.answered(ACCEPTED)
    assert stage.alone.trouble() == ""


def test_what_was_in_flight_together_is_one_finding() -> None:
    """A connection reset under 32 attempts costs a pause of seconds, and not of a minute."""
    stage = Stage(proven=True)
    stage.lose(32, Others.SUCCEED)
    stage.now += PROBE_BASE_S
    assert stage.may_attempt()


def test_a_single_loss_closes_nothing() -> None:
    """Whatever others do."""
    stage = Stage(proven=True)
    assert stage.lose(1, Others.SUCCEED) == [False]
    assert stage.gate.reasons() == []
