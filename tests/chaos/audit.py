"""What must be true when the dust has settled: from the vendor's ledger, the results and the journal."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from tasks.batch_store.moves import LETTERS
from tasks.batch_store.scripts import close, read
from tasks.contract import DEFAULT_QUEUE
from tests.chaos.arena import Arena
from tests.chaos.orders import Order
from worker.store.metric_fields import counted as read_metrics

STATES = {
    "submitted": "accepted", "rejected": "rejected", "exhausted": "exhausted", "unknown": "unknown",
    "cancelled": "cancelled",
}  # fmt: skip
Doubtful = Callable[[Order], bool]


class Audit:
    """One look at everything, and what is wrong with it.

    Args:
        doubtful: jobs that may have ended `unknown` though neither their own fault nor a kill says so.
        bought_twice: whether a body may have been accepted twice, if its result says so.
        measured: whether all workers counted for the metrics.
    """

    def __init__(
        self, arena: Arena, doubtful: Doubtful, *, bought_twice: bool = False, measured: bool = True
    ) -> None:
        self._arena = arena
        self._doubtful = doubtful
        self._bought_twice = bought_twice
        self._measured = measured
        self._stream = arena.results()
        self._results: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for result in self._stream:
            self._results[result["jobId"]].append(result)
        self._billed: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for post in arena.vendor.get("ledger"):
            self._billed[post["sha256"]].append(post)
        posts = arena.vendor.get("posts")
        self._posts = Counter(post["sha256"] for post in posts)
        self._sent = {post["requestId"] for post in posts}

    def violations(self) -> list[str]:
        """Everything that is not as promised, in words; empty where all is well."""
        wrong = [f"{job_id}: {what}" for job_id in self._arena.orders for what in self._of_job(job_id)]
        return wrong + list(self._of_all())

    def figures(self) -> dict[str, int]:
        """The counts of the report."""
        last = Counter(results[-1]["status"] for results in self._results.values())
        posts = self._arena.vendor.get("stats")["posts"]
        return {
            "jobs": len(self._arena.orders),
            "posts": posts,
            "billed": sum(len(billed) for billed in self._billed.values()),
            **{status: last[status] for status in STATES},
            "flagged": sum(results[-1]["possibleDuplicate"] for results in self._results.values()),
            **{what: self._arena.count[what] for what in ("kills", "redis kills", "cuts", "refusals")},
        }

    def _of_job(self, job_id: str) -> Iterator[str]:
        order, results = self._arena.orders[job_id], self._results.get(job_id, [])
        billed = self._billed.get(order.sha256, [])
        if not results:
            yield f"lost: no result, {len(billed)} times accepted; {self._arena.record(job_id)}"
            return
        statuses = [result["status"] for result in results]
        if len(results) > 1 and not (len(results) == 2 and statuses[0] == "unknown"):
            yield f"more than one result: {statuses}"
        result = results[-1]
        if len(billed) > 1 and not (self._bought_twice and result["possibleDuplicate"]):
            yield f"accepted {len(billed)} times, result {result}"
        yield from self._ending(order, statuses, result)
        yield from self._evidence(job_id, result, billed)

    def _ending(self, order: Order, statuses: list[str], result: dict[str, Any]) -> Iterator[str]:
        """Whether it ended as its own fault, and what was done to its worker, make it end."""
        killed = order.job.id in self._arena.lost
        if killed and not self._bought_twice and statuses[0] != "unknown":
            yield f"its worker died while sending it, and it ended {statuses}"
        stopped = order.job.id in self._arena.stopped and result["requestId"] in self._sent
        doubtful = killed or stopped or order.job.id in self._arena.cut_off or self._doubtful(order)
        allowed = {order.ends, "unknown"} if doubtful else {order.ends}
        if order.job.id in self._arena.cancelled:
            allowed = {"cancelled", *allowed - {order.ends}}
        if order.job.id in self._arena.decided:
            allowed |= {"submitted", "rejected", "unknown"}
        if not set(statuses) <= allowed:
            yield f"ended {statuses} instead of {order.ends}: {result['errorCode']}, {result['errorMsg']}"

    def _evidence(self, job_id: str, result: dict[str, Any], billed: list[dict[str, Any]]) -> Iterator[str]:
        """Whether the result and the journal agree with the vendor's ledger."""
        record = self._arena.record(job_id)
        if record.get("state") != STATES[result["status"]] or record.get("task_id") != result["taskId"]:
            yield f"the journal says {record}, the result {result}"
        known = {(post["taskId"], post["requestId"]) for post in billed}
        if result["status"] == "submitted" and (result["taskId"], result["requestId"]) not in known:
            yield f"the vendor did not bill {result}; billed: {billed}"
        if billed and result["status"] not in ("submitted", "unknown"):
            yield f"accepted, but ended {result['status']}"
        if missing := {request_id for _, request_id in known} - set(record.get("request_ids", [])):
            yield f"the record does not know the paid request ids {missing}"
        posts = self._posts[self._arena.orders[job_id].sha256]
        excused = self._arena.lost | self._arena.cut_off
        if result["attempts"] > posts and job_id not in excused and not self._arena.count["cuts"]:
            yield f"{result['attempts']} attempts were counted, and {posts} made"

    def _of_all(self) -> Iterator[str]:
        arena, client = self._arena, self._arena.redis
        if strangers := self._results.keys() - arena.orders.keys():
            yield f"results of jobs that nobody ordered: {strangers}"
        stream = Counter(json.dumps(result, sort_keys=True) for result in self._stream)
        channel = Counter(json.dumps(json.loads(text), sort_keys=True) for text in arena.channel)
        gaps = arena.count["redis kills"] or arena.unpublished
        if channel - stream or (stream - channel and not gaps):
            yield f"channel and stream differ: {len(channel - stream)} and {len(stream - channel)} results"
        counted = {status: int(client.hget(f"{DEFAULT_QUEUE}:counters", status) or 0) for status in STATES}
        if counted != (told := {status: self._told(status) for status in STATES}):
            yield f"the counters say {counted}, the results {told}"
        if self._measured:
            yield from self._of_metrics(told)
        unknown = {job for job, results in self._results.items() if results[-1]["status"] == "unknown"}
        held = {job.decode() for job in client.zrange(f"{DEFAULT_QUEUE}:shelf:unknown", 0, -1)}
        if held != unknown:
            yield f"held for an operator: {len(held)}; unknown: {len(unknown)}; differ in {held ^ unknown}"
        yield from self._of_batches()
        if (aside := client.llen(f"{DEFAULT_QUEUE}:malformed")) != arena.garbage:
            yield f"{arena.garbage} malformed messages, {aside} put aside"
        if left := arena.left():
            yield f"left behind in Redis: {left}"

    def _of_metrics(self, told: dict[str, int]) -> Iterator[str]:
        """Whether each end is counted once there as well, and each attempt of which a job's end was known."""
        client = self._arena.redis
        counted = read_metrics(client.hgetall(f"{DEFAULT_QUEUE}:metrics"))
        ends, outcomes = Counter[str](), Counter[str]()
        for (_, status), number in counted.jobs.items():
            ends[status] += number
        for (_, outcome), number in counted.attempts.items():
            outcomes[outcome] += number
        if {status: ends[status] for status in STATES} != told:
            yield f"the metrics count {dict(ends)} ends, the results are {told}"
        bought = told["submitted"] + int(client.hget(f"{DEFAULT_QUEUE}:counters", "paid_twice") or 0)
        bought -= self._arena.count["accepted by hand"]
        if outcomes["accepted"] != bought:
            yield f"the metrics count {outcomes['accepted']} accepted attempts, the results {bought}"

    def _of_batches(self) -> Iterator[str]:
        """Whether each batch knows of its jobs what their last results say, and its end is told once."""
        client = self._arena.redis
        by_batch: dict[str, list[str]] = defaultdict(list)
        for job_id, order in self._arena.orders.items():
            if order.job.batch:
                by_batch[order.job.batch].append(job_id)
        for batch, jobs in by_batch.items():
            told = Counter(
                LETTERS[self._results[job_id][-1]["status"]] for job_id in jobs if self._results[job_id]
            )
            for _ in range(2):
                close(client, DEFAULT_QUEUE, batch, None)
            found = read(client, DEFAULT_QUEUE, batch)
            counted = Counter[str]()
            for of in found[2].values() if found else ():
                counted.update({letter: count for letter, count in of.items() if count})
            if counted != told:
                yield f"the batch {batch} counts {dict(counted)}, the results {dict(told)}"
            events = [fields[b"event"] for _, fields in client.xrange(f"{DEFAULT_QUEUE}:batches")]
            told_times = sum(json.loads(event)["batch"] == batch for event in events)
            # Once more for each time that an operator has queued jobs of it again.
            if told_times != 1 and not (told_times and self._arena.decided.intersection(jobs)):
                yield f"the end of the batch {batch} is told by {events}"

    def _told(self, status: str) -> int:
        return sum(result["status"] == status for result in self._stream)
