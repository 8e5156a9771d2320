"""A batch's counts are exact whatever happens to its jobs' messages, and its end is told."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

import tasks
from tasks import batches, cancel_many
from tasks.batch_store import scripts
from tasks.batch_store.moves import KEEP_S, WORKFLOWS_MOST
from tasks.contract import Status
from tasks.envelope import Job, encode
from tasks.queued import queued as queued_messages
from tests.conditions import until
from tests.integration.desk import Desk
from tests.integration.journal import KEYS, JournalWorker
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.domain.outcome import Outcome, OutcomeKind
from worker.domain.result import result_of
from worker.store.values import Claim, ClaimVerdict, Delivery, Feedback, Reschedule, Settlement

ATTEMPTED = Feedback(counted=True, vendor_works=None)


class Worker(JournalWorker):
    """One worker that takes jobs of batches by hand."""

    def take(self, job: Job) -> tuple[Delivery, Claim]:
        tag = f"1.{uuid.uuid4().int}"
        self.redis.hset(KEYS.unacked(self.registry.owner), tag, encode(job, KEYS.queue))
        claim = self.job_store.claim(job, str(job.payload["workflow"]), str(uuid.uuid4()))
        return Delivery(self.registry.owner, tag, 1), claim

    def ending(self, job: Job, delivery: Delivery, claim: Claim, status: Status) -> Settlement:
        outcome = Outcome(OutcomeKind.REJECTED, task_id="task-1" if status == "submitted" else None)
        result = result_of(job, status, outcome, 1, claim.request_id, False, 1.0)
        return Settlement(job, delivery, claim, result, OutcomeKind.REJECTED, ATTEMPTED)

    def end(self, job: Job, status: Status) -> str:
        """Take the job and end it so; what the store says."""
        delivery, claim = self.take(job)
        assert claim.granted, claim.verdict
        return self.job_store.settle(self.ending(job, delivery, claim, status))

    def later(self) -> int:
        """A stamp of after whatever has happened so far."""

        def now_ms() -> int:
            second, micros = self.redis.time()
            return int(second * 1000 + micros // 1000)

        now = now_ms()
        until(lambda: now_ms() > now, "the next millisecond")
        return now_ms()


@pytest.fixture
def worker(redis_server: RedisServer) -> Iterator[Worker]:
    redis_server.client().flushall()
    tasks.configure(redis_url=redis_server.url)
    yield Worker(redis_server)
    tasks.configure()


def queued(worker: Worker, batch: str | None, job_id: str = "") -> Job:
    """A job that was submitted, as its message has it."""
    job_id = tasks.submit(CAT, job_id=job_id or str(uuid.uuid4()), batch=batch)
    return Job(job_id, CAT, enqueued_ms=worker.later(), batch=batch)


def counts(batch: str) -> dict[str, int]:
    """How many jobs of a batch are what, those that there are."""
    found = batches.progress(batch)
    told: dict[str, int] = {"waiting": found.waiting, **found.statuses}  # type: ignore[dict-item]
    assert found.total == sum(told.values())
    by_workflow: dict[str, int] = {}
    for of in found.workflows.values():
        for name, count in of.items():
            by_workflow[name] = by_workflow.get(name, 0) + count
    assert by_workflow == {name: count for name, count in told.items() if count}
    return by_workflow


def events(worker: Worker) -> list[batches.BatchEvent]:
    return [
        batches.BatchEvent.from_json(fields[b"event"]) for _, fields in worker.redis.xrange("aigc:batches")
    ]


def test_a_job_counts_once_however_often_it_comes(worker: Worker) -> None:
    """Queued twice, delivered twice, retried, settled twice."""
    job = queued(worker, "b")
    queued(worker, "b", job.id)
    assert counts("b") == {"waiting": 1}
    delivery, claim = worker.take(job)
    assert worker.take(job)[1].verdict is ClaimVerdict.BUSY
    later = Reschedule(job, delivery, claim, ATTEMPTED, 1, 0, False, 0.0)
    worker.job_store.reschedule(later)
    assert counts("b") == {"waiting": 1}
    worker.redis.delete(KEYS.delayed, KEYS.delayed_messages)
    delivery, claim = worker.take(job)
    end = worker.ending(job, delivery, claim, "submitted")
    assert [worker.job_store.settle(end) for _ in range(2)] == ["settled", "settled"]
    assert worker.take(job)[1].verdict is ClaimVerdict.SETTLED
    assert counts("b") == {"submitted": 1}


def test_each_status_is_counted(worker: Worker) -> None:
    """By whichever script the job ends."""
    for status in ("submitted", "rejected", "exhausted", "unknown", "cancelled", "submitted"):
        worker.end(queued(worker, "b"), status)
    queued(worker, "b")
    expected = {"submitted": 2, "rejected": 1, "exhausted": 1, "unknown": 1, "cancelled": 1, "waiting": 1}
    assert counts("b") == expected


def test_a_cancelled_batch_counts_what_workers_have_ended_by_it(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the mark on, each job once: whether a worker ends it before it is met, or after that."""
    worker.end(queued(worker, "b"), "cancelled")  # before
    worker.later()
    before, after, waits = (queued(worker, "b") for _ in range(3))
    ended_by_now: list[str] = []
    mark = cancel_many._mark

    def end_as_it_was_cancelled(job: Job) -> None:
        delivery, claim = worker.take(job)
        assert claim.verdict is ClaimVerdict.CANCELLED
        ended_by_now.append(worker.job_store.settle(worker.ending(job, delivery, claim, "cancelled")))

    def marked(*args: Any) -> int:
        since_ms = mark(*args)
        end_as_it_was_cancelled(before)
        return since_ms

    def looked(*args: Any) -> Iterator[Any]:
        end_as_it_was_cancelled(after)
        return queued_messages(*args)

    monkeypatch.setattr(cancel_many, "_mark", marked)
    monkeypatch.setattr(cancel_many, "queued", looked)
    assert batches.cancel("b") == batches.Cancelled(cancelled=3)
    assert ended_by_now == ["settled", "settled"]
    assert counts("b") == {"cancelled": 3, "waiting": 1}
    assert worker.take(waits)[1].verdict is ClaimVerdict.CANCELLED


