"""Good manners through real workers: limits for all of them, outages, refused keys, pauses and priorities."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from statistics import median
from typing import Any

from tasks.contract import DEFAULT_QUEUE, queue_for
from tasks.envelope import Job, encode
from tests.conditions import until
from tests.integration.desk import KEYS
from tests.integration.stage import KEYS as VENDOR_KEYS
from tests.integration.stage import Stage, faulty
from worker.store import audit


def start(stage: Stage, workers: int, **settings: Any) -> None:
    """So many workers, all of them looking at the queue."""
    for _ in range(workers):
        stage.worker(**settings)
    until(lambda: stage.redis.hlen(KEYS.last_polls) == workers, "the workers")


def enqueue(stage: Stage, count: int, name: str = "job", list_name: str = DEFAULT_QUEUE) -> list[str]:
    """So many jobs in one step, to one list."""
    ids = [f"{name}-{number}" for number in range(count)]
    stage.redis.lpush(list_name, *[encode(Job(job_id, faulty()), list_name) for job_id in ids])
    return ids


def ended(stage: Stage, count: int, seconds: float = 45) -> list[dict[str, Any]]:
    """The results, once so many are there."""
    until(lambda: stage.redis.xlen(KEYS.results) >= count, f"{count} results", seconds)
    return stage.results()


def arrivals(stage: Stage) -> list[float]:
    """Seconds at which posts came, the vendor's monotonic clock."""
    return sorted(stage.vendor.get("arrivals?window_s=1")["arrivals"])


def usual_second(stage: Stage) -> float:
    """How many posts come in a second, as a rule: after a moment's standstill several come at once."""
    stamps = arrivals(stage)
    return median(bisect_left(stamps, start + 1) - at for at, start in enumerate(stamps))


def brake_is_open(stage: Stage) -> bool:
    return bool(stage.redis.hget(KEYS.breaker, "open") == b"1")


def test_one_rate_for_all_workers(stage: Stage) -> None:
    """At 20/s over two workers a second has no more than about 20 posts, and both have their share."""
    stage.vendor.set("latency", latency_ms=50)
    start(stage, 2, RATE_PER_S=20)
    enqueue(stage, 120)
    ended(stage, 120)
    stamps = arrivals(stage)
    assert stamps[-1] - stamps[0] > 119 / 24
    assert usual_second(stage) <= 24

    def shares() -> list[int]:
        return [worker.output().count('"message":"job submitted"') for worker in stage.workers]

    until(lambda: sum(shares()) == 120, "the lines, which are written a little later")
    assert min(shares()) >= 20


def test_posts_are_spread_over_the_second(stage: Stage) -> None:
    """No second's worth in its first tenth: at 20/s nearly every tenth of a second has its posts."""
    start(stage, 2, RATE_PER_S=20)
    enqueue(stage, 60)
    ended(stage, 60)
    assert len({int(stamp * 10) for stamp in arrivals(stage)}) >= 20


def test_no_more_in_flight_than_allowed(stage: Stage) -> None:
    """Three slots for two workers are all used, and never a fourth."""
    stage.vendor.set("latency", latency_ms=200)
    start(stage, 2, MAX_INFLIGHT=3)
    enqueue(stage, 45)
    ended(stage, 45)
    assert stage.vendor.get("stats")["max_in_flight"] == 3


def test_a_killed_worker_leaks_no_place(stage: Stage) -> None:
    """Its slots are free as soon as it is known to be dead, and what it was sending is held."""
    start(stage, 1, MAX_INFLIGHT=2, READ_TIMEOUT_S=60)
    first = stage.enqueue(faulty())  # a worker's first attempt goes alone
    stage.result(first)
    lost = [stage.enqueue(faulty("hang")) for _ in range(2)]
    until(lambda: stage.vendor.posts == 3, "both slots to be taken")
    stage.workers[0].kill()
    stage.worker(MAX_INFLIGHT=2)
    rest = enqueue(stage, 10)
    assert {result["jobId"] for result in ended(stage, 13)} == {first, *lost, *rest}
    assert [stage.result(job)["errorCode"] for job in lost] == ["AIGC_WORKER_LOST"] * 2
    assert stage.sending() == 0


def test_a_throttled_answer_stops_all_workers_for_as_long_as_it_says(stage: Stage) -> None:
    """One worker is told to come back in 3 s; until then no worker posts."""
    start(stage, 2, RETRY_CAP_S=10)
    stage.enqueue(faulty("throttle(3)*1"))
    until(lambda: stage.redis.exists(KEYS.adaptive_rate), "the pace to be learned")
    enqueue(stage, 10)
    ended(stage, 11)
    times = arrivals(stage)
    assert times[1] - times[0] > 2.9
    assert all(result["attempts"] == 1 for result in stage.results())


def test_a_job_that_fails_alone_ends_after_its_attempts(stage: Stage) -> None:
    """It does not open the brake, and is charged for each attempt."""
    start(stage, 1, MAX_ATTEMPTS=8, RETRY_CAP_S=0.1)
    result = stage.result(stage.enqueue(faulty("sys_error")))
    assert (result["status"], result["attempts"], stage.vendor.posts) == ("exhausted", 8, 8)
    assert not brake_is_open(stage)


