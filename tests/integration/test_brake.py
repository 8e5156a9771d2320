"""The brake that an outage of the vendor puts on, and the pace after it, as the scripts decide.

Time is not waited for: what a script wrote as a moment is read, or set back.
"""

from __future__ import annotations

import json

import pytest

from tests.conditions import until
from tests.integration.desk import Desk
from tests.integration.limited import FAULT, KEYS, WORKS, New, job
from tests.integration.stage import faulty, logged, staged
from tests.integration.vendor_server import hang, serving
from tests.redis_server import RedisServer
from worker.store.values import ClaimVerdict, Feedback


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


UNANSWERED = Feedback(counted=False, vendor_works=False, on_the_way=True, cause="AIGC_NOT_SENT: timed out")
ANSWERED = [WORKS, FAULT, Feedback(counted=False, vendor_works=None)]
"""Accepted or rejected, failed, throttled or refused."""


def test_a_window_without_a_single_answer_is_an_outage(new: New) -> None:
    """Though one worker alone has few jobs that wait long: its neighbour's last success is no answer."""
    one, other = new(), new()
    other.settle("before")
    for _ in range(2):
        one.fail("job", feedback=UNANSWERED)
        one.pull("job")
        one.redis.hincrby(KEYS.breaker, "silent", -15_000)
        assert one.redis.hget(KEYS.breaker, "open") is None
    one.fail("job", feedback=UNANSWERED)
    assert one.redis.hmget(KEYS.breaker, "open", "cause") == [b"1", b"AIGC_NOT_SENT: timed out"]


@pytest.mark.parametrize("answered", ANSWERED, ids=["works", "fault", "throttled"])
def test_any_answer_ends_the_silence(new: New, answered: Feedback) -> None:
    """Whatever it says, and to whatever worker."""
    one, other = new(), new()
    other.settle("before")
    for _ in range(3):
        one.fail("job", feedback=UNANSWERED)
        one.pull("job")
        if silent := one.redis.hget(KEYS.breaker, "silent"):
            one.redis.hset(KEYS.breaker, "silent", int(silent) - 15_000)
        other.fail("answered", feedback=answered)
        other.pull("answered")
    assert one.redis.hget(KEYS.breaker, "open") is None


def test_a_silence_needs_attempts(new: New) -> None:
    """Two that failed long apart, with nothing to send in between, are no outage."""
    worker = new()
    for _ in range(3):
        worker.fail("job", feedback=UNANSWERED)
        worker.pull("job")
        for name in ("silent", "lost"):
            worker.redis.hincrby(KEYS.breaker, name, -200_000)
    assert worker.redis.hget(KEYS.breaker, "open") is None


def test_the_cause_of_an_outage_is_its_last_failure(new: New) -> None:
    """Each probe that fails says why."""
    worker = new()
    worker.break_down()
    worker.let_probe()
    worker.fail("probe", worker.claim("probe"), feedback=UNANSWERED)
    assert worker.redis.hget(KEYS.breaker, "cause") == b"AIGC_NOT_SENT: timed out"


@pytest.mark.parametrize(
    ("tls", "said", "remedy"),
    [(False, "handshake", "HTTPS_PROXY"), (True, "CERTIFICATE_VERIFY_FAILED", "REQUESTS_CA_BUNDLE")],
    ids=["a handshake that hangs", "a certificate that nobody here trusts"],
)
def test_an_outage_says_its_cause_and_what_to_mend(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tls: bool, said: str, remedy: str
) -> None:
    """In the worker's ERROR line, in `aigc status` and in `aigc doctor`, with few jobs as with many."""
    servers = serving()
    server = next(servers)(hang, tls=tls)
    endpoint = server.url.replace("http:", "https:")
    connect_s = "10" if tls else "0.2"
    with staged(redis_server) as stage:
        worker = stage.worker(
            ENDPOINT=endpoint, CONNECT_TIMEOUT_S=connect_s, BRAKE_WINDOW_S="1", BRAKE_AFTER=1000
        )
        stage.enqueue(faulty())
        log = logged(worker, "the vendor is down", said)
        line = next(line for line in log.splitlines() if "the vendor is down" in line)
        assert ('"level":"ERROR"' in line, said in line, remedy in line) == (True, True, True)
        env = {name: value for name, value in stage.env(ENDPOINT=endpoint).items() if "AIGC_" in name}
        desk = Desk(redis_server)
        shown = desk.aigc("status", **env).out
        assert ("DOWN" in shown, said in shown, remedy in shown) == (True, True, True)
        assert said in json.loads(desk.aigc("status", "--json", **env).out)["brake"]["cause"]
        doctor = desk.aigc("doctor", **env | {"AIGC_CONNECT_TIMEOUT_S": connect_s}).out.splitlines()
        ours, theirs = (
            next(line for line in doctor if words in line) for words in ("is down for", "reached")
        )
        assert (said in ours, remedy in ours, remedy in theirs) == (True, True, True)
        desk.close()
    next(servers, None)


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
    worker.job_store.withdraw(job("withdrawn"), worker.claim("withdrawn"))
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


