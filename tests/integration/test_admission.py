"""Who may post now: rate, places in flight, brake, pace and pauses, as the scripts decide on a real Redis.

Time is not waited for: what a script wrote as a moment is read, or set back.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from tasks.envelope import Job
from tasks.result import Result
from tests.integration.job_verbs import JobVerbs
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.store.delayed import promote
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Delivery,
    Feedback,
    Reschedule,
    Settlement,
    SharedLimits,
    WriteReply,
)
from worker.store.workers import WorkerRegistry

KEYS = KeyNames("aigc", "aigc:results")
WORKS, FAULT = Feedback(counted=True, vendor_works=True), Feedback(counted=True, vendor_works=False)
T2I, I2V = "TEXT2IMAGE", "IMAGE2VIDEO"


class Worker:
    """One worker's view of the journal, without the worker."""

    def __init__(self, server: RedisServer, **limits: Any) -> None:
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=4)
        self.registry = WorkerRegistry(self.scripts, KEYS)
        self.registry.join()
        self.job_store = JobVerbs(self.scripts, KEYS, self.registry, SharedLimits(**limits))
        self.redis = self.scripts.client

    def claim(self, job_id: str, workflow: str = T2I) -> Claim:
        return self.job_store.claim(_job(job_id), workflow, str(uuid.uuid4()))

    def settle(self, job_id: str, claim: Claim | None = None, feedback: Feedback = WORKS) -> None:
        """The vendor accepted the job."""
        claim = claim or self.claim(job_id)
        result = Result(
            job_id, "submitted", f"task-{job_id}", T2I, "1.0.0", 1, claim.request_id, None, None, False, ""
        )
        ending = Settlement(_job(job_id), self._delivery(), claim, result, OutcomeKind.ACCEPTED, feedback)
        assert self.job_store.settle(ending) == "settled"

    def fail(self, job_id: str, claim: Claim | None = None, delay_s: float = 0.0) -> Claim:
        """The vendor failed the job; it waits for its next attempt."""
        claim = claim or self.claim(job_id)
        assert claim.verdict in (ClaimVerdict.GO, ClaimVerdict.PROBE)
        later = Reschedule(
            _job(job_id), self._delivery(), claim, FAULT, claim.attempts + 1, 0, False, delay_s
        )
        assert self.job_store.write([later]) == ([WriteReply("rescheduled")], [])
        return claim

    def throttled(self, wait_s: float) -> None:
        """The vendor asked for less when another job was sent."""
        other, says_nothing = _job("throttled"), Feedback(counted=False, vendor_works=None)
        later = Reschedule(
            other, self._delivery(), None, says_nothing, 0, 1, False, 3600.0, throttled_s=wait_s
        )
        assert self.job_store.write([later]) == ([WriteReply("rescheduled")], [])

    def pull(self, job_id: str) -> None:
        """The job comes off the waiting set, as if it had been due."""
        self.redis.zrem(KEYS.delayed, job_id)

    def break_down(self) -> None:
        """Five jobs fail: the brake opens."""
        for number in range(5):
            self.fail(f"broken-{number}")
        assert self.redis.hget(KEYS.breaker, "open") == b"1"

    def let_probe(self) -> None:
        """The time of the next probe has come."""
        self.redis.hset(KEYS.breaker, "next", 0)

    def slot(self, job_id: str) -> float:
        """When the job may be sent, in milliseconds since the epoch."""
        return float(self.redis.hget(KEYS.job(job_id), "w"))

    def number(self, key: str, field: str) -> float:
        return float(self.redis.hget(key, field))

    def _delivery(self) -> Delivery:
        return Delivery(self.registry.owner, "", 1)


New = Callable[..., Worker]


def _job(job_id: str) -> Job:
    return Job(job_id, CAT)


@pytest.fixture
def new(redis_server: RedisServer) -> Iterator[New]:
    """Makes workers with these limits; afterwards their connections are closed."""
    made: list[Worker] = []

    def make(**limits: Any) -> Worker:
        made.append(Worker(redis_server, **limits))
        return made[-1]

    yield make
    for worker in made:
        worker.redis.close()


