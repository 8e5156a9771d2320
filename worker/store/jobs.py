"""Jobs in Redis: who may send one, what became of it, and its one result.

One small hash a job, its record (`worker.store.record`). `claim` comes before the first byte leaves, a
settlement or a reschedule after the answer; each is one script, and each may be repeated after a lost reply.
The request id of an attempt is its fencing token: only the attempt that the record names last may decide.

    (none) → reserved → sending → accepted | rejected | exhausted | unknown | cancelled
                 ↑          ↓  ↘ orphan (its worker died) → unknown | waiting
                 └─ waiting ←
    rejected | exhausted | cancelled → reserved, where it is submitted again after its end (`lua/_again.lua`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from tasks.envelope import Job, encode
from tasks.frozen import value
from tasks.json_text import dumps, dumps_for_lua
from tasks.result import of_queue
from worker.store.keys import KeyNames
from worker.store.marshalling import (
    carried,
    claim_of,
    facts_of,
    followed_with,
    metrics_of,
    packed,
    past_in,
    reply_of,
    workflow_of,
)
from worker.store.record import STATE_OF, readable
from worker.store.redis_wait import Away, Wait
from worker.store.scripts import Call, Scripts
from worker.store.values import (
    Acknowledgement,
    Claim,
    ClaimVerdict,
    Decision,
    Delivery,
    Past,
    Postponement,
    Release,
    Republication,
    Reschedule,
    Settlement,
    SharedLimits,
    ToBacklog,
    Withdrawal,
    WriteReply,
)
from worker.store.workers import WorkerRegistry

_OF_WORKERS_ONLY: Final = ("workflow_interval_ms", "follow_ms", "prices")
"""Limits that no script is told."""


@value(frozen=True, slots=True)
class ClaimRequest:
    """A job to claim under this request id (a UUID)."""

    job: Job
    workflow: str
    request_id: str


class JobStore:
    """The jobs of one queue, for one process. Thread-safe.

    Args:
        scripts: the scripts on the queue's Redis.
        registry: the name under which this process claims.
        limits: what all workers share.
    """

    def __init__(
        self, scripts: Scripts, keys: KeyNames, registry: WorkerRegistry, limits: SharedLimits
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._registry = registry
        self._limits = limits
        told = {k: v for k, v in asdict(limits).items() if k not in _OF_WORKERS_ONLY}
        self._limits_json = dumps(told)
        self._prices = dict(limits.prices)

    def write(
        self, decisions: Sequence[Decision], claims: Sequence[ClaimRequest] = ()
    ) -> tuple[list[WriteReply | Exception], list[Claim | Exception]]:
        """Write down what was decided, then claim: all in one round trip.

        Returns:
            For each decision what Redis says to it; for each request the claim. An error in the place of one
            says that it may or may not have been done: ask for it again, a claim under the same request id.
        """
        owner = self._registry.owner
        slow_downs = [
            ("slow_down", (round(each.throttled_s * 1000), self._limits_json, round(each.took_s * 1000)))
            for each in decisions
            if isinstance(each, Reschedule) and each.throttled_s is not None
        ]
        # In this order: claims of the same round heed the slow-downs, and get the slots that decisions free.
        calls = [
            *slow_downs,
            *[self._call_of(each) for each in decisions],
            *[self._claim(each, owner) for each in claims],
        ]
        if not calls:
            return [], []
        try:
            answers = self._scripts.run_all(calls)[len(slow_downs) :]
        except Away as error:
            answers = [error] * (len(decisions) + len(claims))
        return [
            answer if isinstance(answer, Exception) else reply_of(answer)
            for answer in answers[: len(decisions)]
        ], [
            answer if isinstance(answer, Exception) else claim_of(answer, owner, each.request_id)
            for answer, each in zip(answers[len(decisions) :], claims, strict=True)
        ]

    def write_one(self, decision: Decision) -> WriteReply:
        """`write` one decision, once.

        Raises:
            redis.RedisError: Redis is away, or refuses; it may have been done. Call again.
        """
        ((answer,), _) = self.write([decision])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def insist(self, decision: Decision) -> WriteReply:
        """`write` one decision, as often as it takes.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        return self._scripts.patiently(lambda: self.write_one(decision), type(decision).__name__.lower())

    def wait(self) -> Wait:
        """How a caller of `write` waits between two tries."""
        return self._scripts.wait("settle and claim")

    def own_claim(self, job_id: str) -> str | None:
        """The request id under which this process has claimed a job; None where it has not.

        Raises:
            redis.RedisError: Redis is away, or refuses.
        """
        record = self.record(job_id)
        own = record.get("state") == "sending" and record["owner"] == self._registry.owner
        return record["request_ids"][-1] if own and record["request_ids"] else None

    def last_request_id(self, job_id: str) -> str | None:
        """The request id of a job's last attempt; None where there was none.

        Raises:
            redis.RedisError: Redis is away, or refuses.
        """
        ids = self.record(job_id).get("request_ids")
        return ids[-1] if ids else None

    def past(self, job_id: str) -> Past | None:
        """How a job ended; None where it has not, or is not known any more.

        Raises:
            redis.RedisError: Redis is away, or refuses.
        """
        return past_in(self.record(job_id))

    def record(self, job_id: str) -> dict[str, Any]:
        """What is known of a job, by the full names of its record's fields; empty where nothing is.

        Raises:
            redis.RedisError: Redis is away, or refuses.
        """
        return readable(self._scripts.client.hgetall(self._keys.job(job_id)))

    def _claim(self, request: ClaimRequest, owner: str) -> Call:
        job, workflow = request.job, request.workflow
        of_workflow, enqueued = self._limits.of_workflow(workflow), job.enqueued_ms or ""
        args = (job.id, owner, packed(request.request_id), enqueued, workflow, self._limits_json, of_workflow)
        return "claim", args if job.batch is None else (*args, job.batch)

    def _call_of(self, decision: Decision) -> Call:
        match decision:
            case Settlement():
                return self._settle(decision)
            case Reschedule():
                return self._reschedule(decision)
            case Postponement(job, delivery, delay_s, first_seen):
                fact = {"look_again": True, "delay_ms": round(delay_s * 1000), **carried(delivery)}
                if job.enqueued_ms is not None:
                    fact["stamp"] = job.enqueued_ms
                if first_seen:
                    fact["first_seen"] = job.enqueued_ms or 0
                message = self._message(job, delivery)
                return "reschedule", (job.id, b"", dumps_for_lua(fact), message, self._limits_json)
            case Republication(job, delivery, result):
                fact, stamp = carried(delivery), job.enqueued_ms or 0
                if delivery.linked:
                    fact["linked"] = True
                told = replace(result, queue=self._keys.queue).to_json()
                return "republish", (job.id, stamp, dumps_for_lua(fact), told, self._limits_json)
            case ToBacklog(job, delivery, workflow):
                message = self._message(job, delivery)
                args = (workflow, delivery.owner, delivery.tag, delivery.list_index, message, job.id)
                return "backlog", args
            case Withdrawal(job_id, owner, request_id):
                return "withdraw", (job_id, owner, packed(request_id))
            case Acknowledgement(owner, tag):
                return "acknowledge", (owner, tag)
            case Release(owner, tags):
                return "release", (owner, *tags)

    def _settle(self, settlement: Settlement) -> Call:
        result, claim, delivery = settlement.result, settlement.claim, settlement.delivery
        fact = {
            "state": STATE_OF[result.status],
            "status": result.status,
            "attempts": result.attempts,
            "possible_duplicate": result.possible_duplicate,
            "late": settlement.late,
            "probe": claim is not None and claim.verdict is ClaimVerdict.PROBE,
            "metrics": metrics_of(settlement, result.workflow, self._prices.get(result.workflow)),
            **carried(delivery),
            **facts_of(settlement.feedback, claim),
        }
        if delivery.linked:
            fact["linked"] = True
        if settlement.job.enqueued_ms is not None:
            fact["stamp"] = settlement.job.enqueued_ms
        if settlement.job.batch is not None:
            fact |= {"batch": settlement.job.batch, "workflow": result.workflow}
        if result.task_id:
            fact["task_id"] = result.task_id
            if self._limits.follow_ms:
                fact["follow"] = followed_with(result) | {"deadline_ms": self._limits.follow_ms}
        if settlement.answer:
            fact["answer"] = settlement.answer
        kept = result.status not in ("submitted", "cancelled")
        message = self._message(settlement.job, delivery) if kept else b""
        request_id = packed(claim.request_id) if claim else b""
        job_id = settlement.job.id
        told = settlement.result_json if result.queue else of_queue(settlement.result_json, self._keys.queue)
        return "settle", (job_id, request_id, dumps_for_lua(fact), told, message, self._limits_json)

    def _reschedule(self, reschedule: Reschedule) -> Call:
        claim = reschedule.claim
        fact = {
            "attempts": reschedule.attempts,
            "uncounted": reschedule.uncounted,
            "unresolved": reschedule.unresolved,
            "delay_ms": round(reschedule.delay_s * 1000),
            "probe": claim is not None and claim.verdict is ClaimVerdict.PROBE,
            **({"refusals": reschedule.refusals} if reschedule.refusals else {}),
            "metrics": metrics_of(reschedule, workflow_of(reschedule.job), None),
            **carried(reschedule.delivery),
            **facts_of(reschedule.feedback, claim),
        }
        request_id = packed(claim.request_id) if claim else b""
        message = self._message(reschedule.job, reschedule.delivery)
        return "reschedule", (reschedule.job.id, request_id, dumps_for_lua(fact), message, self._limits_json)

    def _message(self, job: Job, delivery: Delivery) -> bytes:
        """The job as a message of its own, for one that came with others, or whose message is gone."""
        try:
            return encode(job, self._keys.lists[delivery.list_index])
        except (ValueError, TypeError, RecursionError):
            return b""  # what JSON cannot carry was refused before, and is kept without its message