@pytest.mark.parametrize(
    ("paused", "verdict"), [("*", ClaimVerdict.PAUSED), (CAT["workflow"], ClaimVerdict.BACKLOG)]
)
def test_a_foreign_job_that_a_pause_sends_back_is_in_its_batch(
    worker: Worker, paused: str, verdict: ClaimVerdict
) -> None:
    """From the first worker on that had it in hand: who cancels the batch finds it there."""
    worker.redis.sadd(KEYS.paused, paused)
    job = Job(str(uuid.uuid4()), CAT, batch="b")
    assert worker.take(job)[1].verdict is verdict
    assert counts("b") == {"waiting": 1}
    worker.redis.delete(KEYS.paused)
    worker.end(job, "submitted")
    assert counts("b") == {"submitted": 1}


def test_an_operators_decision_moves_the_count(worker: Worker, redis_server: RedisServer) -> None:
    """From unknown to submitted, in each batch of the job; it is no end of the batch."""
    job = queued(worker, "a")
    worker.end(job, "unknown")
    again = queued(worker, "b", job.id)
    assert worker.take(again)[1].verdict is ClaimVerdict.REPEATED
    assert counts("a") == counts("b") == {"unknown": 1}
    desk = Desk(redis_server)
    (held,) = desk.dead_letters.find(desk_filter())
    assert desk.dead_letters.accept(held, "task-9", "me")
    assert counts("a") == counts("b") == {"submitted": 1}
    assert events(worker) == []


def desk_filter() -> Any:
    from worker.store.dead_letters import DeadLetterFilter

    return DeadLetterFilter()


def test_what_was_bought_before_counts_in_its_new_batch_at_once(worker: Worker) -> None:
    """The second night's batch finishes, though nothing of it is sent."""
    job = queued(worker, "first")
    worker.end(job, "submitted")
    again = queued(worker, "second", job.id)
    batches.close("second")
    assert worker.take(again)[1].verdict is ClaimVerdict.REPEATED
    assert counts("second") == {"submitted": 1}
    assert [event.batch for event in events(worker)] == ["second"]


def test_a_job_that_runs_again_counts_where_it_is_submitted_now(worker: Worker) -> None:
    """In the batch before it stays as it ended; in the same batch it waits again."""
    job = queued(worker, "first")
    worker.end(job, "rejected")
    assert counts("first") == {"rejected": 1}
    queued(worker, "first", job.id)
    assert counts("first") == {"waiting": 1}
    worker.end(replace(job, enqueued_ms=worker.later()), "exhausted")
    assert counts("first") == {"exhausted": 1}
    worker.end(queued(worker, "second", job.id), "submitted")
    assert (counts("first"), counts("second")) == ({"exhausted": 1}, {"submitted": 1})
    worker.end(queued(worker, None), "submitted")
    assert batches.names() == ["second", "first"]


