"""The history of totals: one sample a minute of all workers together, by Redis's clock, of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import get_args
from unittest.mock import patch

import pytest

from tasks.contract import Status
from tests.conditions import until
from tests.integration.journal import KEYS, JournalWorker
from tests.integration.stage import Stage, faulty
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.maintenance.history_recorder import HistoryRecorder
from worker.maintenance.scheduler import Duty, Scheduler
from worker.store.history import DUE_S, MOST, look, read, take
from worker.store.history_values import DAY, HOUR, NO_LATENCY, Sample, to_json
from worker.store.series import series

PRICE = 0.25


@pytest.fixture
def worker(redis_server: RedisServer) -> Iterator[JournalWorker]:
    made = JournalWorker(redis_server)
    yield made
    made.scripts.close()


def now_ms(worker: JournalWorker) -> int:
    seconds, microseconds = worker.redis.time()
    return int(seconds * 1000 + microseconds // 1000)


def set_age(worker: JournalWorker, seconds: float) -> None:
    """As if the last sample had been taken so long ago."""
    _, _, text = worker.redis.lindex(KEYS.history, -1).partition(b"|")
    worker.redis.lset(KEYS.history, -1, b"%d|%s" % (now_ms(worker) - round(1000 * seconds), text))


def test_of_many_workers_one_adds_a_sample(redis_server: RedisServer) -> None:
    """They look at the same moment; the next one is due once the last is old enough."""
    workers = [JournalWorker(redis_server) for _ in range(6)]
    with ThreadPoolExecutor(len(workers)) as pool:
        for number in range(3):
            added = list(pool.map(lambda worker: take(worker.scripts, KEYS), workers))
            assert sum(added) == 1
            assert workers[0].redis.llen(KEYS.history) == number + 1
            set_age(workers[0], DUE_S)
    for worker in workers:
        worker.scripts.close()


def test_a_look_in_vain_is_one_script(worker: JournalWorker) -> None:
    """That is what each idle worker costs, three times a minute."""
    assert take(worker.scripts, KEYS)
    before = worker.redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    total = worker.redis.info("stats")["total_commands_processed"]
    assert not take(worker.scripts, KEYS)
    assert worker.redis.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
    # The two INFO, and what the script does: TIME and LRANGE.
    assert worker.redis.info("stats")["total_commands_processed"] <= total + 5


@pytest.mark.parametrize("fault", ["OOM", "another type"])
def test_a_refused_sample_disturbs_no_other_duty(
    worker: JournalWorker, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it costs to take one is not asked for again at each tick, and it is said once."""
    if fault == "OOM":
        worker.redis.config_set("maxmemory", 1)
    else:
        worker.redis.set(KEYS.history, "something else")
    worker.redis.config_resetstat()
    others: list[None] = []
    duties = [*HistoryRecorder(worker.scripts, KEYS).duties, Duty(lambda: others.append(None), 0.0)]
    scheduler = Scheduler("test", duties, lambda: True)
    for _ in range(8):
        scheduler.tick()
    worker.redis.config_set("maxmemory", 0)
    assert len(others) == 8
    assert worker.redis.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"] <= 1
    assert worker.redis.info("commandstats")["cmdstat_evalsha"]["calls"] <= 4
    assert len(caplog.records) == 1
    worker.redis.delete(KEYS.history)
    assert take(worker.scripts, KEYS)


def test_the_time_is_rediss(worker: JournalWorker) -> None:
    """A worker's own clock may be wrong by years."""
    with patch("time.time", return_value=1.0):
        take(worker.scripts, KEYS)
    found = read(worker.scripts, KEYS)
    assert 0 <= found.now_s - found.samples[0].at_s < 60
    assert abs(found.now_s - now_ms(worker) / 1000) < 60


def test_a_clock_of_rediss_that_went_back_stops_nothing(worker: JournalWorker) -> None:
    """A sample of the future does not keep others from being added until then."""
    take(worker.scripts, KEYS)
    set_age(worker, -7200)
    assert take(worker.scripts, KEYS)
    assert not take(worker.scripts, KEYS)


