"""Each alarm of docs/operations.md is made to fire: its log line at its level, its number in status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tasks.envelope import Job, encode, encode_batch
from tests.conditions import until
from tests.integration.desk import KEYS, Desk
from tests.integration.stage import CAT, CommandWorker, Stage, Worker, faulty, staged
from tests.redis_server import RedisServer
from worker.store.scripts import Scripts
from worker.store.workers import Dead, WorkerRegistry

PAGE: Final = (
    (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8").partition("## Alarms")[2]
)
ROWS: Final = re.findall(r"^\| (.*?) \| .*\|$", PAGE.partition("\n\nWatch")[0], re.MULTILINE)[1:]
NUMBERS: Final = re.findall(r"`(\.[a-z_.]+)`", PAGE.partition("Watch by number")[2].partition(".\n")[0])
LEVEL: Final = re.compile(r"\((warning|error|critical)\b")

LINES_MOST: Final = 500
FEW_LINES: Final = f"""
from celery.__main__ import main
from worker.observability.line_writer import LineWriter
LineWriter.__init__.__defaults__ = ({LINES_MOST},)
main()
"""
"""Celery's own program, which keeps fewer lines for a reader than ours does."""

STANDSTILL: Final = """
import threading
from worker.cli import main
from worker.processing import loop
from worker.processing.pipeline import Pipeline
Pipeline.advance = lambda self: threading.Event().wait()
loop.STANDSTILL_S = 1.0
main()
"""
"""A worker whose loop has a round that does not end, and which says so sooner than after 20 s."""

Fire = Callable[[Stage], object]


@pytest.fixture
def stage(own_redis_server: RedisServer) -> Iterator[Stage]:
    with staged(own_redis_server) as stage:
        yield stage


def ready(stage: Stage, **changes: Any) -> Worker:
    """One more worker, once it is there."""
    before = len(stage.living())
    worker = stage.worker(**changes)
    until(lambda: len(stage.living()) > before, "the worker")
    return worker


def sending(stage: Stage, rule: str = "slow(1500)") -> str:
    """A job whose answer is on its way."""
    payload = faulty(rule)
    job = stage.enqueue(payload)
    until(lambda: stage.vendor.posts_of(payload), "the POST")
    return job


def vendor_down(stage: Stage) -> None:
    stage.vendor.set("rules", rules=["sys_error"])
    ready(stage)
    for _ in range(10):
        stage.enqueue(faulty())


def refused_key(stage: Stage) -> None:
    ready(stage, SECRET_KEY="another-secret-of-tests")
    stage.enqueue(faulty())


def one_job(rule: str) -> Fire:
    def fire(stage: Stage) -> None:
        ready(stage, MAX_ATTEMPTS=1)
        stage.result(stage.enqueue(faulty(rule)))

    return fire


def paid_twice(stage: Stage) -> None:
    """A frozen worker is given up too early; the vendor accepts both attempts."""
    frozen = ready(stage, READ_TIMEOUT_S=60, ON_UNKNOWN="resubmit")
    job = sending(stage)
    os.kill(frozen.process.pid, signal.SIGSTOP)
    (owner,) = stage.living()
    scripts = Scripts(stage.server.url, (KEYS.queue, KEYS.results), connections=2)
    WorkerRegistry(scripts, KEYS).take_over(Dead(owner.decode(), "", known=True, last_beat=0))
    scripts.close()
    ready(stage, ON_UNKNOWN="resubmit")
    stage.result(job)
    os.kill(frozen.process.pid, signal.SIGCONT)
    until(lambda: stage.redis.hget(KEYS.counters, "paid_twice"), "the late answer")


def following(rule: str, **changes: Any) -> Fire:
    """Jobs whose tasks are asked about while the vendor does this."""

    def fire(stage: Stage) -> None:
        stage.vendor.set("rules", rules=[rule, "task_waiting(0)", "task_running(0)"])
        folder = f"file://{stage.directory}/pictures"
        ready(stage, FOLLOW="on", STORE_URL=folder, FETCH_ALLOW="127.0.0.0/8", **changes)
        for _ in range(6):
            stage.enqueue(faulty())

    return fire


def malformed(stage: Stage) -> None:
    ready(stage)
    stage.redis.lpush(KEYS.queue, "no job")


def settling_refused(stage: Stage) -> None:
    ready(stage)
    sending(stage, "slow(500)")
    stage.redis.set(KEYS.results, "no stream")


def selftest_fails(stage: Stage) -> None:
    """While it works: at its start a worker that Redis keeps out does not wait."""
    ready(stage)
    stage.redis.set(KEYS.results, "no stream")
    stage.redis.client_kill_filter(_type="normal", skipme=True)


