"""Pictures are looked at between validation and claim: a job waits for that without holding up another."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tasks.envelope import Job
from tests.unit.processing.fakes import Clock, Stage
from worker.domain.outcome import OutcomeKind
from worker.domain.retry import Policy
from worker.preflight.checks import Busy, Checks, Known, Pending
from worker.preflight.values import Code, Fault
from worker.processing.image_check import HOLD_S
from worker.processing.image_steps import LOOK_MOST_S, decide_faults, wait_for_check
from worker.processing.steps import Moment
from worker.processing.values import Disposition, Prepared
from worker.store.values import Delivery, Postponement, Settlement

NO_PICTURE = Fault(Code.FORMAT, "is webp by its first bytes: must be jpg, png or bmp")
AWAY = Fault(Code.UNREACHABLE, "its host does not answer in time", certain=False, of_host=True)
HOUR_S = 3600.0
NOW = 1_800_000_000.0


class FakeChecks:
    """Answers by a table, `Pending` for a moment by default; keeps who asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.tells: dict[str, list[Any]] = {}

    def ask(self, url: str, tell: Any, *, at: float) -> Any:
        self.asked.append(url)
        answer = self.answers.get(url, Pending(0.1))
        if isinstance(answer, Pending):
            self.tells.setdefault(url, []).append(tell)
        return answer

    def find(self, url: str, fault: Fault | None = None) -> None:
        self.answers[url] = Known(fault)
        for tell in self.tells.pop(url, []):
            tell(fault)


@pytest.fixture
def checks() -> FakeChecks:
    return FakeChecks()


@pytest.fixture
def checking(clock: Clock, checks: FakeChecks) -> Stage:
    """A pipeline that looks at pictures."""
    return Stage(clock, image_checks=cast(Checks, checks))


def url(name: str) -> str:
    return f"https://shop.example.com/{name}.jpg"


def film(name: str, **about: Any) -> Job:
    payload = {"workflow": "IMAGE2VIDEO", "version": "1.0.0", "algoInput": {"inputText": "a cat"}}
    payload["algoInput"]["inputImage"] = url(name)  # type: ignore[index]
    return Job(name, payload, **about)


def try_on(name: str, model: str, garment: str) -> Job:
    algo_input = {"modelImage": url(model), "garmentImage": url(garment), "category": "upper", "seed": 1}
    return Job(name, {"workflow": "CATVTON", "version": "1.0.0", "algoInput": algo_input})


def test_a_job_is_claimed_once_its_picture_is_known_to_be_good(checking: Stage, checks: FakeChecks) -> None:
    """Meanwhile the thread sleeps, and whoever finds out wakes it."""
    checking.receive(film("a"))
    checking.settle()
    assert checking.store.asked == []
    assert 0 < checking.sleeps_s <= HOLD_S
    checks.find(url("a"))
    assert checking.network.woken
    checking.settle()
    assert checking.network.sent == ["a"]


def test_others_pass_a_job_that_waits_for_its_picture(checking: Stage, checks: FakeChecks) -> None:
    """Those without pictures, and those whose pictures are known."""
    checks.answers[url("b")] = Known(None)
    checking.receive(film("a"), "text", film("b"))
    checking.settle()
    assert checking.network.sent == ["text", "b"]
    checks.find(url("a"))
    checking.settle()
    assert checking.network.sent == ["text", "b", "a"]


def test_a_certain_fault_ends_the_job_before_any_claim(checking: Stage, checks: FakeChecks) -> None:
    """Rejected after no attempt; the message names the field and what it must be."""
    checking.receive(film("a"))
    checking.settle()
    checks.find(url("a"), NO_PICTURE)
    checking.settle()
    (settlement,) = checking.store.told_of(Settlement)
    result = settlement.result
    assert (result.status, result.attempts, result.error_code) == ("rejected", 0, "AIGC_IMAGE_FORMAT")
    assert result.error_msg == f"algoInput.inputImage: {NO_PICTURE.words}"
    assert settlement.feedback.vendor_works is None
    assert checking.store.asked == []
    assert checking.ended("a") is Disposition.SETTLED