def test_the_history_does_not_grow_beyond_a_day_and_a_bit(worker: JournalWorker) -> None:
    """The oldest go first; the whole day is kept, though each sample were added as soon as it is due."""
    worker.redis.rpush(KEYS.history, *(f"{number}|old" for number in range(MOST + 50)))
    assert take(worker.scripts, KEYS)
    assert worker.redis.llen(KEYS.history) == MOST
    assert worker.redis.lindex(KEYS.history, 0) == b"51|old"
    assert DAY.length_s < MOST * DUE_S


def test_the_history_of_a_day_takes_a_megabyte_at_most() -> None:
    """Though each number had ten digits."""
    jobs, attempts = (dict.fromkeys(map(str, names), 10**9) for names in (get_args(Status), OutcomeKind))
    totals = (jobs, attempts, (10**9,) * len(NO_LATENCY), 1e9)
    sample = Sample(0, *totals, queued=10**9, delayed=10**9, in_flight=10**9, held=10**9, oldest_s=1e9)
    assert MOST * (len("1800000000000|") + len(to_json(sample))) < 1_000_000


def test_what_cannot_be_read_is_passed_over(worker: JournalWorker) -> None:
    """A sample of a later version, or anything else."""
    worker.redis.rpush(KEYS.history, "nothing", "12|{}", "x|{}", b"\xff|\xff")
    take(worker.scripts, KEYS)
    assert len(read(worker.scripts, KEYS).samples) == 1


def test_a_worker_samples_what_its_jobs_became(stage: Stage) -> None:
    """A known load, as the vendor's ledger and the results have it; a sample at the beginning, one after."""
    stage.worker(PRICE__TEXT2IMAGE=PRICE)
    until(lambda: stage.redis.llen(KEYS.history) == 1, "the first sample")
    load = {"": 12, "param_error": 3, "reset": 2, "sys_error*1": 1}
    for rule, times in load.items():
        for _ in range(times):
            stage.enqueue(faulty(rule))
    until(lambda: len(stage.results()) == sum(load.values()), "all results")
    stage.drain()
    worker = JournalWorker(stage.server)
    sample = look(worker.redis, KEYS)
    ended = Counter(result["status"] for result in stage.results())
    assert sample.jobs == dict(ended)
    assert sum(sample.attempts.values()) == stage.vendor.get("stats")["posts"]
    assert sum(sample.latency) > 0
    assert sample.spent == ended["submitted"] * PRICE
    assert (sample.queued, sample.delayed, sample.in_flight, sample.oldest_s) == (0, 0, 0, 0.0)
    assert sample.held == ended["unknown"] == 2
    set_age(worker, 60)
    assert take(worker.scripts, KEYS)
    found = read(worker.scripts, KEYS)
    shown = series(found.samples, found.now_s, HOUR)
    # All of them within that minute, or a bit more where this machine is busy.
    assert max(rate or 0 for rate in shown.jobs["submitted"]) == pytest.approx(ended["submitted"], rel=0.6)
    assert max(rate or 0 for rate in shown.spent) > 0
    worker.scripts.close()


def test_jobs_that_wait_are_sampled_with_their_age(stage: Stage) -> None:
    """In the queue, in messages of many, and between two attempts."""
    worker = JournalWorker(stage.server)
    for number in range(3):
        stage.enqueue(faulty(), enqueued_ms=now_ms(worker) - 60_000 * number)
    worker.redis.zadd(KEYS.delayed, {"later": 1})
    worker.redis.sadd(KEYS.backlogs, "TEXT2IMAGE")
    worker.redis.lpush(KEYS.backlog("TEXT2IMAGE"), b"1|" + worker.redis.lindex(KEYS.queue, 0))
    sample = look(worker.redis, KEYS)
    assert (sample.queued, sample.delayed) == (4, 1)
    assert sample.oldest_s is not None
    assert 0 <= sample.oldest_s - 120 < 60
    worker.scripts.close()
