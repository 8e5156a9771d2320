"""What signals do to a worker: those that stop it stop it softly, once; the others leave it at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conditions import PATIENCE_S, until
from tests.integration.stage import CommandWorker, Stage, Worker, faulty, logged, staged
from tests.redis_server import RedisServer
from worker.local.signals import MEANINGS, Meaning

STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]
OTHERS = [getattr(signal, name) for name, meaning in MEANINGS.items() if hasattr(signal, name)
          and meaning is not Meaning.STOP] + [signal.SIGRTMIN + 3]  # fmt: skip
ENTRIES = ["celery", "aigc"]
NO_REDIS = "redis://127.0.0.1:9/0"


@pytest.fixture
def stage(own_redis_server: RedisServer) -> Iterator[Stage]:
    with staged(own_redis_server) as stage:
        yield stage


class AigcWorker(CommandWorker):
    """The same, started by `aigc worker`."""

    def __init__(self, stage: Stage, **changes: object) -> None:
        command = [sys.executable, "-c", "from worker.cli import main; main()", "worker"]
        super().__init__(stage, command, **changes)


@pytest.fixture(autouse=True)
def no_nohup() -> Iterator[None]:
    """What this process ignores, its workers would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def started(stage: Stage, entry: str, **changes: object) -> Worker:
    return AigcWorker(stage, **changes) if entry == "aigc" else stage.worker(**changes)


def sends_one_of_two(stage: Stage) -> tuple[str, str]:
    """Jobs of a worker that has one in flight and may not have two; the first is in flight."""
    stage.result(stage.enqueue(faulty()))
    posts = stage.vendor.posts
    first = stage.enqueue(faulty("slow(2500)"))
    until(lambda: stage.vendor.posts > posts, "the POST")
    return first, stage.enqueue(faulty())


def ended(worker: Worker) -> int:
    try:
        return worker.process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"the worker goes on\n{worker.output()[-3000:]}") from None


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("sent", STOPS)
def test_it_stops_softly_and_once(stage: Stage, entry: str, sent: signal.Signals) -> None:
    """However often it is told: what is in flight is settled, the rest goes back, exit 0, no traceback."""
    worker = started(stage, entry, CONCURRENCY=1, READ_TIMEOUT_S=10)
    first, second = sends_one_of_two(stage)
    worker.process.send_signal(sent)
    logged(worker, f"Warm shutdown ({sent.name})")
    for again in (sent, *STOPS):
        worker.process.send_signal(again)
    assert ended(worker) == 0, worker.output()
    assert [result["status"] for result in stage.results_of(first)] == ["submitted"]
    assert stage.results_of(second) == []
    assert (stage.queued(), stage.held(), stage.sending(), stage.living()) == (1, 0, 0, set())
    assert "already stopping" in worker.output()
    assert "Traceback" not in worker.output()


@pytest.mark.parametrize("entry", ENTRIES)
def test_other_signals_leave_it_at_work(stage: Stage, entry: str) -> None:
    """The same process, never stopped and never restarted, submits a job after all of them."""
    worker = started(stage, entry)
    stage.result(stage.enqueue(faulty("slow(500)")))
    names = stage.living()
    for each in OTHERS:
        worker.process.send_signal(each)
    logged(worker, "SIGUSR1: ", "SIGRTMIN+3 is ignored")
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
    assert worker.process.poll() is None
    assert stage.living() == names
    assert worker.terminate() == 0


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("sent", STOPS)
def test_one_signal_ends_a_start_without_redis(stage: Stage, entry: str, sent: signal.Signals) -> None:
    """A worker that waits for a Redis that is away has nothing to finish: exit 0, no traceback."""
    worker = started(stage, entry, REDIS_URL=NO_REDIS)
    logged(worker, "Redis is away")
    worker.process.send_signal(sent)
    assert ended(worker) == 0, worker.output()
    assert "Traceback" not in worker.output()


def test_a_signal_after_the_grace_period_ends_it_at_once(stage: Stage) -> None:
    """A worker whose Redis hangs cannot settle; told again, it ends, and what it knew is not lost."""
    worker = stage.worker(CONNECT_TIMEOUT_S=0.2, READ_TIMEOUT_S=2)
    stage.result(stage.enqueue(faulty()))
    job = stage.enqueue(faulty("slow(1000)"))
    until(lambda: stage.vendor.posts == 2, "the POST")
    assert stage.server.pid is not None
    os.kill(stage.server.pid, signal.SIGSTOP)
    try:
        worker.process.send_signal(signal.SIGTERM)
        until(lambda: told_until_it_ends(worker), "the end")
    finally:
        os.kill(stage.server.pid, signal.SIGCONT)
    assert worker.process.returncode == 1, worker.output()
    assert "the process ends at once" in worker.output()
    stage.worker()
    assert stage.result(job)["status"] == "submitted"
    assert stage.vendor.posts == 2


def told_until_it_ends(worker: Worker) -> bool:
    worker.process.send_signal(signal.SIGTERM)
    return worker.process.poll() is not None


@pytest.mark.parametrize("sent", STOPS)
def test_a_signal_to_the_whole_group_harms_no_attempt_of_a_pool_process(
    stage: Stage, sent: signal.Signals
) -> None:
    """Ctrl-C and systemd's SIGTERM reach the prefork children, too: they finish what they send."""
    worker = stage.worker("--pool", "prefork", CONCURRENCY=1, READ_TIMEOUT_S=10)
    first, _ = sends_one_of_two(stage)
    os.killpg(worker.process.pid, sent)
    assert ended(worker) == 0, worker.output()
    assert [result["status"] for result in stage.results_of(first)] == ["submitted"]