def test_an_old_message_does_not_leave_its_job_waiting(worker: Worker) -> None:
    """Pushed once more after a lost reply, it is passed over, and the batch knows how the job ended."""
    job = queued(worker, "b")
    worker.end(job, "rejected")
    worker.redis.hset("aigc:batch:b", job.id, "rTEXT2IMAGE")
    queued(worker, "b", job.id)
    assert counts("b") == {"waiting": 1}
    assert worker.take(job)[1].verdict is ClaimVerdict.SETTLED
    assert counts("b") == {"rejected": 1}


def test_a_foreign_producers_jobs_count_once_they_are_taken(worker: Worker) -> None:
    """Closed with their number, the batch does not finish before."""
    jobs = [Job(str(uuid.uuid4()), CAT, batch="b") for _ in range(2)]
    with pytest.raises(batches.NoSuchBatch):
        batches.progress("b")
    assert batches.close("b", total=2).total == 0
    worker.end(jobs[0], "submitted")
    found = batches.progress("b")
    assert (found.total, found.expected, found.waiting, found.finished) == (1, 2, 0, False)
    _, claim = worker.take(jobs[1])
    assert counts("b") == {"submitted": 1, "waiting": 1}
    worker.job_store.settle(
        worker.ending(jobs[1], Delivery(worker.registry.owner, "", 1), claim, "submitted")
    )
    assert batches.progress("b").finished
    assert [event.total for event in events(worker)] == [2]


def test_the_end_of_a_closed_batch_is_told_once_each_time(worker: Worker, redis_server: RedisServer) -> None:
    """When it is closed, when its last job ends, when what was added has ended, and what was queued again."""
    worker.end(queued(worker, "b"), "submitted")
    assert events(worker) == []
    assert batches.close("b").finished
    assert batches.close("b").finished
    assert len(events(worker)) == 1
    failing = queued(worker, "b")
    found = batches.progress("b")
    assert (found.closed, found.finished) == (False, False)
    assert not batches.close("b").finished
    worker.end(failing, "exhausted")
    assert len(events(worker)) == 2
    desk = Desk(redis_server)
    (dead,) = desk.dead_letters.find(desk_filter())
    assert desk.dead_letters.retry(dead, "me") == 1
    found = batches.progress("b")
    assert (found.closed, found.finished, found.waiting) == (True, False, 1)
    worker.end(failing, "submitted")
    last = events(worker)[2:]
    statuses = {"submitted": 2, "rejected": 0, "exhausted": 0, "unknown": 0, "cancelled": 0}
    assert [(event.batch, event.total, event.statuses) for event in last] == [("b", 2, statuses)]
    found = batches.progress("b")
    assert (found.closed_at, found.finished_at) == (last[0].closed_at, last[0].finished_at)
    assert json.loads(last[0].to_json()) == json.loads(worker.redis.xrevrange("aigc:batches")[0][1][b"event"])


def test_one_that_waits_for_a_batch_hears_of_its_end(worker: Worker) -> None:
    """However late it comes, and whatever other batches do; and not longer than it asked for."""
    job, other = queued(worker, "b"), queued(worker, "other")
    with pytest.raises(TimeoutError, match="batch b has not finished within 0 s"):
        batches.wait("b", 0)
    found: list[batches.Progress] = []
    waiting = threading.Thread(target=lambda: found.append(batches.wait("b", 60)))
    waiting.start()
    until(lambda: worker.redis.info("clients")["blocked_clients"], "it to wait")
    for name in ("other", "b"):
        batches.close(name)
    worker.end(other, "submitted")
    worker.end(job, "rejected")
    waiting.join(60)
    assert found[0].statuses["rejected"] == 1
    assert batches.wait("b", 0).finished


def test_a_dedupe_key_that_is_held_adds_no_job(worker: Worker) -> None:
    """The job that holds it is counted, in its own batch."""
    first = tasks.submit(CAT, dedupe_key="k", batch="a")
    items = [
        tasks.Submission(CAT, dedupe_key="k", batch="b"),
        tasks.Submission(CAT, dedupe_key="m", batch="b"),
    ]
    ids = list(tasks.submit_many([*items, CAT], batch="c"))
    assert ids[0] == first
    assert [counts(name) for name in "abc"] == [{"waiting": 1}] * 3


