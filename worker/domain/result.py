"""How a job ended, as the one message that says so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tasks.contract import Status
from tasks.envelope import Job
from tasks.result import Result
from worker.domain.outcome import Outcome


def result_of(
    job: Job,
    status: Status,
    outcome: Outcome,
    attempts: int,
    request_id: str | None,
    possible_duplicate: bool,
    finished_at: datetime,
) -> Result:
    """The job's result; ``finished_at`` is in UTC, ``attempts`` are those that count."""
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
        finished_at=finished_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        metadata=job.metadata,
    )


def _text(payload: Any, field: str) -> str:
    value = payload.get(field) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else ""
