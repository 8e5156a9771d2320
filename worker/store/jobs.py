"""The journal: who may POST a job, what became of it, and its one result.

One small hash a job. `claim` comes before the first byte leaves, `settle` or `park` after the answer;
each is one script and one round trip, and each may be repeated after a lost reply. The request id of
an attempt is its fencing token: only the attempt that the record names last may decide.

    (none) → reserved → sending → accepted | rejected | exhausted | unknown
                 ↑          ↓  ↘ orphan (its worker died) → unknown | waiting
                 └─ waiting ←
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from tasks.envelope import Job, encode
from worker.domain.outcome import OtherWorkers
from worker.store.keys import KeyNames
from worker.store.record import STATE_OF, readable
from worker.store.retrying import Away, Wait
from worker.store.scripts import Call, Scripts
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

log = logging.getLogger(__name__)

ClaimRequest = tuple[Job, str, str]
"""A job to claim, its workflow, and the request id to claim it under."""


class JobStore:
    """The journal of one queue, for one process.

    Args:
        scripts: the scripts on the queue's Redis.
        members: the name under which this process claims.
    """

    def __init__(
        self, scripts: Scripts, keys: KeyNames, registry: WorkerRegistry, limits: SharedLimits
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._registry = registry
        self._limits = limits
        self._limits_json = _dumps({k: v for k, v in asdict(limits).items() if k != "workflow_interval_ms"})

    def claim(self, job: Job, workflow: str, request_id: str) -> Claim:
        """Ask for the right to POST the job under this request id (a UUID), once.

        Raises:
            redis.RedisError: Redis is away, or refuses; the claim may stand. Ask again under the same id.
        """
        owner = self._registry.owner
        name, args = self._claim(job, workflow, request_id, owner)
        return _claim_of(self._scripts.run(name, *args), owner, request_id)

    def settle(self, ending: Settlement) -> str:
        """End the job, once.

        Returns:
            ``settled``; ``already`` where it had ended; ``late`` where the attempt was fenced but the vendor
            accepted it (call again, marked so); ``stale`` where it was fenced and has nothing to say;
            ``paid-twice`` where another attempt of the job had been accepted before.

        Raises:
            redis.RedisError: Redis is away, or refuses; it may have been done. Call again.
        """
        name, args = self._settle(ending)
        answer: list[bytes] = self._scripts.run(name, *args)
        return answer[0].decode()

    def write(
        self, decided: Sequence[Settlement | Reschedule], wanted: Sequence[ClaimRequest] = ()
    ) -> tuple[list[WriteReply | Exception], list[Claim | Exception]]:
        """`settle` jobs that end, let others wait, `claim` what is wanted: all in one round trip.

        A job that waits needs no thread, message or memory of this worker.

        Returns:
            For each of the decided what the journal says to it: a verdict of `settle`'s, ``rescheduled``, or
            ``stale``, where another attempt decides about the job now; and the claims. An error in the
            place of one says that it may or may not have been done: ask for it again, a claim under the
            same request id.
        """
        owner = self._registry.owner
        settled = [
            self._settle(each) if isinstance(each, Settlement) else self._park(each) for each in decided
        ]
        claims = [self._claim(*each, owner) for each in wanted]
        throttled = [
            self._throttled(each.throttled_s)
            for each in decided
            if isinstance(each, Reschedule) and each.throttled_s is not None
        ]
        calls = [*throttled, *settled, *claims]
        if not calls:
            return [], []
        try:
            answers = self._scripts.run_all(calls)[len(throttled) :]
        except Away as error:
            answers = [error] * (len(settled) + len(claims))
        written = [
            answer if isinstance(answer, Exception) else _written(answer)
            for answer in answers[: len(settled)]
        ]
        granted = [
            answer if isinstance(answer, Exception) else _claim_of(answer, owner, request_id)
            for answer, (_, _, request_id) in zip(answers[len(settled) :], wanted, strict=True)
        ]
        return written, granted

    def insist(self, found: Settlement | Reschedule, refused: Callable[[Exception], None]) -> WriteReply:
        """`write` one job's decision, as often as it takes.

        Args:
            refused: told of each error.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        wait = self._scripts.wait("settle")
        while True:
            (written,), _ = self.write([found])
            if isinstance(written, WriteReply):
                return written
            refused(written)
            wait.after(written)
            if isinstance(found, Reschedule):
                # That all are to slow down is said once: each time again they would slow down further.
                found = replace(found, throttled_s=None)

    def wait(self, *, give_up_early: bool = False) -> Wait:
        """How a caller of `write` waits between two tries; see :class:`worker.store.scripts.Wait`."""
        return self._scripts.wait("settle and claim", give_up_early=give_up_early)

    def _claim(self, job: Job, workflow: str, request_id: str, owner: str) -> Call:
        of_workflow, enqueued = self._limits.of_workflow(workflow), job.enqueued_ms or ""
        packed = _packed(request_id)
        return "claim", (job.id, owner, packed, enqueued, workflow, self._limits_json, of_workflow)

    def _settle(self, ending: Settlement) -> Call:
        result, claim = ending.result, ending.claim
        fact = {
            "state": STATE_OF[result.status],
            "status": result.status,
            "attempts": result.attempts,
            "possible_duplicate": result.possible_duplicate,
            "late": ending.late,
            "probe": claim is not None and claim.verdict is ClaimVerdict.PROBE,
            **_carried(ending.delivery),
            **_facts(ending.feedback, claim),
        }
        if result.task_id:
            fact["task_id"] = result.task_id
        if ending.answer:
            fact["answer"] = ending.answer
        message = b"" if result.status == "submitted" else self._message(ending.job, ending.delivery)
        request_id = _packed(claim.request_id) if claim else b""
        args = (ending.job.id, request_id, _dumps(fact), ending.result_json, message, self._limits_json)
        return "settle", args

    def _park(self, later: Reschedule) -> Call:
        claim = later.claim
        fact = {
            "attempts": later.attempts,
            "uncounted": later.uncounted,
            "unresolved": later.unresolved,
            "delay_ms": round(later.delay_s * 1000),
            "probe": claim is not None and claim.verdict is ClaimVerdict.PROBE,
            **_carried(later.delivery),
            **_facts(later.feedback, claim),
        }
        request_id = _packed(claim.request_id) if claim else b""
        message = self._message(later.job, later.delivery)
        return "reschedule", (later.job.id, request_id, _dumps(fact), message, self._limits_json)

    def _throttled(self, wait_s: float) -> Call:
        return "slow_down", (round(wait_s * 1000), self._limits_json)

    def look_again(self, job: Job, delivery: Delivery, delay_s: float) -> None:
        """Let this delivery of a job wait, whatever its record says: another delivery is being worked on."""
        name, args = self._look_again(job, delivery, delay_s)
        self._scripts.insist(name, *args)

    def try_to_look_again(self, job: Job, delivery: Delivery, delay_s: float) -> None:
        """`look_again`, once.

        Raises:
            redis.RedisError: Redis is away, or refuses that, too.
        """
        name, args = self._look_again(job, delivery, delay_s)
        self._scripts.run(name, *args)

    def _look_again(self, job: Job, delivery: Delivery, delay_s: float) -> Call:
        fact = {"look_again": True, "delay_ms": round(delay_s * 1000), **_carried(delivery)}
        return "reschedule", (job.id, b"", _dumps(fact), self._message(job, delivery), self._limits_json)

    def to_backlog(self, job: Job, workflow: str, delivery: Delivery) -> None:
        """Put the job aside until its workflow may go on."""
        message = self._message(job, delivery)
        args = (workflow, delivery.owner, delivery.tag, delivery.list_index, message, job.id)
        self._scripts.insist("backlog", *args)

    def _message(self, job: Job, delivery: Delivery) -> bytes:
        """The job as a message of its own, for one that came in a batch, or whose message is gone."""
        try:
            return encode(job, self._keys.lists[delivery.list_index])
        except (ValueError, TypeError, RecursionError):
            return b""  # what JSON cannot carry was refused before, and is shelved without its message

    def withdraw(self, job: Job, claim: Claim) -> None:
        """Take back a claim of which surely nothing was sent."""
        self._scripts.insist("withdraw", job.id, claim.owner, _packed(claim.request_id))

    def own_claim(self, job_id: str) -> str | None:
        """The request id under which this process has claimed a job; None where it has not.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        record = self._scripts.patiently(lambda: self.record(job_id), "to read a record")
        own = record.get("state") == "sending" and record["owner"] == self._registry.owner
        return record["request_ids"][-1] if own and record["request_ids"] else None

    def withdraw_own(self, job_id: str, request_id: str) -> bool:
        """Take back a claim of this process's own, under which nothing was sent; whether it stood."""
        return bool(self._scripts.insist("withdraw", job_id, self._registry.owner, _packed(request_id)))

    def record(self, job_id: str) -> dict[str, Any]:
        """What the journal knows of a job, readable; empty where it knows nothing."""
        return readable(self._scripts.client.hgetall(self._keys.job(job_id)))


