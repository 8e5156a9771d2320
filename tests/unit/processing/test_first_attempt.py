"""Attempts go alone until the vendor's application has answered one, and again when several do not come
through."""

from __future__ import annotations

import pytest

from worker.domain.outcome import OtherWorkers, Outcome, OutcomeKind
from worker.processing.first_attempt import LOST_IN_A_ROW, PROBE_BASE_S, FirstAttemptGuard
from worker.processing.flow_control import UNREACHABLE, FlowControl

ACCEPTED = Outcome(OutcomeKind.ACCEPTED, from_application=True)
GATEWAY = Outcome(
    OutcomeKind.UNKNOWN, error_code="AIGC_HTTP_502", error_msg="no answer in the vendor's format"
)
NOT_SENT = Outcome(OutcomeKind.NOT_SENT, error_code="AIGC_NOT_SENT", error_msg="refused")


class Stage:
    def __init__(self, *, proven: bool = False) -> None:
        self.now = 100.0
        self.flow_control = FlowControl(clock=lambda: self.now)
        self.first_attempt = FirstAttemptGuard(self.flow_control, clock=lambda: self.now)
        if proven:
            self.first_attempt.answered(ACCEPTED)

    def may_attempt(self) -> bool:
        return self.first_attempt.may_attempt

    def lose(
        self, times: int = 1, others: OtherWorkers = OtherWorkers.NONE, lost: Outcome = GATEWAY
    ) -> list[bool]:
        """So many attempts that do not come through, and what the journal then says of other workers."""
        for _ in range(times):
            self.first_attempt.answered(lost)
        return [self.first_attempt.heard_of(others) for _ in range(times)]


@pytest.mark.parametrize(
    ("outcome", "proven"),
    [
        (ACCEPTED, True),
        (Outcome(OutcomeKind.REJECTED, from_application=True), True),
        (Outcome(OutcomeKind.REJECTED, http_status=413), True),
        (Outcome(OutcomeKind.UNKNOWN, from_application=True), True),
        (Outcome(OutcomeKind.THROTTLED), True),
        (GATEWAY, False),
        (NOT_SENT, False),
        (Outcome(OutcomeKind.MISCONFIGURED, from_application=True), False),
    ],
)
def test_what_proves_the_way_to_the_vendor(outcome: Outcome, proven: bool) -> None:
    """A gateway's page does not: behind a broken proxy each attempt leaves a job in doubt."""
    stage = Stage()
    stage.first_attempt.answered(outcome)
    assert stage.first_attempt.proven is proven


def test_before_the_first_answer_each_loss_is_followed_by_a_pause() -> None:
    """So that a worker that starts behind a broken way does not race through the queue."""
    stage = Stage()
    stage.lose()
    assert (stage.flow_control.reasons(), stage.may_attempt()) == ([UNREACHABLE], False)
    stage.now += 1
    assert stage.may_attempt()


def test_where_no_other_worker_sends_it_may_be_an_outage() -> None:
    """The breaker is for that: this worker goes on as it did, and does not hide it by pausing."""
    stage = Stage(proven=True)
    stage.lose(32, OtherWorkers.NONE)
    assert (stage.first_attempt.proven, stage.flow_control.reasons()) == (True, [])


@pytest.mark.parametrize("lost", [GATEWAY, NOT_SENT])
def test_several_in_a_row_go_alone_where_others_send(lost: Outcome) -> None:
    """One or two are chance; a success ends it all at once."""
    stage = Stage(proven=True)
    stage.lose(LOST_IN_A_ROW - 1, OtherWorkers.SEND, lost)
    assert (stage.first_attempt.proven, stage.flow_control.reasons()) == (True, [])
    stage.lose(1, OtherWorkers.SEND, lost)
    assert (stage.first_attempt.proven, stage.flow_control.reasons(), stage.may_attempt()) == (
        False,
        [UNREACHABLE],
        False,
    )
    stage.now += 10
    assert stage.may_attempt()
    stage.first_attempt.answered(ACCEPTED)
    assert (stage.first_attempt.proven, stage.flow_control.reasons(), stage.first_attempt.trouble()) == (
        True,
        [],
        "",
    )


def test_while_others_succeed_it_is_this_workers_own_trouble() -> None:
    """It is said once, shows until it is over, and is probed ever more rarely."""
    stage = Stage()
    assert stage.lose(LOST_IN_A_ROW, OtherWorkers.SUCCEED) == [True, False, False]
    assert "AIGC_HTTP_502" in stage.first_attempt.trouble()
    stage.now += PROBE_BASE_S
    assert stage.lose(1, OtherWorkers.SUCCEED) == [False]
    stage.now += PROBE_BASE_S
    assert stage.flow_control.reasons() == [UNREACHABLE]
    stage.now += PROBE_BASE_S
    assert stage.may_attempt()
    stage.first_attempt.answered(ACCEPTED)
    assert stage.first_attempt.trouble() == ""


def test_what_was_in_flight_together_is_one_finding() -> None:
    """A connection reset under 32 attempts costs a pause of seconds, and not of a minute."""
    stage = Stage(proven=True)
    stage.lose(32, OtherWorkers.SUCCEED)
    stage.now += PROBE_BASE_S
    assert stage.may_attempt()


REFUSED = Outcome(OutcomeKind.MISCONFIGURED, from_application=True)


def test_refusals_of_what_was_in_flight_together_are_one_finding() -> None:
    """A key disabled under 32 attempts costs a pause of seconds, too; the next refusal a longer one."""
    stage = Stage(proven=True)
    for number in range(32):
        stage.first_attempt.answered(REFUSED)
        assert stage.first_attempt.pause("what it said") is (number == 0)
    stage.now += PROBE_BASE_S
    assert stage.may_attempt()
    stage.first_attempt.answered(REFUSED)
    assert not stage.first_attempt.pause("what it said")
    stage.now += PROBE_BASE_S
    assert not stage.may_attempt()


@pytest.mark.parametrize("kind", [kind for kind in OutcomeKind if kind is not OutcomeKind.ACCEPTED])
def test_only_an_acceptance_says_that_the_vendor_takes_others(kind: OutcomeKind) -> None:
    """Not a throttled attempt, nor one that failed: with a disabled key they come too."""
    stage = Stage()
    stage.first_attempt.answered(Outcome(kind, from_application=True))
    assert not stage.first_attempt.accepts
    stage.first_attempt.answered(ACCEPTED)
    assert stage.first_attempt.accepts
    stage.first_attempt.answered(REFUSED)
    assert not stage.first_attempt.accepts


def test_a_single_loss_closes_nothing() -> None:
    """Whatever others do."""
    stage = Stage(proven=True)
    assert stage.lose(1, OtherWorkers.SUCCEED) == [False]
    assert stage.flow_control.reasons() == []