def test_a_probe_keeps_to_the_rate(new: New) -> None:
    """While the brake is on there is no more than the rate either."""
    worker = new(interval_ms=50_000)
    assert worker.claim("another").verdict is ClaimVerdict.GO
    worker.redis.hset(KEYS.breaker, mapping={"open": 1, "since": 1, "interval": 500, "next": 1})
    assert worker.claim("job").verdict is not ClaimVerdict.PROBE


def test_a_throttled_answer_slows_all_workers(new: New) -> None:
    """Where nothing is let through: nobody posts before the time that the vendor named, then few at first."""
    told, other = (new(interval_ms=50.0) for _ in range(2))
    told.throttled(7.0)
    assert other.claim("job-0").verdict is ClaimVerdict.WAIT
    second, micros = told.redis.time()
    until_ms = told.number(KEYS.adaptive_rate, "until")
    assert 2000 < until_ms - (1000 * second + micros / 1000) <= 7000
    assert told.number(KEYS.adaptive_rate, "rate") == 10
    assert told.number(KEYS.adaptive_rate, "since") == until_ms


def test_a_refusal_among_many_that_are_let_through_stops_nobody(new: New) -> None:
    """Whatever Retry-After it has: that is for its own job."""
    worker = new()
    worker.settle("a-success", worker.claim("a-success"))
    worker.throttled(7.0)
    assert worker.redis.hget(KEYS.adaptive_rate, "until") is None
    assert worker.claim("job").verdict is ClaimVerdict.GO


def test_the_pace_recovers_to_the_configured_rate(new: New) -> None:
    """It grows from the next success on, and not before; at the configured rate nothing is left of it."""
    worker = new(interval_ms=200.0)
    worker.redis.hset(KEYS.adaptive_rate, mapping={"rate": 2.5, "since": 1, "grows": 0.25, "held": 1})
    worker.claim("job-0")
    assert worker.redis.hget(KEYS.adaptive_rate, "rate") == b"2.5"
    worker.redis.delete(KEYS.rate)
    worker.settle("the-next-success", worker.claim("the-next-success"))
    assert worker.redis.hget(KEYS.adaptive_rate, "held") is None
    worker.redis.hset(KEYS.adaptive_rate, "since", worker.number(KEYS.adaptive_rate, "since") - 21_000)
    worker.claim("job-1")
    worker.claim("job-2")
    worker.claim("job-3")
    assert worker.redis.exists(KEYS.adaptive_rate) == 0
    assert worker.slot("job-3") - worker.slot("job-2") == pytest.approx(200, abs=1)


def test_a_success_does_not_let_the_rate_grow_while_a_slow_down_is_tested(new: New) -> None:
    """Its growth begins later, as the slow-down has it."""
    worker = new()
    ahead = worker.redis.time()[0] * 1000 + 60_000
    worker.redis.hset(KEYS.adaptive_rate, mapping={"rate": 10, "since": ahead, "grows": 1, "held": 1})
    worker.settle("a-success", worker.claim("a-success"))
    assert worker.redis.hmget(KEYS.adaptive_rate, "held", "since") == [None, b"%d" % ahead]


def test_a_job_that_always_fails_is_not_the_only_probe(redis_server: RedisServer) -> None:
    """While the brake is on another job probes next, so that a poisoned one cannot keep it on."""
    with staged(redis_server) as stage:
        second, micros = stage.redis.time()
        now = second * 1000 + micros // 1000
        stage.redis.hset(KEYS.breaker, mapping={"open": 1, "since": now, "interval": 500, "next": now})
        stage.worker()
        stage.enqueue(faulty("sys_error"))
        until(lambda: stage.vendor.posts >= 2, "two probes")
        healthy = {stage.enqueue(faulty()) for _ in range(3)}
        until(lambda: {result["jobId"] for result in stage.results()} >= healthy, "the others")