def test_what_celery_sends_counts_at_once(worker: Worker) -> None:
    """A job for later, for which the batch is kept longer, and one of a canvas."""
    tasks.submit(CAT, batch="b", countdown=100 * 86400)
    tasks.signature(CAT, batch="b").apply_async()
    assert counts("b") == {"waiting": 2}
    assert worker.redis.ttl("aigc:batch:b") > KEEP_S + 99 * 86400


@pytest.mark.parametrize("status", ["rejected", "cancelled", "submitted"])
def test_what_celery_sends_may_have_ended_before_it_is_counted(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    """A worker is faster than its producer now and then; what is sent again after its end waits again."""
    enter = scripts.enter

    def after_its_end(client: Any, queue: str, entry: Any, *args: Any, **kwargs: Any) -> None:
        worker.end(Job(entry.job_id, CAT, enqueued_ms=worker.later(), batch="b"), status)
        enter(client, queue, entry, *args, **kwargs)

    monkeypatch.setattr("tasks.batch_store.sent.enter", after_its_end)
    job_id = tasks.signature(CAT, batch="b").apply_async().id
    assert counts("b") == {status: 1}
    worker.later()
    monkeypatch.setattr("tasks.batch_store.sent.enter", enter)
    tasks.signature(CAT, batch="b").apply_async(task_id=job_id)
    assert counts("b") == {"waiting" if status != "submitted" else status: 1}


def test_a_batch_is_forgotten_some_time_after_its_last_change(worker: Worker) -> None:
    """All that it has in Redis; the list of batches, too."""
    queued(worker, "b")
    assert KEEP_S - 60 < worker.redis.ttl("aigc:batch:b") <= KEEP_S
    worker.redis.delete("aigc:batch:b")
    worker.redis.zadd("aigc:batches:known", {"b": 1})
    queued(worker, "c")
    assert batches.names() == ["c"]


def test_workflows_beyond_a_number_are_counted_together(worker: Worker) -> None:
    """And one whose name is none."""
    for number in range(WORKFLOWS_MOST + 3):
        tasks.submit({"workflow": f"W{number}", "version": "1", "algoInput": {}}, unlisted=True, batch="b")
    worker.end(Job("odd", {"workflow": "a\nb", "version": "1", "algoInput": {}}, batch="b"), "rejected")
    found = batches.progress("b")
    assert (found.total, found.waiting, found.statuses["rejected"]) == (54, 53, 1)
    assert found.workflows["-"] == {"waiting": 3, "rejected": 1}


def test_the_cost_is_that_of_what_was_bought(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the prices of whoever asks; what may have been bought, and what may yet be, is told apart."""
    ends: list[Status] = ["submitted", "submitted", "rejected", "unknown"]
    for status in ends:
        worker.end(queued(worker, "b"), status)
    queued(worker, "b")
    assert batches.progress("b").cost is None
    monkeypatch.setenv("AIGC_PRICE__TEXT2IMAGE", "0.04")
    monkeypatch.setenv("AIGC_CURRENCY", "USD")
    found = batches.progress("b")
    assert (found.cost, found.cost_in_doubt, found.cost_waiting) == (
        Decimal("0.08"),
        Decimal("0.04"),
        Decimal("0.04"),
    )
    assert (found.currency, found.unpriced) == ("USD", ())


def test_a_key_of_another_type_is_no_batch(worker: Worker) -> None:
    """It is named."""
    worker.redis.set("aigc:batch:b", "no hash")
    with pytest.raises(
        tasks.BrokerUnavailable, match="aigc:batch:b in Redis holds something of another type"
    ):
        batches.progress("b")


def test_batches_are_read_together_as_one_by_one(worker: Worker) -> None:
    """In the order in which they were asked for; None for one that there is not."""
    worker.end(queued(worker, "first"), "submitted")
    queued(worker, "second")
    client, names = worker.redis, ("second", "none", "first")
    alone = [scripts.read(client, KEYS.queue, name) for name in names]
    together = scripts.read_many(client, KEYS.queue, names)
    assert [each and each[1:] for each in together] == [each and each[1:] for each in alone]
    assert [each is None for each in together] == [False, True, False]
