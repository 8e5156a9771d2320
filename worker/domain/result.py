"""How a job ended, as the one message that says so."""

from __future__ import annotations

from typing import Any

from tasks.contract import Status
from tasks.envelope import Job
from tasks.result import Result
from tasks.times import utc_iso
from worker.domain.outcome import Outcome, OutcomeKind


def result_of(
    job: Job,
    status: Status,
    outcome: Outcome,
    attempts: int,
    request_id: str | None,
    possible_duplicate: bool,
    finished_at_s: float,
) -> Result:
    """The job's result; ``finished_at_s`` in seconds since the epoch, ``attempts`` are those that count."""
    trace = job.trace
    return Result(
        job_id=job.id,
        status=status,
        task_id=outcome.task_id,
        workflow=_text(job.payload, "workflow"),
        version=_text(job.payload, "version"),
        attempts=attempts,
        request_id=request_id,
        error_code=outcome.error_code,
        error_msg=outcome.error_msg,
        possible_duplicate=possible_duplicate,
        finished_at=utc_iso(finished_at_s),
        metadata=job.metadata,
        traceparent=trace.traceparent if trace is not None else "",
        tracestate=trace.tracestate if trace is not None else "",
    )


def refusal_of(job: Job, error_code: str, reason: str, now: float) -> Result:
    """The result of a job that is bad itself, as was seen without an attempt; ``now`` as `finished_at_s`."""
    outcome = Outcome(OutcomeKind.REJECTED, error_code=error_code, error_msg=reason)
    return result_of(job, "rejected", outcome, 0, None, False, now)


def _text(payload: Any, field: str) -> str:
    value = payload.get(field) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else ""
