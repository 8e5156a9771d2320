"""How a job ended, as the one message that says so."""

from __future__ import annotations

from typing import Any

from tasks.contract import Status
from tasks.envelope import Job
from tasks.result import Result
from tasks.times import utc_iso
from worker.domain.outcome import Outcome


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
    )


def _text(payload: Any, field: str) -> str:
    value = payload.get(field) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else ""