def cut_off(stage: Stage) -> None:
    stage.vendor.set("latency", latency_ms=50)
    for endpoint in ("http://127.0.0.1:9", stage.vendor.url, stage.vendor.url):
        ready(stage, ENDPOINT=endpoint, CONCURRENCY=8)
    for _ in range(300):
        stage.enqueue(faulty())


def no_folder(stage: Stage) -> None:
    ready(stage, STATE_DIR="/proc/no-folder")


def clock_back(stage: Stage) -> None:
    stage.redis.hset(KEYS.clock, "last", (stage.redis.time()[0] + 300) * 1000)
    ready(stage)


def killed(stage: Stage) -> None:
    victim = ready(stage)
    ready(stage)
    victim.kill()


def declared_dead(stage: Stage) -> None:
    ready(stage)
    stage.redis.delete(KEYS.workers)


def redis_refuses_then_is_away(stage: Stage) -> None:
    worker = ready(stage)
    stage.redis.config_set("maxmemory", 1)
    until(lambda: "Redis refuses" in worker.output(), "the refusal")
    stage.server.kill()


def redis_away(stage: Stage) -> None:
    ready(stage)
    stage.server.kill()


def newer_argument(stage: Stage) -> None:
    ready(stage)
    stage.put([faulty()], {"an_argument_of_tomorrow": 1})


def stamped_in_seconds(stage: Stage) -> None:
    ready(stage)
    stage.enqueue(faulty(), enqueued_ms=round(time.time()))


class UnreadWorker(CommandWorker):
    """One whose log goes into a pipe that nobody reads until it is asked for."""

    def __init__(self, stage: Stage) -> None:
        self._reader, writer = os.pipe()
        self.log = Path(stage.directory, "unread.log")
        self.log.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-c", FEW_LINES, "-A", "worker.app", "worker"],
            env=stage.env(), stdout=subprocess.DEVNULL, stderr=writer, start_new_session=True,
        )  # fmt: skip
        os.close(writer)
        self._reads: threading.Thread | None = None
        stage.workers.append(self)

    def output(self) -> str:
        if self._reads is None:
            self._reads = threading.Thread(target=self._read)
            self._reads.start()
        return super().output()

    def _read(self) -> None:
        with open(self._reader, "rb", buffering=0) as pipe, self.log.open("wb", buffering=0) as log:
            while chunk := pipe.read(65536):
                log.write(chunk)

    def close(self) -> None:
        self.kill()
        if self._reads is None:
            os.close(self._reader)
        else:
            self._reads.join()
        super().close()


def log_unread(stage: Stage) -> None:
    """A line for each of more jobs than lines are kept for a reader."""
    UnreadWorker(stage)
    for number in range(6 * LINES_MOST // 50):
        jobs = [Job(f"{number}-{place}", {"no": "workflow"}) for place in range(50)]
        stage.redis.lpush(KEYS.queue, encode_batch(jobs, KEYS.queue, f"batch-{number}"))


def standstill(stage: Stage) -> None:
    """A round of the loop that does not end, made by hand."""
    CommandWorker(stage, [sys.executable, "-c", STANDSTILL, "worker"])
    stage.enqueue(faulty())


def nothing_persisted(stage: Stage) -> None:
    stage.redis.config_set("save", "")
    stage.redis.config_set("appendonly", "no")
    ready(stage)


LINES: Final[dict[str, Fire]] = {
    "the vendor is down": vendor_down,
    "the vendor has been down for …": vendor_down,
    "the vendor refuses this worker": refused_key,
    "job unknown": one_job("garbage"),
    "job exhausted": one_job("sys_error"),
    "job rejected": one_job("param_error"),
    "job was paid for twice": paid_twice,
    "job … has an argument that this version does not know": newer_argument,
    "aigc-enqueued-ms must be milliseconds …": stamped_in_seconds,
    "… log lines before this one are lost": log_unread,
    "its log is not read": log_unread,
    "no job has gone on for … s": standstill,
    "a malformed message was put aside": malformed,
    "Redis refuses to settle a job: …": settling_refused,
    "… nothing is taken from the queue until it is mended": selftest_fails,
    "this worker does not reach the vendor while other workers do": cut_off,
    "no in-flight log …": no_folder,
    "the vendor refuses queries": following("query_auth_error"),
    "no query is answered": following("query_garbage"),
    "output lost": following("query_odd_status", FOLLOW_DEADLINE_S=1),
    "the file of task … is not kept yet": following("file_cut"),
    "Redis's clock stepped back by …": clock_back,
    "worker … is dead": killed,
    "this worker was declared dead for its silence": declared_dead,
    "Redis has been away for …": redis_away,
    "Redis is away": redis_refuses_then_is_away,
    "Redis refuses …": redis_refuses_then_is_away,
    "CONFIG SET": nothing_persisted,
}
"""What makes each line of the table be written."""


def lines_of(row: str) -> list[str]:
    """The lines that a row of the table speaks of: what stands as code before its level."""
    return re.findall(r"`([^`]+)`", LEVEL.split(row)[0]) if LEVEL.search(row) else []


def warnings_of(row: str) -> list[str]:
    """The warnings of status that a row speaks of."""
    return re.findall(r"`([^`]+)` \(?in `aigc status`", row)


def pattern_of(words: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, words.split("…"))))


