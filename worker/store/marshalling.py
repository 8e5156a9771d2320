"""Values as the arguments of scripts, and the scripts' replies as values."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from tasks.envelope import Job
from tasks.json_text import dumps
from tasks.result import Result
from worker.domain.outcome import OtherWorkers, OutcomeKind
from worker.store.record import ENDED_STATES
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Delivery,
    Feedback,
    Past,
    Reschedule,
    Settlement,
    WriteReply,
)


def reply_of(answer: Any) -> WriteReply:
    """What Redis said to a decision."""
    if not isinstance(answer, list):
        return WriteReply("done" if answer else "nothing")
    return WriteReply(answer[0].decode(), OtherWorkers(answer[2]) if len(answer) > 2 else OtherWorkers.NONE)


def claim_of(answer: list[Any], owner: str, request_id: str) -> Claim:
    """The answer to a claim of this worker under this request id."""
    verdict, attempts, uncounted, unresolved, age_ms, wait_ms, excused, refusals, _, *past = answer
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
        refusals=refusals,
        past=_past_of(past, attempts, unresolved == b"1") if past else None,
    )


def _past_of(past: list[Any], attempts: int, possible_duplicate: bool) -> Past:
    state, finished_s, task_id, request_id = past
    last = str(uuid.UUID(bytes=request_id)) if request_id else None
    return Past(state.decode(), attempts, possible_duplicate, finished_s, task_id.decode() or None, last)


_WORKS: Final = {None: "", True: "ok", False: "fault"}


def past_in(record: Mapping[str, Any]) -> Past | None:
    """How a job ended, by its readable record; None where it has not."""
    if record.get("state") not in ENDED_STATES:
        return None
    state, attempts, finished_s = record["state"], record["attempts"], record["finished_s"] or 0
    last = next(reversed(record["request_ids"]), None)
    return Past(state, attempts, record["possible_duplicate"], finished_s, record["task_id"], last)


def facts_of(feedback: Feedback, claim: Claim | None) -> dict[str, Any]:
    """What an attempt says beside the job's own fate, and whose it was."""
    facts = {
        "counted": feedback.counted,
        "vendor": _WORKS[feedback.vendor_works],
        "orphan": feedback.orphan,
        "route": feedback.on_the_way,
    }
    if feedback.cause:
        facts["cause"] = feedback.cause
    return facts | {"by": claim.owner} if claim else facts


def metrics_of(decision: Settlement | Reschedule, workflow: str, price: int | None) -> dict[str, Any]:
    """What is to be counted of it beside the job's own fate; lua/_metrics.lua says what each is."""
    about: dict[str, Any] = {"workflow": workflow}
    claim, kind = decision.claim, decision.kind
    if kind is None or (claim is None and not decision.feedback.orphan):
        return about  # no attempt was made
    about["outcome"] = kind
    # What a dead worker's attempt took nobody knows; where nothing was sent it is not the vendor's time.
    if claim is not None and decision.took_s is not None and kind is not OutcomeKind.NOT_SENT:
        about["ms"] = int(1000 * decision.took_s)
    if kind is OutcomeKind.ACCEPTED and price is not None:
        about["price"] = price
    return about


def workflow_of(job: Job) -> str:
    """As its payload has it; empty where that has none."""
    workflow = job.payload.get("workflow") if isinstance(job.payload, dict) else None
    return workflow if isinstance(workflow, str) else ""


def carried(delivery: Delivery) -> dict[str, Any]:
    """Where the job's message is."""
    return {"holder": delivery.owner, "tag": delivery.tag, "list": delivery.list_index}


def followed_with(result: Result) -> dict[str, Any]:
    """What of a job's result its task is followed with."""
    # As text: Lua would write numbers and empty objects of it in another way.
    metadata = dumps(result.metadata).decode("ascii")
    told = {"workflow": result.workflow, "version": result.version, "metadata": metadata}
    if result.traceparent:
        told["traceparent"] = result.traceparent
        if result.tracestate:
            told["tracestate"] = result.tracestate
    return told


def packed(request_id: str) -> bytes:
    """A UUID in its 16 bytes."""
    # 16 bytes instead of 36: the record keeps those of a job's attempts.
    return bytes.fromhex(request_id.replace("-", ""))