def test_an_outage_costs_few_posts_and_no_job_and_posts_ramp_up_after_it(stage: Stage) -> None:
    """At most what was in flight and a probe now and then; then all is submitted, not the backlog at once."""
    stage.vendor.set("rules", rules=["sys_error"])
    start(stage, 2, CONCURRENCY=8, MAX_ATTEMPTS=3)
    enqueue(stage, 400)
    until(lambda: stage.redis.hget(KEYS.breaker, "interval") == b"4000", "probes 4 s apart")
    assert stage.vendor.posts <= 2 * 8 + 5 + 5
    stage.vendor.set("rules", rules=[])
    results = ended(stage, 400)
    assert Counter(result["status"] for result in results) == {"submitted": 400}
    assert not brake_is_open(stage)
    accepted = sorted(post["arrived"] for post in stage.vendor.get("ledger"))
    within = [sum(arrived <= accepted[0] + seconds for arrived in accepted) for seconds in (1, 2)]
    # Ten a second at first, doubling each second: 10 · (2^t - 1) / ln 2 is 14 after one second and 43 after
    # two; as many again for late threads.
    assert within[0] <= 28
    assert within[1] <= 86


def test_a_wrong_secret_costs_few_posts_and_no_job(stage: Stage) -> None:
    """Intake stops after the first refusal of each worker, and goes on by itself when the key is right."""
    start(stage, 2, SECRET_KEY="rotated")
    enqueue(stage, 100)
    until(lambda: all("the vendor refuses" in worker.output() for worker in stage.workers), "complaints")
    stage.vendor.set("keys", keys=[{"access_key": VENDOR_KEYS.access_key, "secret_key": "rotated"}])
    results = ended(stage, 100)
    assert stage.vendor.get("stats")["by_outcome"]["auth_refused"] <= 6
    assert {(result["status"], result["attempts"]) for result in results} == {("submitted", 1)}


def test_a_workflows_rate_does_not_hold_up_the_others(stage: Stage) -> None:
    """Forty jobs of a workflow at 2/s came first; forty others pass them."""
    start(stage, 1, RATE_PER_S__SLOW=2)
    slow = [Job(f"slow-{n}", {**faulty(), "workflow": "SLOW"}, unlisted=True) for n in range(40)]
    stage.redis.lpush(DEFAULT_QUEUE, *[encode(job, DEFAULT_QUEUE) for job in slow])
    fast = set(enqueue(stage, 40, "fast"))
    until(lambda: fast <= {result["jobId"] for result in stage.results()}, "the fast ones")
    order = [result["jobId"] for result in stage.results()]
    assert sum(job.startswith("slow") for job in order) < 20
    stamps = arrivals(stage)
    until(lambda: len(stage.results()) >= len(order) + 6, "some more slow ones")
    later = arrivals(stage)[len(stamps) :]
    assert later[-1] - later[0] > 0.4 * (len(later) - 1)


def test_a_pause_stops_all_workers(stage: Stage) -> None:
    """While it lasts nothing is posted; then everything is."""
    start(stage, 2)
    audit.pause(stage.redis, KEYS, None, "tests")
    enqueue(stage, 20)
    seen = [stage.redis.hgetall(KEYS.last_polls)]
    for _ in range(2):  # each worker has looked at the queue twice more
        until(lambda: set(stage.redis.hvals(KEYS.last_polls)).isdisjoint(seen[-1].values()), "pulses")
        seen.append(stage.redis.hgetall(KEYS.last_polls))
    assert stage.vendor.posts == 0
    assert audit.resume(stage.redis, KEYS, None, "tests") == (True, [])
    assert {result["attempts"] for result in ended(stage, 20)} == {1}


def test_a_paused_workflow_steps_aside(stage: Stage) -> None:
    """Its jobs wait in its backlog while the others are done, and go on with the resume."""
    audit.pause(stage.redis, KEYS, "SLOW", "tests")
    start(stage, 1)
    paused = stage.enqueue({**faulty(), "workflow": "SLOW"}, unlisted=True)
    stage.result(stage.enqueue(faulty()))
    until(lambda: stage.redis.llen(KEYS.backlog("SLOW")) == 1, "the backlog")
    assert stage.vendor.posts == 1
    audit.resume(stage.redis, KEYS, "SLOW", "tests")
    assert stage.result(paused)["status"] == "submitted"


def test_an_urgent_job_overtakes_the_backlog(stage: Stage) -> None:
    """It waits for what is at hand already, not for the 300 before it."""
    start(stage, 1, RATE_PER_S=40)
    enqueue(stage, 300)
    before = len(ended(stage, 10))
    (urgent,) = enqueue(stage, 1, "urgent", queue_for(DEFAULT_QUEUE, "high"))
    stage.result(urgent)
    order = [result["jobId"] for result in stage.results()]
    assert order.index(urgent) - before < 40


def test_a_low_priority_is_not_starved(stage: Stage) -> None:
    """Every tenth look begins with the low list: its jobs get through while others wait."""
    start(stage, 1, RATE_PER_S=40)
    enqueue(stage, 200)
    low = enqueue(stage, 1, "low", queue_for(DEFAULT_QUEUE, "low"))
    until(lambda: stage.results_of(low[0]), "the job of low priority")
    assert len(stage.results()) < 150