def test_all_certain_faults_are_told_and_none_waits_for_a_picture_that_does_not_matter(
    checking: Stage, checks: FakeChecks
) -> None:
    """One bad picture ends the job although the other is not known."""
    checks.answers[url("garment")] = Known(NO_PICTURE)
    checking.receive(try_on("a", "model", "garment"))
    checking.settle()
    checks.answers[url("model")] = Known(Fault(Code.TOO_LARGE, "has more than 5 MB"))
    checking.receive(try_on("b", "model", "garment"))
    checking.settle()
    one, both = [settlement.result for settlement in checking.store.told_of(Settlement)]
    assert (one.error_code, one.error_msg) == (
        "AIGC_IMAGE_FORMAT",
        f"algoInput.garmentImage: {NO_PICTURE.words}",
    )
    assert both.error_code == "AIGC_IMAGE_TOO_LARGE"
    assert both.error_msg == (
        f"algoInput.modelImage: has more than 5 MB; algoInput.garmentImage: {NO_PICTURE.words}"
    )


def test_a_job_waits_for_both_of_its_pictures(checking: Stage, checks: FakeChecks) -> None:
    """The one that is known first does not send it."""
    checking.receive(try_on("a", "model", "garment"))
    checking.settle()
    checks.find(url("model"))
    checking.settle()
    assert checking.network.sent == []
    checks.find(url("garment"))
    checking.settle()
    assert checking.network.sent == ["a"]


def test_what_takes_long_is_waited_for_in_redis(checking: Stage, checks: FakeChecks) -> None:
    """After a moment in hand; at once where a host is known to be slow, or has enough to do."""
    checks.answers[url("slow")] = Pending(HOLD_S + 1)
    checks.answers[url("busy")] = Busy(40.0)
    checking.receive(film("a"), film("slow"), film("busy"))
    checking.settle()
    slow, busy = checking.store.told_of(Postponement)
    assert (slow.job.id, slow.delay_s) == ("slow", HOLD_S + 1)
    assert (busy.job.id, busy.delay_s) == ("busy", 40.0)
    assert checking.ended("a") is None
    checking.clock.now += HOLD_S
    checking.settle()
    assert checking.store.told_of(Postponement)[-1].job.id == "a"
    assert checking.ended("a") is Disposition.DEFERRED
    checks.find(url("a"))  # it is not in hand any more
    checking.settle()
    assert checking.store.asked == []


def test_a_transient_fault_waits_and_counts_nothing(checking: Stage, checks: FakeChecks) -> None:
    """The delivery waits, whatever is on record; the vendor's circuit breaker hears nothing of it."""
    checks.answers[url("a")] = Known(AWAY)
    checking.receive(film("a"))
    checking.settle()
    (waiting,) = checking.store.told
    assert isinstance(waiting, Postponement)
    assert waiting.first_seen
    assert checking.ended("a") is Disposition.DEFERRED


def test_a_worker_that_stops_gives_back_what_waits_for_its_picture(
    checking: Stage, checks: FakeChecks
) -> None:
    """It does not wait for slow hosts."""
    checking.receive(film("a"), film("b"))
    checking.settle()
    checking.pipeline.stopping = True
    checking.settle()
    assert checking.ended("a") is checking.ended("b") is Disposition.REQUEUE
    assert checking.pipeline.idle
    checks.find(url("a"))
    checking.settle()
    assert checking.store.told == []


def test_a_cleared_job_is_not_looked_at_again(checking: Stage, checks: FakeChecks) -> None:
    """Although it has to wait for a connection, or claims more than once."""
    checks.answers[url("a")] = Known(None)
    checking.network.opens = None
    checking.receive(film("a"))
    checking.settle()
    checking.settle()
    assert checks.asked == [url("a")]


def test_an_unlisted_workflow_may_have_anything_as_its_picture(checking: Stage, checks: FakeChecks) -> None:
    """Only what is a URL of the web is looked at."""
    job = film("a", unlisted=True)
    job.payload["algoInput"]["inputImage"] = "oss://bucket/a.jpg"
    checking.receive(job)
    checking.settle()
    assert checking.network.sent == ["a"]
    assert checks.asked == []