def test_each_job_gets_a_slot_of_its_own(new: New) -> None:
    """At 10/s over two workers the first goes at once, and the others' slots are 100 ms apart."""
    workers = [new(interval_ms=100.0) for _ in range(2)]
    claims = [workers[number % 2].claim(f"job-{number}") for number in range(15)]
    assert [claim.verdict for claim in claims] == [ClaimVerdict.GO] + [ClaimVerdict.WAIT] * 14
    slots = [workers[0].slot(f"job-{number}") for number in range(1, 15)]
    assert all(later - earlier >= 99.9 for earlier, later in pairwise(slots))
    assert slots[-1] - slots[0] == pytest.approx(1300, abs=1)


def test_no_slot_is_given_far_ahead(new: New) -> None:
    """Whoever would wait longer asks again: the pace may be another one by then."""
    worker = new(interval_ms=1000.0)
    claims = [worker.claim(f"job-{number}") for number in range(6)]
    assert [claim.verdict for claim in claims] == [ClaimVerdict.GO] + [ClaimVerdict.WAIT] * 5
    assert float(worker.redis.get(KEYS.rate)) == pytest.approx(worker.slot("job-1") + 1000, abs=1)
    assert all(0.2 < claim.wait_s < 1.5 for claim in claims[2:])


def test_a_slot_is_kept(new: New) -> None:
    """Whoever claims again in time has its slot still, and takes none from others."""
    worker = new(interval_ms=1000.0)
    worker.claim("first")
    worker.claim("second")
    scheduled, slot = worker.redis.get(KEYS.rate), worker.slot("second")
    assert worker.claim("second").verdict is ClaimVerdict.WAIT
    assert (worker.redis.get(KEYS.rate), worker.slot("second")) == (scheduled, slot)
    worker.redis.hset(KEYS.job("second"), "w", slot - 1050)
    assert worker.claim("second").verdict is ClaimVerdict.GO
    assert worker.redis.get(KEYS.rate) == scheduled


def test_a_slot_that_was_missed_by_far_is_lost(new: New) -> None:
    """Late jobs must not come as a burst: they get new slots."""
    worker = new(interval_ms=1000.0)
    worker.claim("first")
    worker.claim("late")
    worker.redis.hincrbyfloat(KEYS.job("late"), "w", -5000)
    assert worker.claim("late").verdict is ClaimVerdict.WAIT


def test_places_in_flight_are_shared_and_given_back(new: New) -> None:
    """However a job leaves its place (settled, parked, withdrawn), the next one has it."""
    one, other = new(max_inflight=2), new(max_inflight=2)
    first, second = one.claim("first"), other.claim("second")
    assert one.claim("third").verdict is ClaimVerdict.FULL
    one.settle("first", first)
    third = one.claim("third")
    assert (third.verdict, one.claim("fourth").verdict) == (ClaimVerdict.GO, ClaimVerdict.FULL)
    other.fail("second", second, delay_s=60)
    fourth = one.claim("fourth")
    assert (fourth.verdict, one.claim("fifth").verdict) == (ClaimVerdict.GO, ClaimVerdict.FULL)
    one.job_store.withdraw(_job("fourth"), fourth)
    assert one.claim("fifth").verdict is ClaimVerdict.GO


def test_a_dead_worker_leaks_no_place(new: New) -> None:
    """What it held in flight is free with its takeover."""
    dead, living = new(max_inflight=2), new(max_inflight=2)
    dead.claim("first")
    dead.claim("second")
    assert living.claim("third").verdict is ClaimVerdict.FULL
    dead.registry.leave()
    assert living.claim("third").verdict is ClaimVerdict.GO


def test_a_workflows_own_limit_holds_up_nobody_else(new: New) -> None:
    """At 2/s its jobs beyond the next second go to the siding; other workflows go at once."""
    worker = new(workflow_interval_ms=((I2V, 500.0),))
    verdicts = [worker.claim(f"video-{number}", I2V).verdict for number in range(6)]
    assert verdicts == [ClaimVerdict.GO, ClaimVerdict.WAIT, ClaimVerdict.WAIT, *[ClaimVerdict.BACKLOG] * 3]
    assert worker.claim("picture").verdict is ClaimVerdict.GO