def logged_at(stage: Stage, line: str, level: str) -> bool:
    """Whether a worker has logged this line, at this level."""
    pattern = pattern_of(line)
    lines = stage.logs_in_full().splitlines(keepends=True)
    # The last one may not be whole yet.
    entries = [json.loads(each) for each in lines if each.startswith("{") and each.endswith("}\n")]
    return any(entry["level"].lower() == level and pattern.search(entry["message"]) for entry in entries)


def is_warned_of(stage: Stage, words: str) -> bool:
    if not stage.redis.exists(KEYS.troubles):  # where workers tell of them: status need not be asked yet
        return False
    desk = Desk(stage.server)
    (found,) = desk.aigc("status", "--json").documents
    desk.close()
    return any(pattern_of(words).search(warning) for warning in found["warnings"])


def test_the_table_and_these_tests_name_the_same() -> None:
    """A new row of the page needs what makes it fire, and each row says its level, or where it stands."""
    assert sorted(line for row in ROWS for line in lines_of(row) + warnings_of(row)) == sorted(LINES)
    assert [row for row in ROWS if not LEVEL.search(row) and not warnings_of(row)] == []


@pytest.mark.parametrize("row", ROWS)
def test_an_alarm_fires(stage: Stage, row: str) -> None:
    """What the table says of brings about its line, at its level, or its warning of status."""
    lines, warnings = lines_of(row), warnings_of(row)
    for fire in {LINES[line] for line in (*lines, *warnings)}:
        fire(stage)
    for words in warnings:
        until(partial(is_warned_of, stage, words), f"the warning: {words}")
    for line in lines:
        level = LEVEL.split(row)[1]
        until(partial(logged_at, stage, line, level), f"{line}, at {level}")


def unknown(desk: Desk) -> None:
    desk.add_dead_letter("held")


def bought_again(desk: Desk) -> None:
    desk.add_dead_letter("twice")
    for task in ("task-1", "task-2"):
        desk.accepted_late("twice", task)


def breaker_open(desk: Desk) -> None:
    desk.redis.hset(KEYS.breaker, mapping={"open": 1, "since": 1, "next": 1, "interval": 500})


def old_job(desk: Desk) -> None:
    stamp = (desk.redis.time()[0] - 7200) * 1000
    desk.redis.lpush(KEYS.queue, encode(Job("old", CAT, enqueued_ms=stamp), KEYS.queue))


def dead_worker(desk: Desk) -> None:
    boot, namespace, user, *_ = desk.registry.identity.split("/")
    desk.redis.hset(KEYS.identities, desk.registry.owner, f"{boot}/{namespace}/{user}/4194305/1/gone")


def unread(desk: Desk) -> None:
    desk.redis.lpush("shop_aigc", encode(Job("lost", CAT), KEYS.queue))


def trouble(desk: Desk) -> None:
    desk.redis.hset(KEYS.troubles, desk.registry.owner, "the disk is full")


WATCHED: Final[dict[str, tuple[Callable[[Desk], None], Callable[[Any], bool]]]] = {
    ".jobs.unknown": (unknown, bool),
    ".money.paid_twice": (bought_again, bool),
    ".brake.open": (breaker_open, bool),
    ".oldest_job_s": (old_job, lambda seconds: seconds is not None and seconds > 3600),
    ".workers": (dead_worker, lambda workers: len(workers) == 0),
    ".dead_workers": (dead_worker, bool),
    ".unread_lists": (unread, bool),
    ".warnings": (trouble, bool),
}
"""What brings each number about, and when it is one to see to."""


def test_the_watched_numbers_and_these_tests_name_the_same() -> None:
    """A number that the page names needs what makes it rise."""
    assert set(NUMBERS) == set(WATCHED)


@pytest.mark.parametrize("path", WATCHED)
def test_a_watched_number_rises(redis_server: RedisServer, path: str) -> None:
    """It is quiet before; afterwards it is not."""
    desk = Desk(redis_server)
    fire, rings = WATCHED[path]

    def value() -> Any:
        (found,) = desk.aigc("status", "--json").documents
        for name in path[1:].split("."):
            found = found[name]
        return found

    assert not rings(value())
    fire(desk)
    assert rings(value())
    desk.close()