def prepared(job: Job, expires_s: float | None = None) -> Prepared:
    return Prepared(job, Delivery("me", "1.7", 1, expires_s), "IMAGE2VIDEO", b"")


def decided(
    fault: Fault, record: dict[str, Any], job: Job | None = None, expires_s: float | None = None
) -> Settlement | Postponement | None:
    moment = Moment(NOW, 0.0, 0.5)
    one = prepared(job or film("a"), expires_s)
    return decide_faults(one, [("algoInput.inputImage", fault)], record, Policy(), moment)


def queued(ago_s: float) -> Job:
    return film("a", enqueued_ms=round((NOW - ago_s) * 1000))


@pytest.mark.parametrize(
    ("age_s", "delay_s"),
    [(0.0, 0.75), (10.0, 3.75), (HOUR_S, 0.75 * LOOK_MOST_S), (86_390.0, 10.0), (86_399.5, 1.0)],
)
def test_the_longer_a_picture_cannot_be_had_the_less_often_it_is_tried(age_s: float, delay_s: float) -> None:
    """But once more at the deadline."""
    found = decided(AWAY, {}, queued(age_s))
    assert isinstance(found, Postponement)
    assert found.delay_s == pytest.approx(delay_s)


@pytest.mark.parametrize(("age_s", "expires_s"), [(86_400.0, None), (5.0, NOW)])
def test_at_its_deadline_a_job_is_exhausted(age_s: float, expires_s: float | None) -> None:
    """As one is that could not be sent; it says why."""
    found = decided(AWAY, {}, queued(age_s), expires_s)
    assert isinstance(found, Settlement)
    assert (found.result.status, found.kind) == ("exhausted", OutcomeKind.NOT_SENT)
    assert found.result.error_code == "AIGC_IMAGE_UNREACHABLE"
    assert found.result.error_msg == f"algoInput.inputImage: {AWAY.words}"


def test_when_it_was_queued_stands_in_its_record_where_not_in_its_message() -> None:
    """A foreign producer need not stamp it."""
    found = decided(AWAY, {"state": "reserved", "enqueued_ms": round((NOW - 90_000) * 1000)})
    assert isinstance(found, Settlement)


@pytest.mark.parametrize("fault", [AWAY, NO_PICTURE])
@pytest.mark.parametrize(
    "record", [{"state": "sending"}, {"state": "orphan"}, {"state": "reserved", "cancel_asked_ms": 1}]
)
def test_what_only_the_claim_can_decide_goes_there(record: dict[str, Any], fault: Fault) -> None:
    """A cancelled job, one that another worker is sending, one whose worker died."""
    assert decided(fault, record) is None


def test_earlier_attempts_are_told() -> None:
    """How many there were, and the last one's request id; where one may have been accepted, that."""
    record = {"state": "waiting", "attempts": 2, "request_ids": ["one", "two"], "possible_duplicate": False}
    found = decided(NO_PICTURE, record)
    assert isinstance(found, Settlement)
    result = found.result
    assert (result.status, result.attempts, result.request_id) == ("rejected", 2, "two")
    found = decided(NO_PICTURE, record | {"possible_duplicate": True})
    assert isinstance(found, Settlement)
    assert (found.result.status, found.result.possible_duplicate) == ("unknown", True)


def test_an_earlier_run_does_not_count() -> None:
    """The job has ended, and this message comes again or is submitted again: the script tells which."""
    record = {"state": "rejected", "attempts": 3, "request_ids": ["one"], "possible_duplicate": False}
    found = decided(NO_PICTURE, record | {"cancel_asked_ms": 1})
    assert isinstance(found, Settlement)
    assert (found.result.attempts, found.result.request_id) == (0, None)


def test_nobody_waits_for_a_check_beyond_the_deadline() -> None:
    """The claim ends the job then."""
    assert wait_for_check(prepared(queued(86_400.0)), 5.0, Policy(), NOW) is None
    found = wait_for_check(prepared(queued(5.0)), 5.0, Policy(), NOW)
    assert isinstance(found, Postponement)
    assert found.delay_s == 5.0