def test_jobs_on_a_siding_go_on_when_their_workflow_may(new: New) -> None:
    """They stay while the workflow is paused, and come to the front of their list afterwards."""
    worker = new()
    worker.redis.sadd(KEYS.paused, I2V)
    worker.job_store.to_backlog(_job("video"), I2V, Delivery(worker.registry.owner, "", 1))
    promote(worker.scripts)
    assert worker.redis.llen(KEYS.lists[1]) == 0
    worker.redis.srem(KEYS.paused, I2V)
    promote(worker.scripts)
    assert json.loads(worker.redis.lpop(KEYS.lists[1]))["headers"]["id"] == "video"


def test_a_pause_of_all_and_of_one_workflow(new: New) -> None:
    """A paused workflow steps aside; a paused queue gives everything back."""
    worker = new()
    worker.redis.sadd(KEYS.paused, I2V)
    assert (worker.claim("a", I2V).verdict, worker.claim("b").verdict) == (
        ClaimVerdict.BACKLOG,
        ClaimVerdict.GO,
    )
    worker.redis.sadd(KEYS.paused, "*")
    assert worker.claim("c").verdict is ClaimVerdict.PAUSED


def test_the_brake_opens_after_five_jobs_in_a_row(new: New) -> None:
    """Not after four; then nobody may post."""
    worker = new()
    for number in range(4):
        worker.fail(f"job-{number}")
    assert worker.redis.hget(KEYS.breaker, "open") is None
    worker.fail("job-4")
    claim = worker.claim("fresh")
    assert claim.verdict is ClaimVerdict.BREAKER
    assert 0 < claim.wait_s <= 0.5


def test_a_job_that_fails_alone_is_no_outage(new: New) -> None:
    """However often it fails, one job says nothing about the vendor."""
    worker = new()
    for _ in range(30):
        worker.fail("poison")
        worker.pull("poison")
    assert worker.redis.hget(KEYS.breaker, "open") is None


def test_an_accepted_job_ends_the_row(new: New) -> None:
    """Failures with acceptances between them are the jobs' own."""
    worker = new()
    for number in range(9):
        worker.fail(f"bad-{number}")
        worker.settle(f"good-{number}")
    assert worker.redis.hget(KEYS.breaker, "open") is None


def test_the_brake_opens_when_most_of_twenty_fail(new: New) -> None:
    """A vendor that fails three of four, never five in a row, is down too; two jobs at least must say so."""
    worker = new()
    for number in range(5):
        for part in "abc":
            worker.fail(f"bad-{number}{part}")
        worker.settle(f"good-{number}")
    worker.fail("twenty-first")
    worker.fail("twenty-second")
    assert worker.redis.hget(KEYS.breaker, "open") == b"1"


def test_one_probe_at_a_time_at_growing_intervals(new: New) -> None:
    """One job of all workers' probes; each failure doubles the interval, to 4 s at most."""
    one, other = new(), new()
    one.break_down()
    intervals = []
    for number in range(5):
        one.let_probe()
        probe = one.claim(f"probe-{number}")
        assert (probe.verdict, other.claim("another").verdict) == (ClaimVerdict.PROBE, ClaimVerdict.BREAKER)
        one.fail(f"probe-{number}", probe)
        intervals.append(one.number(KEYS.breaker, "interval"))
    assert intervals == [1000, 2000, 4000, 4000, 4000]


def test_a_probe_that_never_comes_back_is_replaced(new: New) -> None:
    """Its worker may have died: after the longest an attempt can take the next job probes."""
    worker = new()
    worker.break_down()
    worker.let_probe()
    assert worker.claim("lost").verdict is ClaimVerdict.PROBE
    worker.redis.hset(KEYS.breaker, "probing", 1)
    assert worker.claim("next").verdict is ClaimVerdict.PROBE


def test_a_withdrawn_probe_leaves_the_next_one_its_turn(new: New) -> None:
    """A probe that was not sent after all blocks nobody."""
    worker = new()
    worker.break_down()
    worker.let_probe()
    worker.job_store.withdraw(_job("withdrawn"), worker.claim("withdrawn"))
    assert worker.claim("next").verdict is ClaimVerdict.PROBE


def test_an_accepted_probe_ends_the_outage_step_by_step(new: New) -> None:
    """The brake closes, and posts begin at ten a second."""
    worker = new()
    worker.break_down()
    worker.let_probe()
    worker.settle("probe", worker.claim("probe"))
    assert worker.redis.exists(KEYS.breaker) == 0
    assert (worker.number(KEYS.adaptive_rate, "rate"), worker.number(KEYS.adaptive_rate, "doubles")) == (
        10,
        1,
    )
    claims = [worker.claim(f"job-{number}") for number in range(3)]
    assert [claim.verdict for claim in claims] == [ClaimVerdict.GO, ClaimVerdict.WAIT, ClaimVerdict.WAIT]