def _written(answer: list[Any]) -> WriteReply:
    return WriteReply(answer[0].decode(), OtherWorkers(answer[2]) if len(answer) > 2 else OtherWorkers.NONE)


def _claim_of(answer: list[Any], owner: str, request_id: str) -> Claim:
    verdict, attempts, uncounted, unresolved, age_ms, wait_ms, excused, _ = answer
    return Claim(
        verdict=ClaimVerdict(verdict.decode()),
        attempts=attempts,
        uncounted=uncounted,
        excused=excused,
        unresolved=unresolved == b"1",
        age_s=age_ms / 1000,
        wait_s=wait_ms / 1000,
        owner=owner,
        request_id=request_id,
    )


_WORKS = {None: "", True: "ok", False: "fault"}


def _facts(feedback: Feedback, claim: Claim | None) -> dict[str, Any]:
    facts = {
        "counted": feedback.counted,
        "vendor": _WORKS[feedback.vendor_works],
        "orphan": feedback.orphan,
        "route": feedback.on_the_way,
    }
    return facts | {"by": claim.owner} if claim else facts


def _carried(delivery: Delivery) -> dict[str, Any]:
    return {"holder": delivery.owner, "tag": delivery.tag, "list": delivery.list_index}


_dumps = json.JSONEncoder(separators=(",", ":")).encode


def _packed(request_id: str) -> bytes:
    # 16 bytes instead of 36: the journal keeps every one of a job.
    return bytes.fromhex(request_id.replace("-", ""))