def test_the_ramp_doubles_each_second_and_ends(new: New) -> None:
    """Eight seconds after an outage nothing is left of it."""
    worker = new()
    worker.redis.hset(KEYS.adaptive_rate, mapping={"rate": 10, "since": 0, "doubles": 1})
    assert [worker.claim(f"job-{number}").verdict for number in range(3)] == [ClaimVerdict.GO] * 3
    assert worker.redis.exists(KEYS.adaptive_rate) == 0


def test_what_an_outage_spoiled_is_excused(new: New) -> None:
    """A probe is not held against its job, nor what failed while the brake was on; before it is."""
    worker = new()
    late = worker.claim("late")
    worker.break_down()
    worker.fail("late", late)
    worker.let_probe()
    worker.fail("probe", worker.claim("probe"))
    excused = [worker.redis.hget(KEYS.job(job_id), "x") for job_id in ("broken-0", "late", "probe")]
    assert excused == [None, b"1", b"1"]


def test_a_brake_of_zero_never_opens(new: New) -> None:
    """Zero switches it off."""
    worker = new(breaker_after=0)
    for number in range(30):
        worker.fail(f"job-{number}")
    assert worker.redis.exists(KEYS.breaker) == 0


def test_a_throttled_answer_slows_all_workers(new: New) -> None:
    """Half of the configured rate for everybody, and nothing before the time that the vendor named."""
    told, other = (new(interval_ms=50.0) for _ in range(2))
    told.throttled(7.0)
    assert told.number(KEYS.adaptive_rate, "rate") == 10
    assert other.claim("job-0").verdict is ClaimVerdict.WAIT
    until_ms = told.number(KEYS.adaptive_rate, "until")
    assert until_ms - told.number(KEYS.adaptive_rate, "since") == 7000


def test_answers_to_one_burst_halve_the_pace_once(new: New) -> None:
    """Thirty-two threads that are told at once are one message, not thirty-two."""
    worker = new(interval_ms=50.0)
    for _ in range(32):
        worker.throttled(0.0)
    assert worker.number(KEYS.adaptive_rate, "rate") == 10
    worker.redis.hset(KEYS.adaptive_rate, "since", worker.number(KEYS.adaptive_rate, "since") - 2000)
    worker.throttled(0.0)
    assert worker.number(KEYS.adaptive_rate, "rate") == pytest.approx((10 + 2 * 0.5) / 2, rel=0.1)


def test_the_pace_recovers_to_the_configured_rate(new: New) -> None:
    """It grows from the next success on, and not before; at the configured rate nothing is left of it."""
    worker = new(interval_ms=50.0)
    worker.settle("a-success", worker.claim("a-success"))
    worker.throttled(0.0)
    assert worker.redis.hget(KEYS.adaptive_rate, "held") == b"1"
    worker.redis.delete(KEYS.rate)
    worker.settle("the-next-success", worker.claim("the-next-success"))
    assert worker.redis.hget(KEYS.adaptive_rate, "held") is None
    worker.redis.hset(KEYS.adaptive_rate, "since", worker.number(KEYS.adaptive_rate, "since") - 21_000)
    worker.claim("job-0")
    worker.claim("job-1")
    worker.claim("job-2")
    assert worker.redis.exists(KEYS.adaptive_rate) == 0
    assert worker.slot("job-2") - worker.slot("job-1") == pytest.approx(50, abs=1)


def test_a_waiting_job_comes_when_it_is_due(new: New) -> None:
    """Not before; meanwhile another delivery of it is told so."""
    worker = new()
    worker.fail("job", delay_s=3600)
    promote(worker.scripts)
    assert worker.redis.llen(KEYS.lists[1]) == 0
    assert worker.claim("job").verdict is ClaimVerdict.DELAYED
    worker.redis.zadd(KEYS.delayed, {"job": 1})
    promote(worker.scripts)
    assert worker.redis.llen(KEYS.lists[1]) == 1
    assert (claim := worker.claim("job")).verdict is ClaimVerdict.GO
    assert claim.attempts == 1
